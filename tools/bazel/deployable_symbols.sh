#!/bin/bash
# Holds relocatable objects to design D2 and D3. Usage: deployable_symbols.sh LIST OBJECT...
#
# 1. Each undefined symbol of an object is in LIST, and each line of LIST is needed by at least one object. A line of LIST is a demangled name
#    as `nm -C` prints it, two spaces or more, `#` and the reason why a real system must supply it; lines that start with # are comments.
# 2. No object has writable data, thread-local data, static constructors or exception tables: no mutable globals, no run-time support.
set -u -o pipefail
export LC_ALL=C
list=$1
shift
failed=0
complain() {
  echo "$*"
  failed=1
}

[[ -r $list ]] || { echo "$list: error: cannot be read"; exit 1; }
while IFS= read -r line; do
  [[ -z $line || $line == '#'* ]] && continue
  [[ $line =~ ^.*[^\ ]\ \ +'# '.+ ]] || complain "$list: error: '$line' gives no reason, use 'symbol  # why'"
done <"$list"
wanted=$(sed -n 's/^\([^# ].*[^ ]\|[^# ]\)  *# .*$/\1/p' "$list" | sed 's/ *$//' | sort -u)

everything=
for object in "$@"; do
  undefined=$(nm -u -C "$object" | sed 's/^ *[Uvw] //' | sort -u) || complain "$object: error: nm failed"
  everything+=$undefined$'\n'
  while IFS= read -r symbol; do
    [[ -z $symbol ]] || complain "$object: error: undefined symbol '$symbol' is not in $list: do without it, or add it with a reason"
  done < <(comm -23 <(echo "$undefined") <(echo "$wanted"))
  while read -r section size; do
    complain "$object: error: section $section has $size bytes; the deployable side has no mutable globals, static constructors or exceptions"
  done < <(size -A -d "$object" |
    awk '$1 ~ /^\.(data|bss|tdata|tbss|init_array|fini_array|ctors|dtors|gcc_except_table)/ && $2 > 0 { print $1, $2 }')
done
while IFS= read -r symbol; do
  [[ -z $symbol ]] || complain "$list: error: '$symbol' is needed by no object, remove the line"
done < <(comm -13 <(echo "$everything" | sort -u) <(echo "$wanted"))

((failed == 0)) && echo "$# objects need $(echo "$wanted" | grep -c .) outside symbols, each with its reason"
exit $failed
