// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Declaring a command's options. CLI11 stays behind it: that header alone
// takes seconds to compile.
#ifndef CRIA_TOOLS_ARGUMENTS_H
#define CRIA_TOOLS_ARGUMENTS_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace cria::tools {

using Action = std::function<void()>;

class Arguments {
public:
  explicit Arguments(CLI::App &App) : App(App) {}

  enum Presence { Optional, Required };

  void positional(const char *Name, std::string &Value, const char *Description,
                  Presence Need = Required);
  /// `Names` as "-p,--prompt", `Type` as the help spells the value.
  void text(const char *Names, const char *Type, std::string &Value,
            const char *Description, Presence Need = Optional);
  /// One value each time that the option is given.
  void texts(const char *Names, const char *Type,
             std::vector<std::string> &Values, const char *Description);
  void number(const char *Names, const char *Type, int64_t &Value,
              int64_t Least, int64_t Most, const char *Description);
  void number(const char *Names, const char *Type, uint64_t &Value,
              const char *Description);
  void number(const char *Names, const char *Type, float &Value,
              const char *Description);
  /// `Value` stays as it is without the option; an option without a number
  /// means `Default`.
  void optionalNumber(const char *Names, const char *Type, int64_t &Value,
                      int64_t Default, int64_t Least, int64_t Most,
                      const char *Description);
  void flag(const char *Names, bool &Value, const char *Description);
  /// What follows the options in the help.
  void footer(const char *Text);

private:
  CLI::App &App;
};

struct Command {
  const char *Name;
  const char *Description;
  /// Declares the options and gives back what runs once they are parsed.
  Action (*Add)(Arguments &);
};

/// Parses, prints help where it is asked for, or runs a command. Throws a
/// Failure for a usage error.
void runCommands(int Count, char **Values, const char *Footer,
                 const Command *Commands, size_t CommandCount);

} // namespace cria::tools

#endif // CRIA_TOOLS_ARGUMENTS_H
