// Recorded files with random damage: a parser accepts them or names the file, a line that is not
// before the damage, what was expected and what was found instead.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/prng.h"
#include "conform/facts.h"
#include "conform/mach_recording.h"
#include "conform/prefixes.h"
#include "conform/recording.h"
#include "conform/uvm_recording.h"
#include "gtest/gtest.h"

namespace conform {
namespace {

constexpr char kName[] = "dir/file.txt";
constexpr int kDamages = 1500;  // of each file
constexpr size_t kSampleBytes = 12'000;

// The number of check lines of the text, or its parser's error.
using Parse = std::function<absl::StatusOr<uint64_t>(absl::string_view)>;

template <typename File>
absl::StatusOr<uint64_t> CountOf(const absl::StatusOr<File>& file) {
  if (!file.ok()) return file.status();
  return file->Count();
}

struct Kind {
  const char* file;
  const char* first_of_unit;  // a file is whole before each line that starts so
  Parse parse;
  const char* ending = "";  // the file's last line, where it must have one
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.file; }

absl::StatusOr<uint64_t> CountRecording(absl::string_view text) {
  return CountOf(ParseRecording(kName, text));
}
absl::StatusOr<uint64_t> CountFacts(absl::string_view text) {
  return CountOf(ParseFacts(kName, text));
}
absl::StatusOr<uint64_t> CountPrefixes(absl::string_view text) {
  return CountOf(ParsePrefixes(kName, text));
}

absl::StatusOr<uint64_t> CountMach(absl::string_view text) {
  return CountOf(ParseMachRecording(kName, text));
}

absl::StatusOr<uint64_t> CountUvm(absl::string_view text) {
  return CountOf(ParseUvmRecording(kName, text));
}

// As much of the file as is quick to parse, and whole.
std::string Sample(const Kind& kind) {
  absl::StatusOr<std::string> text = ReadTextFile(absl::StrCat("conform/testdata/", kind.file));
  EXPECT_TRUE(text.ok()) << text.status();
  if (!text.ok() || text->size() <= kSampleBytes) return text.value_or("");
  const std::string unit = absl::StrCat("\n", kind.first_of_unit);
  // Where units are longer, the first one.
  size_t end = text->rfind(unit, kSampleBytes);
  if (end == std::string::npos || end < kSampleBytes / 4) end = text->find(unit, kSampleBytes);
  EXPECT_NE(end, std::string::npos);
  return absl::StrCat(text->substr(0, end + 1), kind.ending);
}

// From 1.
int LineAt(absl::string_view text, size_t at) {
  int line = 1;
  for (const char c : text.substr(0, at)) line += c == '\n';
  return line;
}

struct Damage {
  std::string text;
  int line = 0;  // what comes before this line is as it was
};

// The line that `at` is in, its end included.
absl::string_view LineOf(absl::string_view text, size_t at) {
  const size_t before = at == 0 ? absl::string_view::npos : text.rfind('\n', at - 1);
  const size_t begin = before == absl::string_view::npos ? 0 : before + 1;
  return text.substr(begin, text.find('\n', begin) - begin + 1);
}

Damage Damaged(const std::string& text, base::Prng& prng) {
  static constexpr absl::string_view kPieces[] = {
      "0",    "ffffffff", "4294967296", "99999999999999999999",
      "-1",   "\n",       " ",          "#",
      "=",    ",",        "st",         "op ",
      "seq ", "fact ",    "\r",         "\t",
      "x",    ":",        "`"};
  const size_t at = prng.Below(text.size());
  Damage d{text, LineAt(text, at)};
  const absl::string_view line = LineOf(text, at);
  const size_t begin = static_cast<size_t>(line.data() - text.data());
  switch (prng.Below(8)) {
    case 0:
      d.text[at] = static_cast<char>(d.text[at] ^ 1 << prng.Below(8));
      break;
    case 1:
      d.text[at] = static_cast<char>(prng.Below(256));
      break;
    case 2:
      d.text.erase(at, 1 + prng.Below(4));
      break;
    case 3:
      d.text.insert(at, std::string(kPieces[prng.Below(std::size(kPieces))]));
      break;
    case 4:  // the end is missing
      d.text.resize(at);
      break;
    case 5:  // a line is missing
      d.text.erase(begin, line.size());
      break;
    case 6:  // a line stands twice
      d.text.insert(begin, std::string(line));
      break;
    default: {  // another line stands here as well
      const std::string other(LineOf(text, prng.Below(text.size())));
      d.text.insert(begin, other);
      break;
    }
  }
  return d;
}

// Empty, or what is wrong with an error about the damaged text.
std::string WrongWith(const absl::Status& error, const Damage& d) {
  const absl::string_view message = error.message();
  const std::string head = absl::StrCat(kName, ":");
  if (!absl::StartsWith(message, head)) return "does not name the file";
  absl::string_view rest = message.substr(head.size());
  int line = 0;
  if (!absl::SimpleAtoi(rest.substr(0, rest.find(':')), &line)) return "does not name the line";
  if (line < d.line) return absl::StrCat("names a line before the damage in ", d.line);
  if (line > LineAt(d.text, d.text.size()) + 1) return "names a line behind the end";
  if (!absl::StrContains(rest, ": expected ")) return "does not tell what was expected";
  if (!absl::StrContains(rest, ", found ")) return "does not tell what was found";
  for (const char c : message) {
    if (c < ' ' || c > '~') return "does not print";
  }
  return "";
}

class DamagedFilesTest : public testing::TestWithParam<Kind> {};

TEST_P(DamagedFilesTest, AreAcceptedOrAnErrorNamesThePlace) {
  const std::string text = Sample(GetParam());
  const absl::StatusOr<uint64_t> whole = GetParam().parse(text);
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_GE(*whole, 10u);
  int errors = 0;
  for (int i = 0; i < kDamages; i++) {
    base::Prng prng(1, GetParam().file, static_cast<uint64_t>(i));
    Damage d = Damaged(text, prng);
    // Once more, further down or up.
    if (prng.Below(4) == 0 && !d.text.empty()) {
      const int first = d.line;
      d = Damaged(d.text, prng);
      d.line = std::min(d.line, first);
    }
    const absl::StatusOr<uint64_t> count = GetParam().parse(d.text);
    if (count.ok()) {
      EXPECT_LE(*count, static_cast<uint64_t>(LineAt(d.text, d.text.size()))) << i;
      continue;
    }
    errors++;
    EXPECT_EQ(WrongWith(count.status(), d), "") << i << ": " << count.status();
  }
  // Another number is often as good as the one that stood there; a broken line never is.
  EXPECT_GT(errors, kDamages / 2);
  EXPECT_LT(errors, kDamages);
}

TEST_P(DamagedFilesTest, RandomBytesAreErrors) {
  for (int i = 0; i < kDamages; i++) {
    base::Prng prng(2, GetParam().file, static_cast<uint64_t>(i));
    Damage d{std::string(prng.Below(300), '\0'), 1};
    for (char& c : d.text) c = static_cast<char>(prng.Below(i % 2 == 0 ? 256 : 128));
    const absl::StatusOr<uint64_t> count = GetParam().parse(d.text);
    ASSERT_FALSE(count.ok()) << i;
    EXPECT_EQ(WrongWith(count.status(), d), "") << i << ": " << count.status();
    (void)LooksLikeFacts(d.text);
    (void)LooksLikePrefixes(d.text);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedFilesTest,
    testing::Values(Kind{"newmdb_4k.txt.gz", "seq ", CountRecording},
                    Kind{"newmdb_super.txt.gz", "seq ", CountRecording},
                    Kind{"oldmdb_status.txt.gz", "seq ", CountRecording},
                    Kind{"mung_4k.txt.gz", "seq ", CountRecording},
                    Kind{"gnumach_fork_1.txt.gz", "S ", CountMach},
                    Kind{"gnumach_edge_cases.txt.gz", "X ", CountMach, "DONE\n"},
                    Kind{"ipc_syscall_facts.txt.gz", "fact ", CountFacts},
                    Kind{"manual_prefix.txt.gz", "", CountPrefixes},
                    Kind{"netbsd_uvm/d_directed_00.txt.gz", "seq ", CountUvm},
                    Kind{"netbsd_uvm/s_syscall_wild_00.txt.gz", "seq ", CountUvm},
                    Kind{"netbsd_uvm/x_stale_expected_00.txt.gz", "seq ", CountUvm}),
    [](const testing::TestParamInfo<Kind>& info) {
      const std::string file = info.param.file;
      const size_t begin = file.rfind('/') + 1;
      return file.substr(begin, file.find('.') - begin);
    });

// Of a packed file, the check sum tells.
TEST(DamagedGzipTest, IsAnErrorThatNamesTheFile) {
  constexpr char kFile[] = "conform/testdata/manual_prefix.txt.gz";
  std::ifstream input(kFile, std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
  ASSERT_GT(good.size(), 100u);
  const absl::StatusOr<std::string> text = ReadTextFile(kFile);
  ASSERT_TRUE(text.ok());
  const std::string file = absl::StrCat(std::getenv("TEST_TMPDIR"), "/damaged.gz");
  int errors = 0;
  for (int i = 0; i < 150; i++) {
    base::Prng prng(3, "gzip", static_cast<uint64_t>(i));
    std::string bytes = good;
    // The first two bytes say that it is packed.
    const size_t at = 2 + prng.Below(bytes.size() - 2);
    if (prng.Below(3) == 0) {
      bytes.resize(at);
    } else {
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << prng.Below(8));
    }
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    const absl::StatusOr<std::string> read = ReadTextFile(file);
    if (read.ok()) {  // a bit of the header that says nothing about the contents
      EXPECT_EQ(*read, *text) << i;
      continue;
    }
    errors++;
    EXPECT_TRUE(absl::StartsWith(read.status().message(), file + ": ")) << read.status();
  }
  EXPECT_GT(errors, 120);
}

}  // namespace
}  // namespace conform
