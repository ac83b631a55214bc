#!/bin/bash
# The vmsim binary over good and bad input: exit codes, one-sentence errors, nothing left behind.
set -u
vmsim=$PWD/$1
corpus=$PWD/traces/corpus
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/vmsim_test.XXXXXX")
cd "$work" || exit 1
failures=0

fail() {
  echo "FAIL: $*"
  failures=$((failures + 1))
}

# expect CODE ARGS...: runs vmsim, output in ./out and ./err.
expect() {
  local code=$1
  shift
  "$vmsim" "$@" >out 2>err </dev/null
  local got=$?
  [[ $got == "$code" ]] || fail "vmsim $*: exit code $got, expected $code: $(head -c 300 err)"
}

# bad 'TEXT' ARGS...: bad input. Exit code 1, nothing on standard output, one line with TEXT on standard error, no new file.
bad() {
  local text=$1
  shift
  local before
  before=$(ls -A)
  expect 1 "$@"
  [[ $(wc -l <err) == 1 ]] || fail "vmsim $*: standard error is not one line: $(cat err)"
  grep -qF -- "$text" err || fail "vmsim $*: expected \"$text\" in: $(cat err)"
  [[ -s out ]] && fail "vmsim $*: printed to standard output: $(head -c 200 out)"
  [[ $(ls -A) == "$before" ]] || fail "vmsim $*: left files: $(ls -A)"
}

has() {
  grep -qF -- "$1" "$2" || fail "expected \"$1\" in $2: $(head -c 600 "$2")"
}

touch out err

# --- Help ---
expect 0 --help
has "diagram" out
for command in record import replay run shrink diagram coverage policy; do
  expect 0 "$command" --help
  has "Usage: vmsim $command" out
  has "Exit codes" out
  has "Example" out
  has "--json" out
done
expect 1
has "Usage: vmsim COMMAND" err

# --- Bad usage ---
bad 'there is no command "fly"' fly
bad 'there is no fault site "mapping"' run --faults mapping
bad 'pager_never is there twice' run --faults pager_never,pager_never=3
bad 'unknown option --foo for `vmsim run`' run --foo
bad 'exactly one trace is wanted' policy
bad 'there is no policy "best"' policy --policy clock,best t.trace
bad '--frames takes numbers of frames' policy --frames 10,0 t.trace
bad 'nowhere.trace: cannot be opened' policy nowhere.trace
bad 'cannot be written' policy -o /nowhere/at/all.svg "$corpus/cow_fork_child_write.trace"
bad '--ops wants a number from 1 to 1125899906842624, not "many"' run --ops many
bad '--tasks wants a number from 1 to 48, not "49"' run --tasks 49
bad 'not "99999999999999999999"' run --ops 99999999999999999999
bad '--seed needs a value' run --seed
bad 'there is no lane "linux"' run --lanes linux
bad 'there is no canary "parrot"' run --canary parrot
bad '--frames 3 is too few' run --frames 3
bad '--frames 2000000 is too much for --megabytes 8192' run --frames 2000000
bad '"file:1": a device that is on has at least 2 pages' run --swap file:1
bad 'swap device "12x": "x" is too much' run --swap 12x
bad 'swap device "disk:5": there are memory, file and driver' run --swap 64,disk:5
bad 'swap device "driver:6": a machine has one driver' run --swap driver:5,driver:6
bad 'swap device "file:64": sessions are taken back' explore --swap file:64
bad 'swap device "file:64": sessions are taken back' exhaust --swap file:64
bad 'encryption of swap is off, on or toggled' run --swap-encrypt yes
bad 'colours wants a power of two, not 3' run --memory colours=3
bad 'of memory there is no "color=4"' run --memory color=4
bad 'takes no files' run some.trace
bad 'no trace given' replay
bad 'one trace and -o S.trace are wanted' shrink x.trace
bad 'exactly one trace is wanted' diagram
bad 'a format, a file and -o T.trace are wanted' import strace
bad 'there is no format "dtrace"' import dtrace x -o y.trace
bad 'no program given after --' record -o x.trace
bad 'the program to record goes after --' record -o x.trace ls
bad '-o T.trace is wanted' record -- ls
bad 'no_such_program_here' record -o x.trace -- no_such_program_here

