#!/bin/bash
# A sample of the mutants is noticed, each by a run that fails with it and passes without; the program as it is, and a mutant that changes
# nothing, are not.
#
# Usage: sample_test JUDGE LIST...   JUDGE: the program that has all mutants of the lists.
set -u -o pipefail
judge=$(readlink -f "$1")
shift
runs=$PWD
seconds=40
failures=0

# Judges mutant $1 by campaigns, or by the test programs as well if $2 is "programs".
judge_one() {
  local programs=none
  [[ ${2-} == programs ]] && programs=$runs
  "$judge" "$1" "$seconds" 1 "$programs" "${@:3}"
}

complain() {
  echo "$1" >&2
  failures=$((failures + 1))
}

# The program without a bug.
for id in none do_nothing; do
  seconds=3
  verdict=$(judge_one "$id" campaigns "$@") || complain "$id: the judge failed"
  [[ $verdict == *'"killed":false'* ]] || complain "$id was noticed, and there is nothing to notice: $verdict"
done
seconds=40

# Some of every list. What breaks the model is noticed by recordings, not by campaigns.
by_campaigns=(
  fork_forgets_write_protect protect_does_not_wait_for_the_pmap merge_ignores_offset brk_end_never_falls willneed_keeps_object
  run_of_unequal_rights unlinked_head_stays_first
  exec_keeps_heap vm_read_answers_page_start narrow_task_has_wide_words
  removed_page_takes_its_status_along unlinked_mapping_still_named_by_next
  shared_after_copied_write_not_seen growth_wraps_the_offset
)
by_recordings=(model_protect_ignores_maximum model_set_maximum_keeps_rights)

expect_killed() {
  local id=$1 verdict
  verdict=$(judge_one "$@") || complain "$id: the judge failed"
  [[ $verdict == *'"killed":true'* ]] || complain "$id survived: $verdict"
  [[ $verdict == *'"confirmed":true'* ]] || complain "$id was noticed by a run that does not show it again: $verdict"
}
for id in "${by_campaigns[@]}"; do expect_killed "$id" campaigns "$@"; done
for id in "${by_recordings[@]}"; do expect_killed "$id" programs "$@"; done

echo "$failures of $((2 + ${#by_campaigns[@]} + ${#by_recordings[@]})) verdicts are wrong"
exit $((failures != 0))
