#include "conform/uvm_differences.h"

namespace conform {

namespace {

constexpr UvmDefect kDefects[] = {
    {"B1", "copy-of-shared-keeps-sharing"}, {"B3", "grown-shared-memory-works"},
    {"B4", "mlockall-failure-restores"},    {"B5", "free-of-wired-is-refused"},
    {"B14", "mmap-error-keeps-references"}, {"B15", "unwire-without-translation"},
    {"N3", "copies-can-be-forked-again"},   {"N5", "remap-into-own-hole"},
    {"N7", "topdown-search-from-the-end"},  {"N8", "topdown-search-lowest-hole"},
};

constexpr UvmStepDifference kSteps[] = {
    {"free-forgets-at-once", "a_nopressure_clean_01", "npc-321", "contents of space 0 at 0x136000",
     UvmAfter::kGoesOn},
    // MADV_FREE gives up pages of amaps with one reference only; here there are fewer.
    {"failed-operations-leave-no-trace", "a_nopressure_wild_00", "np-140", "op 58"},
    {"protect-maximum-wires-nothing", "s_syscall_clean_00", "syc-103", "op 50", UvmAfter::kGoesOn},
    {"remap-into-own-hole", "s_syscall_wild_00", "sy-98", "op 66", UvmAfter::kTakenBack},
    {"remap-into-own-hole", "l_loan_clean_00", "lnc-15", "op 31", UvmAfter::kTakenBack},
    {"private-page-hides-the-object", "d_directed_00", "N1b-stale-loan-25", "op 16",
     UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "d_directed_00", "N1b-stale-loan-25",
     "contents of space 0 at 0x100000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "d_directed_nodiag_00", "N1b-stale-loan-25", "op 16",
     UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "d_directed_nodiag_00", "N1b-stale-loan-25",
     "contents of space 0 at 0x100000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "d_directed_00", "N1-stale-obj-24", "op 23",
     UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "d_directed_00", "N1-stale-obj-24",
     "contents of space 0 at 0x100000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "d_directed_nodiag_00", "N1-stale-obj-24", "op 23",
     UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "d_directed_nodiag_00", "N1-stale-obj-24",
     "contents of space 0 at 0x100000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "b_pressure_wild_00", "pr-38",
     "contents of space 1 at 0x175000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "b_pressure_wild_00", "pr-38",
     "contents of space 2 at 0x175000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "b_pressure_wild_00", "pr-75",
     "contents of space 2 at 0x1a7000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "b_pressure_wild_00", "pr-60",
     "contents of space 1 at 0x1fe000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "b_pressure_wild_00", "pr-75",
     "contents of space 1 at 0x1a7000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "b_pressure_wild_00", "pr-94",
     "contents of space 0 at 0x179000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "b_pressure_wild_00", "pr-105",
     "contents of space 6 at 0x179000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "b_pressure_wild_00", "pr-127",
     "contents of space 2 at 0x1ab000", UvmAfter::kGoesOn},
    {"private-page-hides-the-object", "b_pressure_wild_00", "pr-132",
     "contents of space 2 at 0x130000", UvmAfter::kGoesOn},
    {"object-wiring-drops-own-slots", "d_directed_00", "B8a-objwire-10", "op 44",
     UvmAfter::kGoesOn},
    {"object-wiring-drops-own-slots", "d_directed_00", "B8a-objwire-10", "op 45",
     UvmAfter::kGoesOn},
    {"object-wiring-drops-own-slots", "d_directed_00", "B8a-objwire-10",
     "contents of space 0 at 0x100000", UvmAfter::kGoesOn},
    {"object-wiring-drops-own-slots", "d_directed_nodiag_00", "B8a-objwire-10", "op 44",
     UvmAfter::kGoesOn},
    {"object-wiring-drops-own-slots", "d_directed_nodiag_00", "B8a-objwire-10", "op 45",
     UvmAfter::kGoesOn},
    {"object-wiring-drops-own-slots", "d_directed_nodiag_00", "B8a-objwire-10",
     "contents of space 0 at 0x100000", UvmAfter::kGoesOn},
    {"remap-into-own-hole", "b_pressure_clean_02", "prc-1047", "op 95", UvmAfter::kTakenBack},
    {"remap-into-own-hole", "b_pressure_wild_00", "pr-116", "op 44", UvmAfter::kTakenBack},
    {"remap-into-own-hole", "e_swapioerr_clean_00", "ioc-6", "op 33", UvmAfter::kTakenBack},
    {"remap-into-own-hole", "h_inflight_clean_00", "ifc-169", "op 115", UvmAfter::kTakenBack},
    {"remap-into-own-hole", "p_filepager_clean_00", "pgc-50", "op 25", UvmAfter::kTakenBack},
    {"hole-moves-as-nothing", "b_pressure_clean_02", "prc-1062", "op 10"},
    {"hole-moves-as-nothing", "b_pressure_wild_00", "pr-50", "op 50"},
    {"extract-finds-the-lowest-hole", "b_pressure_wild_00", "pr-97", "op 109"},
    {"extract-remove-unwires", "d_directed_nodiag_00", "B13-extract-remove-15",
     "check wired(before 2)", UvmAfter::kGoesOn},
    {"no-growth-past-the-object", "d_directed_00", "N2-beyond-obj-26", "op 3"},
    {"no-growth-past-the-object", "d_directed_nodiag_00", "N2-beyond-obj-26", "op 3"},
};

}  // namespace

absl::Span<const UvmDefect> UvmDefects() { return kDefects; }

const char* NamedUvmDefect(absl::string_view defect) {
  for (const UvmDefect& d : kDefects) {
    if (d.defect == defect) return d.name;
  }
  return nullptr;
}

absl::Span<const UvmStepDifference> UvmStepDifferences() { return kSteps; }

const UvmStepDifference* NamedUvmStep(absl::string_view recording, absl::string_view sequence,
                                      absl::string_view step) {
  for (const UvmStepDifference& d : kSteps) {
    if (d.recording == recording && d.sequence == sequence && d.step == step) return &d;
  }
  return nullptr;
}

}  // namespace conform
