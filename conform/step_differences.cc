// Where operations of L4Ka::Pistachio's recordings end otherwise by the manual's rules: the first
// such operation of each sequence, by the rule that explains it. docs/DIFFERENCES.md tells what
// each name means. recordings_test holds the table exact: it names all that differ, nothing that
// agrees.
#include "conform/differences.h"

namespace conform {

namespace {

// clang-format off
constexpr StepDifference kStepDifferences[] = {
    {"pistachio-grant-and-children", "newmdb_4k", "manual",
     "2:16 9:18 22:18 27:23 45:6 50:13 57:7 74:7 76:19 90:12 91:11 99:9"},
    {"pistachio-grant-flushes-fpage", "newmdb_4k", "manual",
     "11:2 16:14 23:20 24:6 28:23 34:12 36:21 43:14 44:10 46:15 48:23 51:4 56:11 68:18 "
     "72:21 82:1 83:13 93:17 97:18"},
    {"pistachio-holes-shift-target", "newmdb_4k", "manual",
     "3:22 5:13 6:2 25:20 30:7 40:24 55:2 62:13 67:17 78:16"},
    {"pistachio-item-without-rights", "newmdb_4k", "manual",
     "7:6 38:24 84:13"},
    {"pistachio-rights-not-masked", "newmdb_4k", "manual",
     "0:21 10:12 15:14 21:15 32:10 35:7 47:4 58:16 61:13 65:13 69:7 71:5 77:13 79:9 "
     "87:16 88:10 89:17 92:10 96:16 98:11"},
    {"pistachio-status-bits", "newmdb_4k", "manual",
     "49:16"},
    {"pistachio-unmap-sets-rights", "newmdb_4k", "manual",
     "8:12 12:12"},
    {"pistachio-grant-and-children", "newmdb_self", "manual",
     "17:20 36:16 45:6 49:5 55:7 68:15 70:1 73:9 77:13"},
    {"pistachio-grant-flushes-fpage", "newmdb_self", "manual",
     "6:10 7:15 9:4 13:10 18:12 19:18 22:7 38:16 39:13 56:6 59:4 62:7 63:8 71:7 72:7 "
     "81:14 84:18 95:19 98:18"},
    {"pistachio-holes-shift-target", "newmdb_self", "manual",
     "4:7 12:16 20:1 28:13 30:8 41:13 48:11 51:24 74:10 75:16"},
    {"pistachio-item-without-rights", "newmdb_self", "manual",
     "21:4 53:5 65:16 85:5"},
    {"pistachio-page-onto-itself", "newmdb_self", "manual",
     "0:8 1:10 2:19 11:7 15:14 26:9 29:3 31:16 32:6 37:19 43:10 46:12 57:15 66:2 76:24 "
     "78:20 79:10 82:1 88:13 90:5 91:1 94:10 97:1 99:2"},
    {"pistachio-rights-not-masked", "newmdb_self", "manual",
     "10:16 14:12 23:7 24:17 25:11 40:8 47:13 61:11 64:23 67:15 96:24"},
    {"pistachio-status-bits", "newmdb_self", "manual",
     "42:22"},
    {"pistachio-unmap-sets-rights", "newmdb_self", "manual",
     "8:13 35:12 54:12"},
    {"pistachio-grant-and-children", "newmdb_status", "manual",
     "6:9 15:20 22:18 23:7 35:6 51:25 60:4 63:8 67:13 72:9 80:3 85:15 86:13"},
    {"pistachio-grant-flushes-fpage", "newmdb_status", "manual",
     "5:10 9:15 26:1 36:3 42:11 49:9 61:14 77:13"},
    {"pistachio-holes-shift-target", "newmdb_status", "manual",
     "27:17 58:13 87:21"},
    {"pistachio-item-without-rights", "newmdb_status", "manual",
     "0:16 76:5"},
    {"pistachio-rights-not-masked", "newmdb_status", "manual",
     "7:15 10:30 12:29 30:22 32:18 34:22 39:18 50:4 53:18 70:25 73:30 89:26 91:11 "
     "94:19 96:20 97:21 98:18"},
    {"pistachio-status-bits", "newmdb_status", "manual",
     "62:12"},
    {"pistachio-unmap-sets-rights", "newmdb_status", "manual",
     "21:18 47:6 54:22 56:27 82:14"},
    {"pistachio-grant-flushes-fpage", "newmdb_super", "manual",
     "8:13 10:2 16:5 23:2 24:8 26:2 27:9 35:10 47:5 48:7 60:2 73:3 80:1 90:2"},
    {"pistachio-holes-shift-target", "newmdb_super", "manual",
     "29:12 64:7"},
    {"pistachio-item-without-rights", "newmdb_super", "manual",
     "81:10"},
    {"pistachio-rights-not-masked", "newmdb_super", "manual",
     "11:12 28:11 31:15 56:7"},
    {"pistachio-superpage-flush", "newmdb_super", "manual",
     "0:6 4:17 7:2 18:8 39:3 46:2 51:7 61:5 66:12 67:1 70:8 82:9 85:6 96:8 98:12"},
    {"pistachio-superpage-grant", "newmdb_super", "manual",
     "3:17 6:3 9:4 20:9 22:7 25:1 36:16 37:3 40:8 43:8 44:12 50:3 53:17 54:6 62:7 75:2 "
     "76:1 79:18 83:13 84:4 86:19 87:2 88:6 91:5 92:6 97:13 99:3"},
    {"pistachio-superpage-map", "newmdb_super", "manual",
     "1:2 2:7 5:7 12:9 14:18 15:17 17:6 21:3 30:3 32:8 33:10 34:9 42:11 45:7 49:3 52:3 "
     "57:3 63:4 65:14 68:13 69:14 71:3 72:1 74:8 78:3"},
    {"pistachio-superpage-unmap", "newmdb_super", "manual",
     "13:5 19:5 58:20 89:5"},
    {"pistachio-unmap-sets-rights", "newmdb_super", "manual",
     "59:2 94:19"},
    {"pistachio-grant-and-children", "oldmdb_4k", "manual",
     "2:17 47:4 50:13 74:21 91:11"},
    {"pistachio-grant-flushes-fpage", "oldmdb_4k", "manual",
     "11:2 16:14 23:20 24:6 28:23 34:12 36:21 43:14 44:10 45:12 46:15 48:23 51:4 56:11 "
     "57:21 68:18 72:21 77:13 82:1 83:13 90:20 93:17 97:18 98:11"},
    {"pistachio-holes-shift-target", "oldmdb_4k", "manual",
     "3:22 5:13 6:2 25:20 30:7 32:10 40:24 55:2 62:13 67:17 78:16"},
    {"pistachio-item-without-rights", "oldmdb_4k", "manual",
     "7:6 38:24 84:13"},
    {"pistachio-rights-not-masked", "oldmdb_4k", "manual",
     "0:21 8:14 10:12 15:14 21:15 35:7 58:16 61:13 65:13 69:7 71:5 79:9 87:16 88:10 "
     "89:17 92:10 96:16"},
    {"pistachio-same-frame-kept", "oldmdb_4k", "manual",
     "17:22 22:5 63:16 76:19"},
    {"pistachio-status-bits", "oldmdb_4k", "manual",
     "49:16"},
    {"pistachio-grant-and-children", "oldmdb_self", "manual",
     "10:16 17:20 24:17 73:9"},
    {"pistachio-grant-flushes-fpage", "oldmdb_self", "manual",
     "6:10 9:4 13:10 18:12 19:18 22:7 38:16 39:13 56:6 59:4 61:11 62:7 63:8 71:7 72:7 "
     "84:18 95:19 98:18"},
    {"pistachio-holes-shift-target", "oldmdb_self", "manual",
     "1:12 4:7 12:16 28:13 30:8 41:13 48:11 49:24 51:24 70:11 74:10 75:16"},
    {"pistachio-item-without-rights", "oldmdb_self", "manual",
     "7:15 21:4 53:5 65:16 66:4 85:5"},
    {"pistachio-rights-not-masked", "oldmdb_self", "manual",
     "8:16 14:12 20:14 23:7 25:11 29:13 35:18 40:8 47:13 64:23 67:15 78:20 79:11 82:21 "
     "94:17 96:24"},
    {"pistachio-same-frame-kept", "oldmdb_self", "manual",
     "26:12 32:7 57:18 68:19 81:7 91:11 97:24"},
    {"pistachio-status-bits", "oldmdb_self", "manual",
     "42:22"},
    {"pistachio-grant-and-children", "oldmdb_status", "manual",
     "6:9 12:29 22:18 35:6 51:25 63:8 67:13 80:3 86:13 96:20 97:21"},
    {"pistachio-grant-flushes-fpage", "oldmdb_status", "manual",
     "5:10 9:15 26:1 36:3 42:11 49:9 61:14 72:14 77:13 89:26"},
    {"pistachio-holes-shift-target", "oldmdb_status", "manual",
     "23:9 27:17 47:20 58:13 87:21"},
    {"pistachio-item-without-rights", "oldmdb_status", "manual",
     "0:16 76:5"},
    {"pistachio-rights-not-masked", "oldmdb_status", "manual",
     "7:15 10:30 30:22 32:18 34:22 39:18 50:4 70:25 73:30 91:11 94:19 98:18"},
    {"pistachio-same-frame-kept", "oldmdb_status", "manual",
     "29:7 38:8 46:19 53:17 66:12"},
    {"pistachio-status-bits", "oldmdb_status", "manual",
     "40:23 62:12 82:23 85:16"},
};
// clang-format on

}  // namespace

absl::Span<const StepDifference> StepDifferences() { return kStepDifferences; }

}  // namespace conform
