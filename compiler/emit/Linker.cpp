// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/emit/Linker.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/TargetParser/Host.h"

#include <optional>
#include <vector>

using namespace cria;

namespace {

/// The first two link for every architecture.
constexpr llvm::StringLiteral kLinkers[] = {"ld.lld-22", "ld.lld", "ld", "cc"};
constexpr size_t kCrossLinkers = 2;
constexpr llvm::StringLiteral kDrivers[] = {"c++", "g++", "clang++-22",
                                            "clang++"};

llvm::Expected<std::string> findProgram(llvm::ArrayRef<llvm::StringLiteral> of,
                                        llvm::StringRef purpose) {
  for (llvm::StringRef name : of)
    if (llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName(name))
      return *path;
  return llvm::createStringError(
      "no linker for %s: none of %s is in PATH (Debian: apt-get install "
      "lld-22)",
      purpose.str().c_str(), llvm::join(of, ", ").c_str());
}

bool isForThisMachine(const llvm::Triple &triple) {
  return triple.getArch() ==
         llvm::Triple(llvm::sys::getProcessTriple()).getArch();
}

/// libm with its C library's version, for the symbols of old processors.
std::optional<std::string> findLibm(const llvm::Triple &triple) {
  std::string multiarch = triple.getArchName().str() + "-linux-gnu";
  std::vector<std::string> folders{"/lib/" + multiarch,
                                   "/usr/" + multiarch + "/lib"};
  if (isForThisMachine(triple))
    folders.insert(folders.end(), {"/lib64", "/usr/lib64", "/usr/lib", "/lib"});
  for (const std::string &folder : folders) {
    llvm::SmallString<64> path(folder);
    llvm::sys::path::append(path, "libm.so.6");
    if (llvm::sys::fs::exists(path))
      return path.str().str();
  }
  return std::nullopt;
}

bool isFromLibm(llvm::StringRef symbol) {
  return !symbol.starts_with("mem") && symbol != "malloc" && symbol != "free";
}

/// Runs a linker; what it printed becomes the error.
llvm::Error run(const std::string &program, std::vector<std::string> args,
                llvm::StringRef output) {
  llvm::SmallString<128> log;
  if (std::error_code code =
          llvm::sys::fs::createTemporaryFile("cria-link", "txt", log))
    return llvm::createStringError(code, "cannot make a temporary file");
  llvm::scope_exit removeLog([&] { llvm::sys::fs::remove(log); });
  args.insert(args.begin(), program);
  llvm::SmallVector<llvm::StringRef> argv(args.begin(), args.end());
  std::optional<llvm::StringRef> redirects[] = {
      llvm::StringRef(""), llvm::StringRef(log), llvm::StringRef(log)};
  std::string problem;
  int status = llvm::sys::ExecuteAndWait(program, argv, std::nullopt, redirects,
                                         0, 0, &problem);
  if (status == 0)
    return llvm::Error::success();
  std::string text = problem;
  if (auto buffer = llvm::MemoryBuffer::getFile(log))
    text += (*buffer)->getBuffer().trim().str();
  return llvm::createStringError("%s: %s failed with status %d: %s",
                                 output.str().c_str(), program.c_str(), status,
                                 text.c_str());
}

} // namespace

llvm::Error cria::linkSharedObject(const llvm::Triple &triple,
                                   llvm::StringRef object,
                                   llvm::StringRef output,
                                   llvm::ArrayRef<std::string> undefined) {
  llvm::ArrayRef<llvm::StringLiteral> linkers = kLinkers;
  std::string purpose = "a shared object";
  if (!isForThisMachine(triple)) {
    linkers = linkers.take_front(kCrossLinkers);
    purpose += (" for " + triple.getArchName()).str();
  }
  llvm::Expected<std::string> linker = findProgram(linkers, purpose);
  if (!linker)
    return linker.takeError();
  bool driver = llvm::sys::path::filename(*linker) == "cc";
  llvm::StringRef pass = driver ? "-Wl," : "";
  std::vector<std::string> args{"-shared", "-o", output.str()};
  if (driver)
    args.push_back("-nostdlib");
  auto add = [&](llvm::ArrayRef<llvm::StringRef> words) {
    if (driver)
      args.push_back((pass + llvm::join(words, ",")).str());
    else
      llvm::append_range(args, words);
  };
  add({"--hash-style=gnu"});
  add({"--build-id=none"});
  add({"--gc-sections"});
  add({"-z", "noexecstack"});
  add({"-z", "relro"});
  add({"-z", "now"});
  args.push_back(object.str());
  if (llvm::any_of(undefined, isFromLibm))
    if (std::optional<std::string> libm = findLibm(triple))
      args.push_back(*libm);
  return run(*linker, std::move(args), output);
}

llvm::Error cria::linkExecutable(const llvm::Triple &triple,
                                 llvm::StringRef object,
                                 llvm::StringRef getFunction,
                                 llvm::StringRef toolPath,
                                 llvm::StringRef output) {
  if (!isForThisMachine(triple))
    return llvm::createStringError(
        "--emit exe: links with this machine's runtime, which is not for %s; "
        "use --emit obj and link model.o there, as examples/embed_c does",
        triple.getArchName().str().c_str());
  llvm::Expected<std::string> driver = findProgram(kDrivers, "an executable");
  if (!driver)
    return driver.takeError();
  // In the order in which a linker needs them.
  std::vector<std::string> args{object.str()};
  for (llvm::StringRef archive :
       {"libcria_main.a", "libcria_runtime.a", "libcria_text.a"}) {
    llvm::SmallString<256> path;
    bool found = false;
    for (llvm::StringRef folder : {"lib", "runtime", "runtime/text"}) {
      path = llvm::sys::path::parent_path(toolPath);
      llvm::sys::path::append(path, "..", folder, archive);
      if ((found = llvm::sys::fs::exists(path)))
        break;
    }
    if (!found)
      return llvm::createStringError(
          "--emit exe: %s is in none of ../lib, ../runtime and "
          "../runtime/text of %s; build or install the runtime with the "
          "compiler",
          archive.str().c_str(), toolPath.str().c_str());
    args.push_back(path.str().str());
  }
  args.insert(args.end(),
              {"-Wl,--defsym=cria_linked_model=" + getFunction.str(),
               "-lsentencepiece", "-lpcre2-8", "-pthread", "-ldl", "-lm", "-o",
               output.str()});
  return run(*driver, std::move(args), output);
}
