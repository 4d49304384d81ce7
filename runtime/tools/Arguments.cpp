// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Arguments.h"

#include "tools/Common.h"

#include <CLI/CLI.hpp>

#include <memory>

namespace cria::tools {

namespace {

// CLI11 wraps nothing and repeats types; 80 columns are short.
class Formatter : public CLI::Formatter {
public:
  Formatter() { column_width(26); }

  std::string make_option_desc(const CLI::Option *Option) const override {
    constexpr size_t Width = 54;
    std::string Text = Option->get_description(), Wrapped;
    while (Text.size() > Width) {
      size_t Break = Text.rfind(' ', Width);
      if (Break == std::string::npos)
        break;
      Wrapped += Text.substr(0, Break) + "\n";
      Text.erase(0, Break + 1);
    }
    return Wrapped + Text;
  }

  std::string make_option_opts(const CLI::Option *Option) const override {
    return Option->get_type_name().empty() ? std::string()
                                           : " " + Option->get_type_name();
  }
};

std::string oneLine(std::string Text) {
  for (char &Each : Text)
    if (Each == '\n')
      Each = ' ';
  return Text;
}

} // namespace

void Arguments::positional(const char *Name, std::string &Value,
                           const char *Description, Presence Need) {
  App.add_option(Name, Value, Description)
      ->type_name("")
      ->required(Need == Required);
}

void Arguments::text(const char *Names, const char *Type, std::string &Value,
                     const char *Description, Presence Need) {
  App.add_option(Names, Value, Description)
      ->type_name(Type)
      ->required(Need == Required);
}

void Arguments::texts(const char *Names, const char *Type,
                      std::vector<std::string> &Values,
                      const char *Description) {
  App.add_option(Names, Values, Description)
      ->type_name(Type)
      ->allow_extra_args(false);
}

void Arguments::number(const char *Names, const char *Type, int64_t &Value,
                       int64_t Least, int64_t Most, const char *Description) {
  App.add_option(Names, Value, Description)
      ->type_name(Type)
      ->check(CLI::Range(Least, Most).description(""));
}

void Arguments::number(const char *Names, const char *Type, uint64_t &Value,
                       const char *Description) {
  App.add_option(Names, Value, Description)->type_name(Type);
}

void Arguments::number(const char *Names, const char *Type, float &Value,
                       const char *Description) {
  App.add_option(Names, Value, Description)->type_name(Type);
}

void Arguments::optionalNumber(const char *Names, const char *Type,
                               int64_t &Value, int64_t Default, int64_t Least,
                               int64_t Most, const char *Description) {
  App.add_option(Names, Value, Description)
      ->type_name(Type)
      ->expected(0, 1)
      ->default_str(std::to_string(Default))
      ->check(CLI::Range(Least, Most).description(""));
}

void Arguments::flag(const char *Names, bool &Value, const char *Description) {
  App.add_flag(Names, Value, Description);
}

void Arguments::footer(const char *Text) { App.footer(Text); }

void runCommands(int Count, char **Values, const char *Footer,
                 const Command *Commands, size_t CommandCount) {
  CLI::App Program("Compiles language models ahead of time and runs them.",
                   "cria");
  Program.formatter(std::make_shared<Formatter>());
  Program.set_version_flag("--version", std::string("cria ") + cria_version());
  Program.require_subcommand(1);
  Program.footer(Footer);
  std::vector<Action> Actions;
  std::vector<CLI::App *> Apps;
  for (size_t I = 0; I < CommandCount; ++I) {
    Apps.push_back(
        Program.add_subcommand(Commands[I].Name, Commands[I].Description));
    Arguments Declared(*Apps.back());
    Actions.push_back(Commands[I].Add(Declared));
  }
  if (Count > 1 && Values[1][0] != '-') {
    std::string Names;
    bool Known = false;
    for (size_t I = 0; I < CommandCount; ++I) {
      Known |= std::string(Values[1]) == Commands[I].Name;
      Names += (I ? ", " : "") + std::string(Commands[I].Name);
    }
    if (!Known)
      throw Failure{format("\"%s\" is no command; there are %s", Values[1],
                           Names.c_str())};
  }
  size_t Chosen = 0;
  auto Find = [&] {
    for (Chosen = 0; Chosen < CommandCount && !Apps[Chosen]->parsed();)
      ++Chosen;
    return Chosen < CommandCount;
  };
  try {
    Program.parse(Count, Values);
  } catch (const CLI::CallForVersion &Version) {
    return print(std::string(Version.what()) + "\n");
  } catch (const CLI::Success &) {
    return print(Find() ? Apps[Chosen]->help("cria") : Program.help());
  } catch (const CLI::ParseError &Fault) {
    std::string Name = "cria";
    if (Find())
      Name += std::string(" ") + Commands[Chosen].Name;
    throw Failure{oneLine(Fault.what()) + " (see `" + Name + " --help`)"};
  }
  if (Find())
    Actions[Chosen]();
}

} // namespace cria::tools
