#include "tools/options.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tools/console.h"

namespace tools {
namespace {

// The exit codes of every command (design section 4).
constexpr const char* kExitCodes =
    "Exit codes: 0 pass, 1 usage or bad input; a failure found: 10 contents, 11 structure or leak, "
    "12 liveness,\n"
    "13 nondeterminism, 14 cost budget, 15 crash, 16 timeout, 17 outcome.\n";

bool DigitValue(char c, int base, uint64_t* value) {
  if (c >= '0' && c <= '9') {
    *value = static_cast<uint64_t>(c - '0');
  } else if (base == 16 && c >= 'a' && c <= 'f') {
    *value = static_cast<uint64_t>(c - 'a') + 10;
  } else if (base == 16 && c >= 'A' && c <= 'F') {
    *value = static_cast<uint64_t>(c - 'A') + 10;
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool ParseNumber(std::string_view text, uint64_t* out) {
  uint64_t base = 10;
  uint64_t unit = 1;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text.remove_prefix(2);
  } else if (!text.empty() && (text.back() == 'k' || text.back() == 'm')) {
    unit = text.back() == 'k' ? 1000 : 1000000;
    text.remove_suffix(1);
  }
  if (text.empty()) return false;
  uint64_t number = 0;
  for (char c : text) {
    uint64_t digit = 0;
    if (!DigitValue(c, static_cast<int>(base), &digit)) return false;
    if (number > (~uint64_t{0} - digit) / base) return false;
    number = number * base + digit;
  }
  if (number > ~uint64_t{0} / unit) return false;
  *out = number * unit;
  return true;
}

Options::Options(std::string command, std::string operands, std::string summary)
    : command_(std::move(command)), operands_(std::move(operands)), summary_(std::move(summary)) {}

void Options::Switch(std::string name, bool* value, std::string help) {
  Option option;
  option.name = std::move(name);
  option.help = std::move(help);
  option.on = value;
  options_.push_back(std::move(option));
}

void Options::Number(std::string name, uint64_t* value, uint64_t least, uint64_t most,
                     std::string help) {
  Option option;
  option.name = std::move(name);
  option.value_name = "N";
  option.help = absl::StrCat(help, " (default ", *value, ")");
  option.number = value;
  option.least = least;
  option.most = most;
  options_.push_back(std::move(option));
}

void Options::Text(std::string name, std::string* value, std::string value_name, std::string help) {
  Option option;
  option.name = std::move(name);
  option.value_name = std::move(value_name);
  option.help = value->empty() ? std::move(help) : absl::StrCat(help, " (default ", *value, ")");
  option.text = value;
  options_.push_back(std::move(option));
}

void Options::Epilogue(std::string text) { epilogue_ = std::move(text); }

bool Options::Given(std::string_view name) const {
  for (const Option& option : options_) {
    if (option.name == name) return option.given;
  }
  return false;
}

Options::Option* Options::Find(std::string_view name) {
  for (Option& option : options_) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

absl::Status Options::UsageError(std::string sentence) const {
  return absl::InvalidArgumentError(absl::StrCat(sentence, "; see vmsim ", command_, " --help"));
}

absl::Status Options::Set(Option* option, const std::string& value) {
  option->given = true;
  if (option->text != nullptr) {
    if (value.empty()) {
      return UsageError(absl::StrCat(option->Spelling(), " needs a value (", option->value_name,
                                     "), not an empty one"));
    }
    *option->text = value;
    return absl::OkStatus();
  }
  uint64_t number = 0;
  if (!ParseNumber(value, &number) || number < option->least || number > option->most) {
    return UsageError(absl::StrCat(option->Spelling(), " wants a number from ", option->least,
                                   " to ", option->most, ", not \"", value, "\""));
  }
  *option->number = number;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Options::Parse(const std::vector<std::string>& arguments) {
  std::vector<std::string> operands;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      rest_.assign(arguments.begin() + static_cast<ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    if (argument == "--help" || argument == "-h") {
      help_wanted_ = true;
      return operands;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      operands.push_back(argument);
      continue;
    }
    std::string name = argument.substr(argument[1] == '-' ? 2 : 1);
    std::string value;
    size_t equals = name.find('=');
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    Option* option = Find(name);
    if (option == nullptr || (name.size() == 1) == (argument[1] == '-')) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown option ", argument.substr(0, argument.find('=')), " for `vmsim ",
                       command_, "`; see vmsim ", command_, " --help"));
    }
    if (option->on != nullptr) {
      if (equals != std::string::npos)
        return UsageError(absl::StrCat(option->Spelling(), " takes no value"));
      *option->on = option->given = true;
      continue;
    }
    if (equals == std::string::npos) {
      if (i + 1 == arguments.size()) {
        return UsageError(
            absl::StrCat(option->Spelling(), " needs a value (", option->value_name, ")"));
      }
      value = arguments[++i];
    }
    absl::Status status = Set(option, value);
    if (!status.ok()) return status;
  }
  return operands;
}

std::string Options::HelpText() const {
  std::string text =
      absl::StrCat("vmsim ", command_, ": ", summary_, "\n\nUsage: vmsim ", command_, " [OPTIONS]",
                   operands_.empty() ? "" : " ", operands_, "\n\nOptions:\n");
  size_t width = 6;
  auto left = [](const Option& option) {
    return absl::StrCat(option.Spelling(), option.value_name.empty() ? "" : " ", option.value_name);
  };
  for (const Option& option : options_) width = std::max(width, left(option).size());
  for (const Option& option : options_) {
    std::string name = left(option);
    absl::StrAppend(&text, "  ", name, std::string(width + 2 - name.size(), ' '), option.help,
                    "\n");
  }
  absl::StrAppend(&text, "  --help", std::string(width - 4, ' '), "this text\n\n", kExitCodes);
  if (!epilogue_.empty()) absl::StrAppend(&text, "\n", epilogue_);
  return text;
}

std::optional<int> ParseOrEnd(Options* options, const std::vector<std::string>& arguments,
                              std::vector<std::string>* operands) {
  absl::StatusOr<std::vector<std::string>> left = options->Parse(arguments);
  if (!left.ok()) return PrintError(left.status());
  if (options->help_wanted()) {
    Print(options->HelpText());
    return kExitPass;
  }
  *operands = *std::move(left);
  return std::nullopt;
}

}  // namespace tools
