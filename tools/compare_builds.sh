#!/bin/bash
# compare_builds.sh: does every build do and cost the same at every operation? Builds vmsim in several configurations, lets each run the same
# campaigns, and compares their chains operation by operation (vmsim diff). Prints the first operation that differs; exit code 13 then.
#
# Usage: tools/compare_builds.sh [CONFIGURATION...]      default: clang-O2 clang-O0 gcc-O2 verify asan
# OPS=N operations a campaign (default 20000); BAZEL="bazel --output_base=/tmp/ob" as for ./vmsim. Each configuration is built in turn, so
# this takes as many full builds as there are configurations.
set -u
me=compare_builds
# shellcheck source=tools/launch.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/launch.sh"

configurations=("$@")
((${#configurations[@]})) || configurations=(clang-O2 clang-O0 gcc-O2 verify asan)
ops=${OPS:-20000}
campaigns=("--seed 1" "--seed 2 --faults all" "--seed 3 --frames 1024" "--seed 4 --schedule pct --processors 2"
  "--seed 5 --quirks pistachio-new-mdb" "--seed 6 --profile amd64-no-reference")

flags_of() {
  case $1 in
    clang-O2) ;;
    clang-O0) echo --compilation_mode=fastbuild --copt=-O0 ;;
    gcc-O2) echo --config=gcc ;;
    gcc-O0) echo --config=gcc --compilation_mode=fastbuild --copt=-O0 ;;
    verify) echo --config=verify ;;
    asan) echo --config=asan ;;
    *) die "there is no configuration \"$1\"; there are clang-O2, clang-O0, gcc-O2, gcc-O0, verify, asan" ;;
  esac
}

for configuration in "${configurations[@]}"; do flags_of "$configuration" >/dev/null || exit 1; done
ensure_packages
work=$(mktemp -d "${TMPDIR:-/tmp}/compare_builds.XXXXXX") || die "no directory could be made"
trap 'rm -rf "$work"' EXIT
differ=0
first=${configurations[0]}
for configuration in "${configurations[@]}"; do
  read -r -a flags <<<"$(flags_of "$configuration")"
  (cd "$root" && run_bazel build --noshow_progress --symlink_prefix=/ "${flags[@]}" //tools:vmsim) >"$work/log" 2>&1 </dev/null ||
    { cat "$work/log" >&2 && die "$configuration does not build"; }
  bin=$(cd "$root" && run_bazel info "${flags[@]}" bazel-bin 2>/dev/null)
  cp "$bin/tools/vmsim" "$work/vmsim_$configuration" || die "$bin/tools/vmsim cannot be read"
  for i in "${!campaigns[@]}"; do
    read -r -a arguments <<<"${campaigns[$i]}"
    "$work/vmsim_$configuration" run "${arguments[@]}" --ops "$ops" --chain "$work/$configuration.$i" || die "$configuration: ${campaigns[$i]}"
    [[ $configuration == "$first" ]] && continue
    if verdict=$("$work/vmsim_$first" diff "$work/$first.$i" "$work/$configuration.$i"); then
      echo "same    $first $configuration  ${campaigns[$i]}"
    else
      echo "differ  $first $configuration  ${campaigns[$i]}: $verdict"
      differ=13
    fi
    rm -f "$work/$configuration.$i"
  done
done
exit "$differ"