# With --json the sentence is on standard output too, as one object.
for command in "run --json --ops many" "replay --json none.trace" "record --json -o none/x.trace -- ls"; do
  expect 1 $command
  has '"result": "usage"' out
  has '"error": "' out
  [[ $(head -c 1 out) == "{" && $(wc -l <err) == 1 ]] || fail "vmsim $command: $(cat out err)"
done
expect 1 record -o none/x.trace -- ls --json
[[ -s out ]] && fail "the program's own --json was taken for ours"

if [[ -c /dev/full ]]; then
  "$vmsim" --help >/dev/full 2>err && fail "output that cannot be written is no error"
  has "standard output cannot be written" err
fi

# --- Policies over a recorded program's touches ---
expect 0 policy "$corpus/recorded/sqlite_script_touches.trace" --frames 100,50% --policy clock,lru,min -o misses.svg --distances
has "Misses in 100 touches" out
has "Reuse distances" out
has "optimum (MIN)" misses.svg
has "</svg>" misses.svg
expect 0 policy "$corpus/recorded/sqlite_script_touches.trace" --json
has '"policy": "clockpro-adaptive"' out
has '"result": "pass"' out

# --- Bad files ---
bad 'missing.trace' replay missing.trace
bad 'missing.strace' import strace missing.strace -o x.trace
mkdir folder
bad 'folder' replay folder
printf '# bad.trace: an operation that is none\ns1 = space\ns1.mmapp 0x1000 0x1000 rw- private\n' >bad.trace
bad 'bad.trace:3:' replay bad.trace
bad 'bad.trace:3:' diagram bad.trace
bad 'bad.trace:3:' shrink bad.trace -o x.trace
printf '# bad.trace: a number that does not fit\ns1 = space\ns1.munmap 0x10000000000000000 0x1000\n' >bad.trace
bad 'bad.trace:3:' replay bad.trace
printf '# bad.trace: cut off\ns1 = space\ns1.munmap 0x1000' >bad.trace
bad 'bad.trace:3:' replay bad.trace
printf 'no comment\n' >bad.trace
bad 'bad.trace:1:' replay bad.trace
head -c 3000 /bin/sh >bad.trace
bad 'bad.trace:1:' replay bad.trace
: >bad.trace
bad 'bad.trace' replay bad.trace

# Devices and FIFOs are never replaced by a file; what is in the way of the output is said before the work.
mkfifo pipe
bad 'pipe: cannot be written: it is no regular file' record -o pipe -- touch ran
bad 'pipe: cannot be written: it is no regular file' diagram --svg pipe "$(ls "$corpus"/*.trace | head -1)"
bad 'none/x.trace: cannot be written' record -o none/x.trace -- touch ran
[[ -p pipe && ! -e ran ]] || fail "the FIFO was replaced, or the program was run"

