#!/bin/bash
# One shard of a campaign: Bazel says which (TEST_SHARD_INDEX of TEST_TOTAL_SHARDS); alone it is all of it. What it came to goes to
# TEST_UNDECLARED_OUTPUTS_DIR as JSON, for `vmsim merge`; findings go there, too. Further arguments go to `vmsim run`.
set -u
vmsim=$PWD/$1
shift
outputs=${TEST_UNDECLARED_OUTPUTS_DIR:-${TEST_TMPDIR:-/tmp}}
index=${TEST_SHARD_INDEX:-0}
count=${TEST_TOTAL_SHARDS:-1}
# Bazel wants to know that the test can be sharded.
[[ -n ${TEST_SHARD_STATUS_FILE:-} ]] && touch "$TEST_SHARD_STATUS_FILE"
result=$outputs/shard_$index.json
"$vmsim" run --shard "$index/$count" --findings "$outputs/findings_$index" --json "$@" >"$result"
code=$?
[[ $code == 0 ]] || { cat "$result" && "$vmsim" findings "$outputs/findings_$index"; }
grep -q '"result": "pass"' "$result" || exit 1
exit "$code"
