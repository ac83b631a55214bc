// l4/kdebug.h: the kernel's console and debugger.
//
// WHAT     Not part of the X.2 interface proper, but every L4 kernel has it. What is printed is
// kept
//          by the simulated kernel, in order; entering the debugger stops the whole machine.
// SEE      fake_l4/kernel.h: console_text, crash_text.
#ifndef FAKE_L4_INCLUDE_L4_KDEBUG_H_
#define FAKE_L4_INCLUDE_L4_KDEBUG_H_

#ifdef __cplusplus
extern "C" {
#endif

// Stops the machine; `text` (not null) says why. Does not return.
void L4_KDB_Enter(const char* text);
void L4_KDB_PrintChar(char c);
void L4_KDB_PrintString(const char* text);
// The next character typed, -1 when there is none: nobody types.
int L4_KDB_ReadChar(void);

#ifdef __cplusplus
}
#endif

#endif  // FAKE_L4_INCLUDE_L4_KDEBUG_H_