# --- Replay ---
one=$(ls "$corpus"/*.trace | head -1)
expect 0 replay "$one"
has "PASS $one" out
has "hash    0x" out
has "synthesised" out
[[ -s err ]] && fail "replay wrote progress to a pipe"
grep -q $'[\r\033]' out && fail "replay coloured a pipe"
expect 0 replay --json "$one"
has '"result": "pass"' out
has '"fault_2b":' out
has '"seed": 0' out
has '"bytes_synthesised": true' out
expect 0 replay --json "$one" "$one"
has '"result": "pass"' out
has '"ops_per_second":' out
expect 0 replay "$corpus"/*.trace
has "traces agree in every lane" out
expect 0 replay --lanes model "$one"
expect 0 diagram "$one"
has "[ ] pages that the operation names" out
expect 0 diagram --svg picture.svg "$one"
has "</svg>" picture.svg
bad 'cannot be written' diagram --html folder/none/x.html "$one"
printf '# wrong.trace: expects what is not so\ns1 = space\ns1.munmap 0x1001 0x1000 -> EINVAL\n' >wrong.trace
expect 17 replay -o small.trace wrong.trace
has "TraceAgrees(munmap)" out
bad "passes in every lane" shrink "$one" -o x.trace

# --- Run ---
expect 0 run --seed 3 --ops 3000
has "PASS" out
cp out first
expect 0 run --seed 3 --ops 3000
[[ $(grep hash first) == "$(grep hash out)" ]] || fail "the same seed gave two hashes"
expect 0 run --seed 3 --ops 3000 --faults all
has "faults_injected" out
expect 0 run --seed 3 --ops 3000 --json
has '"seed": 3' out
has '"ops_per_second":' out

# --- Workers, shards, interrupts: the result is that of the campaign in one piece ---
campaign="run --seed 3 --ops 30000 --case-ops 1000"
expect 0 $campaign --jobs 0
cp out whole
expect 0 $campaign --jobs 3
[[ $(grep hash whole) == "$(grep hash out)" ]] || fail "--jobs changed the hash"
for i in 0 1 2; do
  expect 0 $campaign --shard $i/3 --json
  cp out shard$i.json
done
expect 0 merge shard2.json shard0.json shard1.json
[[ $(grep hash whole) == "$(grep hash out)" ]] || fail "merged shards have another hash"
bad 'of 3 shards there is no 1' merge shard2.json shard0.json
bad 'shard 2 is there twice' merge shard2.json shard2.json
bad 'expected what `vmsim run --json` prints' merge first
bad '--shard wants I/N' run --shard 3/3
expect 0 run --seed 4 --ops 1000 --shard 0/3 --json
cp out other.json
bad 'expected a shard of' merge shard1.json other.json
# interrupt ARGS...: runs vmsim in the background and interrupts it once the directory ./going has its index.
interrupt() {
  "$vmsim" "$@" >out 2>err </dev/null &
  local pid=$!
  until [[ -s going/findings.db ]]; do sleep 0.1; done
  sleep 0.3
  kill -INT "$pid"
  wait "$pid"
  local got=$?
  [[ $got == 130 ]] || fail "vmsim $*: interrupted, it ended with $got: $(cat out err)"
}
interrupt run --seed 3 --ops 50m --case-ops 1000 --findings going
has "INTERRUPTED" out
has "./vmsim run --resume going" out
cp -r going still
interrupt run --resume going --jobs 2
has "INTERRUPTED" out
bad 'expected the options of the interrupted campaign' run --resume still --seed 9
bad 'expected a directory of findings' run --resume none
expect 0 run --seed 3 --ops 30000 --case-ops 1000 --findings done
bad 'expected an interrupted campaign, found one that is complete' run --resume done

# Interrupted and resumed, perhaps twice, a campaign comes to what it would have come to in one piece.
pieces="run --seed 3 --ops 400k --case-ops 1000 --recheck 64"
expect 0 $pieces
grep -v "a second" out >whole
rm -rf going
interrupt $pieces --findings going
[[ $(grep -c INTERRUPTED out) == 1 ]] || fail "the campaign was over before it was interrupted"
expect 0 run --resume going --jobs 2
grep -v -e "a second" -e "new findings" out >resumed
diff whole resumed >difference || fail "resumed, the campaign came to something else: $(cat difference)"

# --- Findings ---
expect 11 run --seed 3 --ops 30000 --canary fork_skips_write_protect --findings found
has "FOUND structure: CopyOnWriteIsReadOnly" out
expect 0 findings found
has "CopyOnWriteIsReadOnly in " out
expect 11 findings --replay --json found
has '"place": ' out
expect 11 run --seed 5 --ops 100 --findings found
has "STILL found/failure_copy_on_write_is_read_only.trace" out
expect 11 merge -o both found
expect 11 findings --replay both
bad 'expected a directory of findings' findings none
bad 'one directory is wanted' findings

# --- What ends or stops the process, and what is not the same twice ---
expect 15 run --seed 1 --ops 20000 --canary crashes_the_process -o crash.trace
has "FAIL crash: No" out
expect 15 replay --no-shrink --canary crashes_the_process crash.trace
expect 0 replay crash.trace
expect 13 run --seed 1 --ops 1000 --canary observer_takes_time -o twice.trace
has "nondeterminism: SameSeedSameHash" out
expect 0 run --seed 1 --ops 1000 --chain a.chain
expect 0 run --seed 1 --ops 1000 --chain b.chain --check-every 1
expect 0 diff a.chain b.chain
expect 0 run --seed 2 --ops 1000 --chain b.chain
expect 13 diff a.chain b.chain
has "case 0, operation 0" out

# --- Mixes, machines drawn for each case, the last phase ---
printf '# mine.mix: little but writing\ntasks 2\npages 9\nop space 1\nop mmap 4\nop write 9\n' >mine.mix
expect 0 run --seed 1 --ops 2000 --mix mine.mix
has "2 tasks, 9 pages" out
expect 0 run --seed 1 --ops 2000 --mix mine.mix --tasks 3
has "3 tasks, 9 pages" out
bad 'there is no pmap "patient"; there are plain, forgetful, refusing' run --pmap patient
expect 0 run --seed 3 --ops 3000 --case-ops 500 --pmap forgetful --json
has '"pmap": "forgetful"' out
has 'pmap forgetful' out
hash=$(grep '"hash"' out)
expect 0 run --seed 3 --ops 3000 --case-ops 500 --pmap forgetful --json --jobs 2
[[ $(grep '"hash"' out) == "$hash" ]] || fail "run --pmap: the same seed gave two hashes"
expect 0 run --seed 3 --ops 3000 --case-ops 500 --pmap refusing
has "pmap refusing" out
# What was found on such a machine is replayed, and found fixed, on such a machine.
expect 11 run --seed 3 --ops 30000 --pmap refusing --canary fork_skips_write_protect -o refused.trace
grep -q -- '--schedule-seed [0-9]* --pmap refusing' out || fail "a failure does not say on which pmap: $(tail -3 out)"
replay=$(grep -o './vmsim replay .*' out | tail -1 | cut -d' ' -f3-)
expect 11 replay --no-shrink $replay
expect 0 exhaust --depth 2 --pmap forgetful
expect 0 explore --schedules 200 --pmap refusing
printf 'op fly 3\n' >mine.mix
bad 'mine.mix:1: expected the name of an operation, found "fly"' run --mix mine.mix
bad 'none.mix' run --mix none.mix
expect 0 run --seed 1 --ops 4000 --case-ops 500 --swarm --liveness --verbose
has "  machine: " out
has "(scarce)" out
# What was drawn stands before what became of it, whoever is left to say that.
expect 0 run --seed 1 --ops 1000 --case-ops 500 --verbose
[ "$(grep -n -m1 '^  mix: ' out | cut -d: -f1)" -lt "$(grep -n -m1 '^case 0: pass' out | cut -d: -f1)" ] ||
  fail "a case began before its configuration was printed"
expect 0 run --seed 1 --ops 1000 --case-ops 500
if grep -q '^  mix: ' out; then fail "many cases print only what became of them"; fi
expect 0 run --seed 1 --ops 500 --case 3
has "case 3:" out
expect 12 run --seed 3 --ops 20000 --case-ops 20 --faults kernel_memory=3,mapping_node=3,pager_late=3 --liveness --canary loses_wake_up -o lost.trace
has "liveness: EveryOperationEnds" out
expect 12 replay --no-shrink --canary loses_wake_up lost.trace

# --- Coverage, of an export that is there already ---
exclusions=$OLDPWD/tools/coverage_exclusions.txt
bad 'there is no source tree to build; start this command as ./vmsim' coverage
bad 'nothing.json: expected a file that can be read' coverage --from nothing.json
bad '--least-lines wants a number from 0 to 100, not "101"' coverage --least-lines 101
bad 'no_vmsim: expected a program, found none' coverage --binary no_vmsim
bad 'expected a program of --config=cov, but it left no profile' coverage --ops 10 --binary "$vmsim"
printf '{"data": [{"files": [' >export.json
bad 'export.json: expected an object with the member "data"' coverage --from export.json
printf '%s' '{"data":[{"files":[{"filename":"uvm/a.cc","branches":[[2,7,2,8,3,0,0,0,4]],"expansions":[],' \
  '"segments":[[1,1,3,true,true,false],[2,10,0,true,true,false],[3,2,0,false,false,false]]}]}]}' >export.json
bad 'tools/coverage_exclusions.txt: expected a file that can be read' coverage --from export.json
mkdir -p tools uvm
cp "$exclusions" tools
bad 'uvm/a.cc: expected a file that can be read' coverage --from export.json
printf '{\n  if (x) F();\n}\n' >uvm/a.cc
: >uvm/b.cc
expect 0 coverage --from export.json --missed
has 'uvm/a.cc      2/    3  66.66%      1/    2  50.00%  0, 0' out
has 'uvm/a.cc:3: never run' out
has 'uvm/a.cc:2:7: never false: x' out
has 'uvm/b.cc  not part of what ran' out
expect 0 coverage --from export.json --least-lines 66 --least-branches 50 --json uvm
has '"branches_reached": 1' out
expect 17 coverage --from export.json --least-lines 67
expect 17 coverage --from export.json --least-branches 51 --json uvm/a.cc
has '"result": "outcome"' out
bad 'no file that was built matches vmserver' coverage --from export.json vmserver

# --- A bug is found, shrunk, saved, and shown again ---
expect 11 run --seed 3 --ops 20000 --canary fork_skips_write_protect -o bug.trace
has "CopyOnWriteIsReadOnly" out
has "As a GoogleTest case" out
has "leaving out any one of them makes it pass" out
has "./vmsim replay --canary fork_skips_write_protect bug.trace" out
expect 11 replay --canary fork_skips_write_protect -o again.trace bug.trace
expect 0 replay bug.trace
expect 0 shrink --canary fork_skips_write_protect bug.trace -o smaller.trace
expect 11 replay --no-shrink --canary fork_skips_write_protect smaller.trace
expect 11 run --seed 3 --ops 20000 --canary fork_skips_write_protect -o bug.trace --json
has '"class": "structure"' out

# --- All short sequences, and schedules of concurrent clients ---
expect 0 exhaust --depth 3
has "PASS 356 states, 1,242 transitions" out
expect 0 exhaust --list
has "48 operations of 15 kinds" out
expect 11 exhaust --depth 4 --canary fork_skips_write_protect -o short.trace
expect 11 replay --canary fork_skips_write_protect -o again2.trace short.trace
bad '--depth wants a number from 1 to 12' exhaust --depth 99
expect 0 explore --schedules 500
has "PASS" out
cp out first
expect 0 explore --schedules 500
[[ $(grep hash first | cut -d, -f1) == "$(grep hash out | cut -d, -f1)" ]] || fail "explore: the same seed gave two hashes"
expect 0 explore --schedule dfs --threads 2 --ops 3 --schedules 500 --json
has '"schedules_per_second":' out
expect 15 explore --canary fault_skips_amap_lock -o lock.trace
has "./vmsim explore --canary fault_skips_amap_lock lock.trace" out
expect 15 explore --canary fault_skips_amap_lock lock.trace
expect 0 explore lock.trace
bad 'there is no kind of schedule "fair"' explore --schedule fair
bad 'expected a comment "# thread"' explore "$one"

rm -rf "$work"
if [[ $failures != 0 ]]; then
  echo "$failures failed"
  exit 1
fi
echo "all passed"
