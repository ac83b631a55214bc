#!/bin/bash
# Shows that deployable_symbols.sh passes a good object and names each thing a deployable object must not have.
set -u
check=$1
work=$(mktemp -d "${TEST_TMPDIR:-/tmp}/symbols.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

compile() { clang++ -std=c++20 -O2 -fno-pic -fno-asynchronous-unwind-tables -c -x c++ - -o "$work/$1.o"; }

# expect NAME CODE PATTERN: CODE is the exit code, PATTERN must be in the output.
expect() {
  local output code
  output=$("$check" "$work/list" "$work/$1.o" 2>&1)
  code=$?
  if [[ $code != "$2" ]] || ! grep -qF -- "$3" <<<"$output"; then
    echo "$1: exit code $code, expected $2; expected '$3' in:"
    echo "$output"
    failed=1
  fi
}

printf '# what the kernel supplies\nmemcpy  # page contents\nL4_Call(unsigned long)  # IPC\n' >"$work/list"
good='extern "C" void* memcpy(void*, const void*, unsigned long); void L4_Call(unsigned long);
  void Use(void* a, void* b, unsigned long n) { memcpy(a, b, n); L4_Call(n); } extern const int kTable[] = {1, 2};
  struct Door { virtual int Get() = 0; }; struct Impl final : Door { int Get() override { return 1; } };
  int Call(Door&); int Called() { Impl impl; return Call(impl); } int Call(Door& d) { return d.Get(); }'
compile good <<<"$good"
expect good 0 '1 objects need 2 outside symbols'
compile extra <<<"$good int* More() { return new int; }"
expect extra 1 "undefined symbol 'operator new(unsigned long)' is not in"
compile fewer <<<'void L4_Call(unsigned long); void Use() { L4_Call(1); }'
expect fewer 1 "'memcpy' is needed by no object, remove the line"
compile global <<<"$good int counter = 3;"
expect global 1 'section .data has 4 bytes'
compile zero <<<"$good int counter;"
expect zero 1 'section .bss has 4 bytes'
compile constructor <<<"$good int Start(); int Start() { return 1; } const int kStarted = Start() + *reinterpret_cast<volatile int*>(64);"
expect constructor 1 'section .init_array has'
compile throws <<<"$good void Fail() { throw 1; }"
expect throws 1 "undefined symbol '__cxa_throw'"
printf 'memcpy\nL4_Call(unsigned long)  # IPC\n' >"$work/list"
expect good 1 "'memcpy' gives no reason"
rm "$work/list"
expect good 1 'cannot be read'
exit $failed
