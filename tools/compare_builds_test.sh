#!/bin/bash
# compare_builds.sh from end to end, with a stand-in for bazel whose builds are there already: one that does the same, one that costs more.
set -u
vmsim=$PWD/$1
script=$PWD/tools/compare_builds.sh
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/compare_builds_test.XXXXXX")
failures=0
fail() {
  echo "FAIL: $*"
  failures=$((failures + 1))
}

mkdir -p "$work"/{bin,same/tools,slow/tools}
# No package is looked for.
# shellcheck disable=SC2016
printf '#!/bin/bash\nfor word; do [[ $word == -* || $word == *Status* ]] || echo "installed $word"; done\n' >"$work/bin/dpkg-query"
# --config=gcc stands for the build that costs more; -O0 does not build.
cat >"$work/bin/bazel" <<EOF
#!/bin/bash
[[ "\$1" == build && "\$*" == *-O0* ]] && exit 1
[[ "\$1" == info ]] || exit 0
[[ "\$*" == *--config=gcc* ]] && echo "$work/slow" || echo "$work/same"
EOF
cp "$vmsim" "$work/same/tools/vmsim"
printf '#!/bin/bash\nexec %q "$@" --canary observer_takes_time\n' "$vmsim" >"$work/slow/tools/vmsim"
chmod +x "$work"/bin/* "$work"/*/tools/vmsim
export PATH=$work/bin:$PATH BAZEL=$work/bin/bazel OPS=500 TMPDIR=$work

# expect CODE CONFIGURATION...
expect() {
  local code=$1
  shift
  "$script" "$@" >"$work/out" 2>"$work/err" </dev/null
  local got=$?
  [[ $got == "$code" ]] || fail "compare_builds.sh $*: exit code $got, expected $code: $(head -c 500 "$work/out" "$work/err")"
}

expect 0 clang-O2 verify asan
[[ $(grep -c "^same    clang-O2 verify  --seed" "$work/out") == 6 ]] || fail "expected six campaigns: $(cat "$work/out")"
[[ $(grep -c "^same    clang-O2 asan  --seed" "$work/out") == 6 ]] || fail "expected six more: $(cat "$work/out")"
expect 13 clang-O2 gcc-O2
grep -q "^differ  clang-O2 gcc-O2  --seed 1: .*case 0, operation " "$work/out" || fail "expected the place: $(cat "$work/out")"
expect 1 clang-O2 clang-O0
grep -q "clang-O0 does not build" "$work/err" || fail "expected who does not build: $(cat "$work/err")"
expect 1 clang-O3
grep -q 'there is no configuration "clang-O3"' "$work/err" || fail "expected the names there are: $(cat "$work/err")"
[[ -z $(ls -d "$work"/compare_builds.* 2>/dev/null) ]] || fail "left behind: $(ls -d "$work"/compare_builds.*)"

rm -rf "$work"
((failures == 0)) && echo PASS
exit "$((failures != 0))"
