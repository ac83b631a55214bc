#!/bin/bash
# Shows that each rule of the architecture is enforced, by breaking it. Usage: prove_violations.sh SCRATCH_DIRECTORY
#
# Copies the tree to SCRATCH, adds packages that break one rule each, and runs the real Bazel there. Prints `ok WHAT` for each violation that
# was refused with the message that belongs to it and for each control, `not ok WHAT` otherwise, and exits 1 if there was any of those.
# A control differs from its violation only in keeping the rule; it must build, or the refusals would mean nothing.
#
#   visibility       each cell of the table: every library of a blank cell's column is refused to the row, every other one allowed
#   layering_check   a header included through a dependency's dependency
#   testonly         a library that depends on test support
#   thread safety    a guarded field touched without its lock; two locks taken against their order
#   layering_test    a visibility list widened by hand so that model can see uvm: Bazel is content, model's layering_test is not
set -u -o pipefail
export LC_ALL=C
[[ $# == 1 ]] || { echo "usage: prove_violations.sh SCRATCH_DIRECTORY" >&2; exit 1; }
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd -P)
mkdir -p "$1" && scratch=$(cd "$1" && pwd -P) || { echo "not ok scratch directory $1 cannot be made"; exit 1; }
tree=$scratch/tree
log=$scratch/log.txt
bad=0

ok() { echo "ok $*"; }
not_ok() {
  echo "not ok $*"
  bad=1
}

# An output base of its own, so that the user's server and its analysis stay as they are; the server leaves soon after the last command.
run_bazel() { bazel --output_base="$scratch/output" --max_idle_secs=15 "$@"; }
build() { run_bazel build --keep_going --noshow_progress --color=no "$@" >"$log" 2>&1 </dev/null; }

copy_tree() {
  rm -rf "$tree" && mkdir "$tree" &&
    tar cf - -C "$root" --exclude=./.git --exclude='./bazel-*' --exclude=./vectors --exclude='*.trace' --exclude='*.gz' . | tar xf - -C "$tree" &&
    cd "$tree" || return 1
}

# Prints `COLUMN LABEL` for each library that a group may_see_COLUMN may see, test support left out.
list_libraries() {
  run_bazel query --noshow_progress --keep_going --output=xml 'kind(cc_library, //...) except attr(testonly, 1, //...)' 2>"$log" </dev/null |
    awk '
      /<rule class="cc_library"/ { match($0, / name="[^"]*"/); label = substr($0, RSTART + 7, RLENGTH - 8) }
      /<list name="visibility"/ { inside = 1 }
      inside && match($0, /value="\/\/:may_see_[a-z0-9_]*"/) { print substr($0, RSTART + 18, RLENGTH - 19), label }
      /<\/list>/ { inside = 0 }' | sort -u
}

# Prints `ROW COLUMN` for each cell of the table that is filled in, own headers included.
list_cells() {
  build //tools/layering:table &&
    awk '$1 == "row" { for (i = 3; i <= NF; i++) print $2, $i } $1 == "column" { print $3, $2 }' \
      "$(run_bazel info bazel-bin 2>/dev/null)/tools/layering/table.txt"
}

prove_visibility() {
  local libraries cells rows columns row column label name refused expected wrong count
  libraries=$(list_libraries)
  cells=$(list_cells) || { not_ok "visibility: the table cannot be built (see $log)"; return; }
  (($(wc -l <<<"$libraries") >= 10)) || not_ok "visibility: only these libraries were found: $libraries (see $log)"
  rows=$(cut -d' ' -f1 <<<"$cells" | sort -u)
  columns=$(cut -d' ' -f2 <<<"$cells" | sort -u)
  for row in $rows; do
    mkdir -p "$row/violation"
    while read -r column label; do
      name=${column}.$(tr -c 'a-zA-Z0-9_\n' '_' <<<"$label")
      echo "cc_library(name = \"$name\", deps = [\"$label\"])"
    done <<<"$libraries" >"$row/violation/BUILD"
  done
  # shellcheck disable=SC2046
  build --nobuild $(printf '//%s/violation:all ' $rows)
  refused=$(sed -n "s/.*target '\([^']*\)' is not visible from target '\/\/\([^']*\)\/violation:\([a-z0-9_]*\)\.[^']*'.*/\2 \3 \1/p" "$log" | sort -u)
  for row in $rows; do
    for column in $columns; do
      count=$(grep -c "^$column " <<<"$libraries")
      ((count > 0)) || continue
      expected=$(sed -n "s|^$column |$row $column |p" <<<"$libraries")
      if grep -qx "$row $column" <<<"$cells"; then
        wrong=$(comm -12 <(echo "$expected") <(echo "$refused"))
        if [[ -z $wrong ]]; then ok "control: $row may see $column ($count libraries)"; else not_ok "control: refused: $wrong"; fi
      else
        wrong=$(comm -23 <(echo "$expected") <(echo "$refused"))
        if [[ -z $wrong ]]; then ok "visibility: $row may not see $column ($count libraries)"; else not_ok "visibility: not refused: $wrong"; fi
      fi
    done
  done
  for column in $columns; do
    grep -q "^$column " <<<"$libraries" || echo "skip visibility: no library is open to //:may_see_$column, so there is nothing to refuse"
  done
}

# expect_refused WHAT TARGET PATTERN: TARGET must fail to build, with PATTERN among the messages.
expect_refused() {
  if build "$2"; then
    not_ok "$1: $2 built"
  elif grep -qE -- "$3" "$log"; then
    ok "$1: $2 is refused"
  else
    cp "$log" "$log.${2//[^a-z]/_}"
    not_ok "$1: $2 is refused for another reason (see $log.${2//[^a-z]/_})"
  fi
}

# expect_built WHAT TARGET [OPTION]: TARGET must build.
expect_built() {
  if build "${@:2}"; then ok "control: $1: $2 builds"; else cp "$log" "$log.control"; not_ok "control: $1: $2 does not build (see $log.control)"; fi
}

write_code_violations() {
  mkdir -p violation
  cat >violation/BUILD <<'END'
package(features = ["layering_check"])
cc_library(name = "a", hdrs = ["a.h"])
cc_library(name = "b", hdrs = ["b.h"], deps = [":a"])
cc_library(name = "skips", srcs = ["uses.cc"], deps = [":b"])
cc_library(name = "names", srcs = ["uses.cc"], deps = [":a", ":b"])
cc_library(name = "support", testonly = True, hdrs = ["a.h"])
cc_library(name = "product", deps = [":support"])
cc_library(name = "product_test_lib", testonly = True, deps = [":support"])
cc_library(name = "locked", srcs = ["locks.cc"])
cc_library(name = "unlocked", srcs = ["locks.cc"], copts = ["-DFORGET_LOCK"])
cc_library(name = "wrong_order", srcs = ["locks.cc"], copts = ["-DWRONG_ORDER"])
END
  printf '#pragma once\ninline int A() { return 1; }\n' >violation/a.h
  printf '#pragma once\n#include "violation/a.h"\ninline int B() { return A(); }\n' >violation/b.h
  printf '#include "violation/a.h"\n#include "violation/b.h"\nint C() { return A() + B(); }\n' >violation/uses.cc
  cat >violation/locks.cc <<'END'
#include "absl/base/thread_annotations.h"
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION();
  void Unlock() ABSL_UNLOCK_FUNCTION();
};
class Map {
 public:
  void Touch() {
#ifndef FORGET_LOCK
    map_.Lock();
#endif
    ++n_;
#ifndef FORGET_LOCK
    map_.Unlock();
#endif
  }
  void Both() {
#ifdef WRONG_ORDER
    queue_.Lock();
    map_.Lock();
    map_.Unlock();
    queue_.Unlock();
#else
    map_.Lock();
    queue_.Lock();
    queue_.Unlock();
    map_.Unlock();
#endif
  }

 private:
  Mutex map_;
  Mutex queue_ ABSL_ACQUIRED_AFTER(map_);
  int n_ ABSL_GUARDED_BY(map_) = 0;
};
void Use() { Map().Touch(), Map().Both(); }
END
}

prove_code_rules() {
  write_code_violations
  expect_built 'layering_check' //violation:names
  expect_refused 'layering_check' //violation:skips "module //violation:skips does not depend on a module exporting 'violation/a.h'"
  expect_built 'testonly' //violation:product_test_lib
  expect_refused 'testonly' //violation:product "non-test target .* depends on testonly target"
  expect_built 'thread safety' //violation:locked
  expect_refused 'thread safety' //violation:unlocked "variable 'n_' requires holding mutex 'map_' exclusively"
  expect_refused 'thread safety' //violation:wrong_order "mutex 'map_' must be acquired before 'queue_'"
}

# The gate of uvm opened to model by hand; a library of uvm found by the group that may see it.
prove_layering_test() {
  local library
  library=$(list_libraries | awk '$1 == "uvm" && $2 ~ /^\/\/uvm:/ { print $2; exit }')
  [[ -n $library ]] || { not_ok 'layering_test: uvm has no library to break in with'; return; }
  sed -i 's|    packages = may_see(column),|    packages = may_see(column) + ["//model/..."],|' BUILD
  rm -rf model/violation
  mkdir -p model/violation
  cat >model/violation/BUILD <<END
load("//tools/bazel:defs.bzl", "layering_test")
cc_library(name = "peeks", deps = ["$library"])
layering_test()
END
  expect_built 'widened visibility' //model/violation:peeks --nobuild
  if run_bazel test --noshow_progress --color=no --test_output=errors //model/violation:layering_test >"$log" 2>&1 </dev/null; then
    not_ok "layering_test: model depends on $library, and its layering_test passes"
  elif grep -q "depends on $library: model may not use uvm" "$log"; then
    ok "layering_test: model depends on $library through a widened list, and its layering_test fails"
  else
    not_ok "layering_test: failed for another reason (see $log)"
  fi
}

command -v bazel >/dev/null || { not_ok 'bazel is not installed'; exit 1; }
copy_tree || { not_ok "the tree cannot be copied to $tree"; exit 1; }
prove_visibility
prove_code_rules
prove_layering_test
exit $bad
