#include "tools/import/exec_image.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/addr.h"
#include "tools/import/linux_abi.h"

namespace tools {
namespace {

// Valgrind places its own heap above this address and the program's stack just below
// kValgrindStackEnd, wherever the host would have put them.
constexpr uint64_t kValgrindHeapStart = 0x1000000000;
constexpr uint64_t kValgrindStackStart = 0x1ffe000000;
constexpr uint64_t kValgrindStackEnd = 0x1fff001000;

bool ParseHex(absl::string_view text, uint64_t* value) {
  return !text.empty() && absl::SimpleHexAtoi(text, value);
}

// "start-end rwxp offset dev inode  path"; false if the line is not of that form.
bool ParseMapsLine(absl::string_view line, ImageRegion* region) {
  const std::vector<absl::string_view> words = absl::StrSplit(line, absl::MaxSplits(' ', 5));
  if (words.size() < 5) return false;
  const std::vector<absl::string_view> ends = absl::StrSplit(words[0], '-');
  if (ends.size() != 2 || !ParseHex(ends[0], &region->start) || !ParseHex(ends[1], &region->end)) {
    return false;
  }
  const absl::string_view rights = words[1];
  if (rights.size() != 4 || region->start >= region->end) return false;
  region->prot = (rights[0] == 'r' ? linux_abi::kProtRead : 0) |
                 (rights[1] == 'w' ? linux_abi::kProtWrite : 0) |
                 (rights[2] == 'x' ? linux_abi::kProtExec : 0);
  region->shared = rights[3] == 's';
  if (!ParseHex(words[2], &region->offset)) return false;
  if (words.size() == 6) {
    absl::string_view name = words[5];
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    region->name = std::string(name);
  }
  return true;
}

absl::Status ElfError(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

// Appends the pages of one PT_LOAD header: those with bytes of the file, then those without.
void AddSegment(const Elf64_Phdr& header, const std::string& path, ElfLayout* layout) {
  const uint64_t prot = ((header.p_flags & PF_R) != 0 ? linux_abi::kProtRead : 0) |
                        ((header.p_flags & PF_W) != 0 ? linux_abi::kProtWrite : 0) |
                        ((header.p_flags & PF_X) != 0 ? linux_abi::kProtExec : 0);
  const uint64_t start = base::TruncPage(header.p_vaddr);
  const uint64_t file_end = base::RoundPage(header.p_vaddr + header.p_filesz);
  const uint64_t end = base::RoundPage(header.p_vaddr + header.p_memsz);
  if (file_end > start) {
    layout->segments.push_back({.start = start,
                                .end = file_end,
                                .prot = prot,
                                .offset = base::TruncPage(header.p_offset),
                                .name = path});
  }
  if (end > file_end) layout->segments.push_back({.start = file_end, .end = end, .prot = prot});
}

}  // namespace

absl::StatusOr<std::vector<ImageRegion>> ParseMaps(absl::string_view text) {
  std::vector<ImageRegion> regions;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    ++number;
    ImageRegion region;
    if (!ParseMapsLine(line, &region)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "maps:", number, ": expected \"START-END RIGHTS OFFSET DEVICE INODE NAME\""));
    }
    regions.push_back(std::move(region));
  }
  return regions;
}

ObservedImage WithoutValgrind(const std::vector<ImageRegion>& regions,
                              absl::string_view tool_path) {
  ObservedImage image;
  bool behind_tool = false;  // Valgrind's own bss follows its file without a gap
  uint64_t last_end = 0;
  for (const ImageRegion& region : regions) {
    const bool of_tool = region.name == tool_path && !tool_path.empty();
    behind_tool = of_tool || (behind_tool && region.name.empty() && region.start == last_end);
    last_end = region.end;
    const bool stack = region.start >= kValgrindStackStart && region.end <= kValgrindStackEnd;
    const bool host = absl::StartsWith(region.name, "[") || region.start >= kValgrindHeapStart;
    if (behind_tool || (host && !stack)) {
      ++image.valgrind_regions;
      continue;
    }
    image.regions.push_back(region);
    if (stack) image.regions.back().name = "[stack]";
  }
  return image;
}

absl::StatusOr<ElfLayout> ReadElfLayout(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return ElfError(path, "cannot be read");
  Elf64_Ehdr head;
  if (!file.read(reinterpret_cast<char*>(&head), sizeof head) ||
      std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) {
    return ElfError(path, "not an ELF file");
  }
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_machine != EM_X86_64 ||
      head.e_phentsize != sizeof(Elf64_Phdr)) {
    return ElfError(path, "not an ELF file for amd64");
  }
  ElfLayout layout;
  layout.position_independent = head.e_type == ET_DYN;
  for (unsigned i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr header;
    file.seekg(static_cast<std::streamoff>(head.e_phoff + uint64_t{i} * sizeof header));
    if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) {
      return ElfError(path, "its program headers are cut short");
    }
    if (header.p_type == PT_LOAD) AddSegment(header, path, &layout);
    if (header.p_type == PT_GNU_RELRO) {
      // The loader protects whole pages only: the last partial one stays writable.
      layout.relro_start = base::TruncPage(header.p_vaddr);
      layout.relro_end = base::TruncPage(header.p_vaddr + header.p_memsz);
    }
    if (header.p_type == PT_INTERP && header.p_filesz < 4096) {
      std::string name(header.p_filesz, '\0');
      file.seekg(static_cast<std::streamoff>(header.p_offset));
      if (!file.read(name.data(), static_cast<std::streamsize>(name.size()))) {
        return ElfError(path, "its interpreter's name is cut short");
      }
      layout.interpreter = name.c_str();
    }
  }
  std::stable_sort(layout.segments.begin(), layout.segments.end(),
                   [](const ImageRegion& a, const ImageRegion& b) { return a.start < b.start; });
  return layout;
}

std::string BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == absl::string_view::npos ? path : path.substr(slash + 1));
}

}  // namespace tools
