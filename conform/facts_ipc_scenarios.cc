// Scenarios of IPC between the helpers.
#include <l4/ipc.h>
#include <l4/message.h>
#include <l4/thread.h>

#include <array>
#include <vector>

#include "conform/facts_scenarios.h"

namespace conform {

namespace {

using Bench = FactsBench;

constexpr L4_Word_t kError = L4_TAG_ERROR, kCross = L4_TAG_CROSS_CPU,
                    kRedirected = L4_TAG_REDIRECTED, kPropagated = L4_TAG_PROPAGATED;
// The complete space as a receive window, with and without strings.
constexpr L4_Word_t kWindow = 0x10, kStrings = 1;
constexpr L4_Word_t kContinued = 1;  // the C bit of an item

constexpr L4_Word_t Tag(L4_Word_t untyped, L4_Word_t typed = 0) { return typed << 6 | untyped; }

// A string item of one string: `text` in the sender's image. A buffer looks the same.
constexpr L4_Word_t kText = 0x40c000, kBuffer = 0x40d000, kOtherBuffer = 0x40e000;
constexpr L4_Word_t kBytes64 = 64u << 10, kBytes32 = 32u << 10, kBytes100 = 100u << 10,
                    kBytes40 = 40u << 10;

// The usual pair: h4 receives from anybody, then h2 sends to it.
void FromTwoToFour(Bench& b, const char* scenario, const IpcCall& send,
                   const std::vector<L4_Word_t>& buffers = {}) {
  b.Ipc(4, {.from = L4_anythread, .buffers = buffers});
  IpcCall call = send;
  call.to = b.Id(4);
  b.Ipc(2, call);
  b.Report(scenario, 2);
  b.Report(scenario, 4);
}

// The same between two threads of one space; h3 receives from `from`.
void FromTwoToThree(Bench& b, const char* scenario, L4_ThreadId_t from) {
  b.Ipc(3, {.from = from});
  b.Ipc(2, {.to = b.Id(3), .tag = Tag(3)});
  b.Report(scenario, 2);
  b.Report(scenario, 3);
}

// h2 alone.
void Alone(Bench& b, const char* scenario, const IpcCall& call) {
  b.Ipc(2, call);
  b.Report(scenario, 2);
}

// Root cancels whatever `helper` is blocked in.
void Cancel(Bench& b, uint32_t helper) {
  const L4_ThreadId_t id = b.Id(helper);
  b.Root([id] {
    L4_ExchangeSome(id, L4_EXREGS_CANCEL_SEND | L4_EXREGS_CANCEL_RECV, 0, 0, 0, nullptr, nullptr,
                    nullptr, nullptr);
    return FactValue();
  });
}

// ---- One thread, whose partner is not waiting ----

constexpr Story kAlone[] = {
    {"send_wrong_version",
     [](Bench& b) { Alone(b, "send_wrong_version", {.to = b.OtherVersion(4), .tag = Tag(1)}); }},
    {"send_no_such_thread",
     [](Bench& b) { Alone(b, "send_no_such_thread", {.to = b.NoSuchThread(), .tag = Tag(1)}); }},
    {"recv_from_no_such_thread",
     [](Bench& b) { Alone(b, "recv_from_no_such_thread", {.from = b.NoSuchThread()}); }},
    {"send_zero_timeout_not_waiting",
     [](Bench& b) {
       Alone(b, "send_zero_timeout_not_waiting",
             {.to = b.Id(4), .send_timeout = kAtOnce, .tag = Tag(1)});
     }},
    {"send_10ms_timeout",
     [](Bench& b) {
       Alone(b, "send_10ms_timeout",
             {.to = b.Id(4), .send_timeout = kTenMilliseconds, .tag = Tag(1)});
     }},
    {"recv_any_zero_timeout",
     [](Bench& b) {
       Alone(b, "recv_any_zero_timeout", {.from = L4_anythread, .receive_timeout = kAtOnce});
     }},
    {"recv_any_10ms",
     [](Bench& b) {
       Alone(b, "recv_any_10ms", {.from = L4_anythread, .receive_timeout = kTenMilliseconds});
     }},
    {"recv_closed_10ms",
     [](Bench& b) {
       Alone(b, "recv_closed_10ms", {.from = b.Id(4), .receive_timeout = kTenMilliseconds});
     }},
    {"recv_anylocal_zero",
     [](Bench& b) {
       Alone(b, "recv_anylocal_zero", {.from = L4_anylocalthread, .receive_timeout = kAtOnce});
     }},
    // The tag that goes in is nil, too: the README does not say what else it was.
    {"nil_nil", [](Bench& b) { Alone(b, "nil_nil", {}); }},
    {"send_to_self_zero",
     [](Bench& b) {
       Alone(b, "send_to_self_zero", {.to = b.Id(2), .send_timeout = kAtOnce, .tag = Tag(1)});
     }},
    {"call_self_10ms",
     [](Bench& b) {
       Alone(b, "call_self_10ms",
             {.to = b.Id(2),
              .from = b.Id(2),
              .send_timeout = kTenMilliseconds,
              .receive_timeout = kTenMilliseconds,
              .tag = Tag(1)});
     }},
    {"send_forever send_cancelled_by_exregs",
     [](Bench& b) {
       Alone(b, "send_forever", {.to = b.Id(4), .tag = Tag(1)});
       Cancel(b, 2);
       b.Report("send_cancelled_by_exregs", 2);
     }},
    {"recv_forever recv_cancelled_by_exregs",
     [](Bench& b) {
       Alone(b, "recv_forever", {.from = L4_anythread});
       Cancel(b, 2);
       b.Report("recv_cancelled_by_exregs", 2);
     }},
};

// ---- Untyped words ----

constexpr Story kUntyped[] = {
    {"untyped3_global", [](Bench& b) { FromTwoToFour(b, "untyped3_global", {.tag = Tag(3)}); }},
    {"intra_space_recv_any",
     [](Bench& b) { FromTwoToThree(b, "intra_space_recv_any", L4_anythread); }},
    {"intra_space_recv_anylocal",
     [](Bench& b) { FromTwoToThree(b, "intra_space_recv_anylocal", L4_anylocalthread); }},
    {"inter_space_recv_anylocal",
     [](Bench& b) {
       b.Ipc(4, {.from = L4_anylocalthread});
       b.Ipc(2, {.to = b.Id(4), .send_timeout = kTenMilliseconds, .tag = Tag(3)});
       b.Report("inter_space_recv_anylocal", 2);
       b.Report("inter_space_recv_anylocal", 4);
     }},
    {"intra_space_recv_closed_global",
     [](Bench& b) { FromTwoToThree(b, "intra_space_recv_closed_global", b.Id(2)); }},
    {"flags_rXE_on_send",
     [](Bench& b) {
       const L4_Word_t tag = L4_Word_t{0x1234} << 16 | kError | kCross | kRedirected | Tag(3);
       FromTwoToFour(b, "flags_rXE_on_send", {.tag = tag});
     }},
    {"untyped63", [](Bench& b) { FromTwoToFour(b, "untyped63", {.tag = Tag(63)}); }},
    {"u60_t4_too_many",
     [](Bench& b) { FromTwoToFour(b, "u60_t4_too_many", {.tag = Tag(60, 4)}, {kWindow}); }},
    {"call_then_recv_timeout",
     [](Bench& b) {
       FromTwoToFour(b, "call_then_recv_timeout",
                     {.from = b.Id(4), .receive_timeout = kTenMilliseconds, .tag = Tag(2)});
     }},
};

// ---- Typed items ----

constexpr Story kItems[] = {
    {"ctrlxfer_type_not_compiled",
     [](Bench& b) {
       FromTwoToFour(b, "ctrlxfer_type_not_compiled", {.tag = Tag(0, 2), .words = {0xc, 0}},
                     {kWindow});
     }},
    {"map_item_t1_nilpage_beyond",
     [](Bench& b) {
       FromTwoToFour(b, "map_item_t1_nilpage_beyond", {.tag = Tag(0, 1), .words = {8, 0}},
                     {kWindow});
     }},
    {"map_nilpage_into_nil_window",
     [](Bench& b) {
       FromTwoToFour(b, "map_nilpage_into_nil_window", {.tag = Tag(1, 2), .words = {0x77, 8, 0}},
                     {0});
     }},
    {"map_nilpage",
     [](Bench& b) {
       FromTwoToFour(b, "map_nilpage", {.tag = Tag(1, 2), .words = {0x77, 8, 0}}, {kWindow});
     }},
    {"map_unmapped_page",
     [](Bench& b) {
       FromTwoToFour(b, "map_unmapped_page",
                     {.tag = Tag(1, 2), .words = {0x77, 0x50000008, 0x500000c7}}, {kWindow});
     }},
    {"map_size_2K",
     [](Bench& b) {
       FromTwoToFour(b, "map_size_2K", {.tag = Tag(1, 2), .words = {0x77, 0x50000008, 0x500000b7}},
                     {kWindow});
     }},
};

// ---- Strings ----

constexpr Story kStringStories[] = {
    {"string64_into_100",
     [](Bench& b) {
       FromTwoToFour(b, "string64_into_100", {.tag = Tag(1, 2), .words = {0x77, kBytes64, kText}},
                     {kStrings, kBytes100, kBuffer});
     }},
    {"string64_into_40",
     [](Bench& b) {
       FromTwoToFour(b, "string64_into_40", {.tag = Tag(1, 2), .words = {0x77, kBytes64, kText}},
                     {kStrings, kBytes40, kBuffer});
     }},
    {"string_not_accepted",
     [](Bench& b) {
       FromTwoToFour(b, "string_not_accepted", {.tag = Tag(1, 2), .words = {0x77, kBytes64, kText}},
                     {0});
     }},
    {"two_strings_one_buffer",
     [](Bench& b) {
       FromTwoToFour(b, "two_strings_one_buffer",
                     {.tag = Tag(0, 4), .words = {kBytes64 | kContinued, kText, kBytes32, kText}},
                     {kStrings, kBytes100, kBuffer});
     }},
    // One buffer of two parts of equal size.
    {"string64_into_compound_40_40",
     [](Bench& b) {
       FromTwoToFour(b, "string64_into_compound_40_40",
                     {.tag = Tag(0, 2), .words = {kBytes64, kText}},
                     {kStrings, kBytes40 | 1 << 4, kBuffer, kOtherBuffer});
     }},
    {"string_then_map_no_window",
     [](Bench& b) {
       FromTwoToFour(b, "string_then_map_no_window",
                     {.tag = Tag(0, 4), .words = {kBytes64 | kContinued, kText, 8, 0}},
                     {kStrings, kBytes100, kBuffer});
     }},
    {"map_then_string_not_accepted",
     [](Bench& b) {
       FromTwoToFour(b, "map_then_string_not_accepted",
                     {.tag = Tag(0, 4), .words = {8 | kContinued, 0, kBytes64, kText}}, {kWindow});
     }},
};

// ---- Propagation ----

// h2 sends one word to h4 in the name of `virtual_sender`; h4 receives from `from`.
void Propagate(Bench& b, const char* scenario, L4_ThreadId_t virtual_sender,
               L4_ThreadId_t from = L4_anythread) {
  b.Ipc(4, {.from = from});
  b.Ipc(2, {.to = b.Id(4), .tag = kPropagated | Tag(1), .virtual_sender = virtual_sender});
  b.Report(scenario, 2);
  b.Report(scenario, 4);
}

constexpr Story kPropagation[] = {
    {"propagate_same_space_vs", [](Bench& b) { Propagate(b, "propagate_same_space_vs", b.Id(3)); }},
    {"propagate_foreign_vs", [](Bench& b) { Propagate(b, "propagate_foreign_vs", b.Id(0)); }},
    {"propagate_intra_foreign_vs",
     [](Bench& b) {
       b.Ipc(3, {.from = L4_anythread});
       b.Ipc(2, {.to = b.Id(3), .tag = kPropagated | Tag(1), .virtual_sender = b.Id(4)});
       b.Report("propagate_intra_foreign_vs", 2);
       b.Report("propagate_intra_foreign_vs", 3);
     }},
    {"propagate_vs_is_self", [](Bench& b) { Propagate(b, "propagate_vs_is_self", b.Id(2)); }},
    {"propagate_closed_recv_for_vs",
     [](Bench& b) { Propagate(b, "propagate_closed_recv_for_vs", b.Id(3), b.Id(3)); }},
    {"propagate_closed_recv_for_actual",
     [](Bench& b) { Propagate(b, "propagate_closed_recv_for_actual", b.Id(3), b.Id(2)); }},
    {"propagate_turn propagate_turn_reply_by_receiver propagate_turn_vs",
     [](Bench& b) {
       b.Ipc(3, {.from = b.Id(2)});
       Propagate(b, "propagate_turn", b.Id(3));
       b.Ipc(4, {.to = b.Id(3), .tag = Tag(1)});
       b.Report("propagate_turn_reply_by_receiver", 4);
       b.Report("propagate_turn_vs", 3);
     }},
};

}  // namespace

absl::Span<const Story> AloneStories() { return kAlone; }
absl::Span<const Story> UntypedStories() { return kUntyped; }
absl::Span<const Story> ItemStories() { return kItems; }
absl::Span<const Story> StringStories() { return kStringStories; }
absl::Span<const Story> PropagationStories() { return kPropagation; }

}  // namespace conform
