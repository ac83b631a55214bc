// tools/options.h: the command line of one vmsim command, from a table.
//
// WHAT     A command declares its options (name, where the value goes, one line of help), then
//          parses its arguments. The help screen is printed from the same table, so the two cannot
//          disagree. Forms: `--name value`, `--name=value`, `-o value`, switches `--name`; `--`
//          ends the options and starts the "rest" (record's program).
// ERRORS   One sentence each, without a trailing full stop, naming the option and what was
//          expected.

#ifndef TOOLS_OPTIONS_H_
#define TOOLS_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tools {

class Options {
 public:
  // `command` as typed ("run"); `operands` as the usage line shows them ("T.trace..."); `summary`
  // is the first line of help.
  Options(std::string command, std::string operands, std::string summary);

  // Each declares one option. The pointers receive values during Parse and must outlive it; what
  // they hold before is the default.
  void Switch(std::string name, bool* value, std::string help);
  // A number in [least, most]: decimal, 0x hexadecimal, or with a suffix k or m (thousand,
  // million).
  void Number(std::string name, uint64_t* value, uint64_t least, uint64_t most, std::string help);
  // `value_name` is the placeholder of the help screen ("FILE"). A name of one letter is written
  // with one dash.
  void Text(std::string name, std::string* value, std::string value_name, std::string help);

  // Indented text after the table: examples, notes. Lines are printed as they are.
  void Epilogue(std::string text);

  // What is left when the options are taken out, in order. --help stands for itself: parsing stops
  // and help_wanted() is true.
  absl::StatusOr<std::vector<std::string>> Parse(const std::vector<std::string>& arguments);
  bool help_wanted() const { return help_wanted_; }
  // True when `name` was given.
  bool Given(std::string_view name) const;
  // What followed `--`.
  const std::vector<std::string>& rest() const { return rest_; }

  std::string HelpText() const;

 private:
  struct Option {
    std::string name;
    std::string value_name;  // empty: a switch
    std::string help;
    bool* on = nullptr;
    uint64_t* number = nullptr;
    uint64_t least = 0;
    uint64_t most = 0;
    std::string* text = nullptr;
    bool given = false;
    std::string Spelling() const { return (name.size() == 1 ? "-" : "--") + name; }
  };

  Option* Find(std::string_view name);
  absl::Status Set(Option* option, const std::string& value);
  absl::Status UsageError(std::string sentence) const;

  std::string command_;
  std::string operands_;
  std::string summary_;
  std::string epilogue_;
  std::vector<Option> options_;
  std::vector<std::string> rest_;
  bool help_wanted_ = false;
};

// The number in `text` as Options::Number reads it; nothing for anything else.
bool ParseNumber(std::string_view text, uint64_t* out);

// How a command begins: what is left of the arguments goes to *operands. A value: the exit code
// with which the command ends at once, since its help was wanted (and is printed) or what was typed
// is wrong (and is said).
std::optional<int> ParseOrEnd(Options* options, const std::vector<std::string>& arguments,
                              std::vector<std::string>* operands);

}  // namespace tools

#endif  // TOOLS_OPTIONS_H_
