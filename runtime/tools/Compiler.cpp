// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Compiler.h"

#include "tools/Common.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

namespace cria::tools {

static constexpr const char *CompilerName = "cria-compile";

/// Beside this program, or in PATH.
static std::string findTool(const char *Name) {
  std::error_code Ignored;
  std::filesystem::path Self =
      std::filesystem::read_symlink("/proc/self/exe", Ignored);
  std::filesystem::path Beside = Self.parent_path() / Name;
  if (!Self.empty() && access(Beside.c_str(), X_OK) == 0)
    return Beside;
  const char *Path = std::getenv("PATH");
  std::string_view Rest = Path ? Path : "";
  while (!Rest.empty()) {
    size_t End = std::min(Rest.find(':'), Rest.size());
    std::filesystem::path Candidate =
        std::filesystem::path(Rest.substr(0, End)) / Name;
    if (End > 0 && access(Candidate.c_str(), X_OK) == 0)
      return Candidate;
    Rest.remove_prefix(std::min(End + 1, Rest.size()));
  }
  throw Failure{format("%s is neither beside this program (%s) nor in PATH; "
                       "only folders that `cria compile` wrote can be used "
                       "without it",
                       Name, Beside.c_str())};
}

std::string findCompiler() { return findTool(CompilerName); }

static std::vector<char *>
argumentVector(const std::string &Compiler,
               const std::vector<std::string> &Rest) {
  std::vector<char *> Vector = {const_cast<char *>(Compiler.c_str())};
  for (const std::string &Argument : Rest)
    Vector.push_back(const_cast<char *>(Argument.c_str()));
  Vector.push_back(nullptr);
  return Vector;
}

[[noreturn]] static void become(const std::string &Compiler,
                   const std::vector<std::string> &Arguments) {
  std::vector<char *> Vector = argumentVector(Compiler, Arguments);
  std::signal(SIGPIPE, SIG_DFL);
  execv(Compiler.c_str(), Vector.data());
  throw Failure{
      format("%s: cannot run: %s", Compiler.c_str(), std::strerror(errno))};
}

void becomeCompiler(const std::vector<std::string> &Arguments) {
  become(findCompiler(), Arguments);
}

void becomeVerifier(const std::vector<std::string> &Arguments) {
  become(findTool("cria-verify"), Arguments);
}

void runCompiler(const std::string &Compiler,
                 const std::vector<std::string> &Arguments) {
  std::vector<char *> Vector = argumentVector(Compiler, Arguments);
  pid_t Child = fork();
  if (Child < 0)
    throw Failure{
        format("cannot start %s: %s", Compiler.c_str(), std::strerror(errno))};
  if (Child == 0) {
    std::signal(SIGPIPE, SIG_DFL);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execv(Compiler.c_str(), Vector.data());
    _exit(127);
  }
  int Status = 0;
  while (waitpid(Child, &Status, 0) < 0 && errno == EINTR)
    ;
  if (WIFSIGNALED(Status))
    throw Failure{format("%s was ended by signal %d (%s)", CompilerName,
                         WTERMSIG(Status), strsignal(WTERMSIG(Status)))};
  if (WEXITSTATUS(Status) == 127)
    throw Failure{format("%s: cannot run", Compiler.c_str())};
  if (WEXITSTATUS(Status) != 0)
    throw Failure{std::string()};
}

} // namespace cria::tools
