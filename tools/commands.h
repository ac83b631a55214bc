// tools/commands.h: the commands of vmsim, one file each. Each takes its arguments (without its own
// name) and returns the exit code.

#ifndef TOOLS_COMMANDS_H_
#define TOOLS_COMMANDS_H_

#include <string>
#include <vector>

namespace tools {

using Arguments = std::vector<std::string>;

int RecordCommand(const Arguments& arguments);
int ImportCommand(const Arguments& arguments);
int ReplayCommand(const Arguments& arguments);
int RunCommand(const Arguments& arguments);
int ShrinkCommand(const Arguments& arguments);
int DiagramCommand(const Arguments& arguments);
int CoverageCommand(const Arguments& arguments);
int MutantsCommand(const Arguments& arguments);
int FindingsCommand(const Arguments& arguments);
int MergeCommand(const Arguments& arguments);
int ExploreCommand(const Arguments& arguments);
int DiffCommand(const Arguments& arguments);
int ExhaustCommand(const Arguments& arguments);
int PolicyCommand(const Arguments& arguments);
int ConformCommand(const Arguments& arguments);

}  // namespace tools

#endif  // TOOLS_COMMANDS_H_
