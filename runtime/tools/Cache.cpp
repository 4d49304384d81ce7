// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Cache.h"

#include "tools/Common.h"
#include "tools/Compiler.h"
#include "tools/Hash.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace cria::tools {

namespace {

constexpr const char *Accepted =
    "a folder that `cria compile` wrote, a GGUF file, a Hugging Face folder "
    "with config.json, or a .mlir file";

fs::path cacheFolder() {
  fs::path Folder;
  const char *Own = std::getenv("CRIA_CACHE");
  const char *Xdg = std::getenv("XDG_CACHE_HOME");
  const char *Home = std::getenv("HOME");
  if (Own && *Own)
    Folder = Own;
  else if (Xdg && *Xdg)
    Folder = fs::path(Xdg) / "cria";
  else if (Home && *Home)
    Folder = fs::path(Home) / ".cache" / "cria";
  else
    throw Failure{"no cache folder: set CRIA_CACHE, XDG_CACHE_HOME or HOME, or "
                  "compile with `cria compile MODEL -o DIR`"};
  std::error_code Cause;
  fs::create_directories(Folder, Cause);
  if (Cause)
    throw Failure{format("%s: cannot make the cache folder: %s (set CRIA_CACHE "
                         "to another one)",
                         Folder.c_str(), Cause.message().c_str())};
  return Folder;
}

/// Puts a small file in place as a whole; failing only costs time later.
void writeHint(const fs::path &Path, const std::string &Text) {
  fs::path Temporary = Path;
  Temporary += format(".%d", static_cast<int>(getpid()));
  std::ofstream File(Temporary);
  File << Text;
  File.close();
  std::error_code Ignored;
  if (File)
    fs::rename(Temporary, Path, Ignored);
  else
    fs::remove(Temporary, Ignored);
}

/// hashFile, remembered for large files as long as their inode says that they
/// are unchanged, as git's index does.
std::string contentHash(const fs::path &File, const fs::path &Cache) {
  constexpr off_t Large = 32 << 20;
  struct stat Info;
  if (stat(File.c_str(), &Info) != 0 || Info.st_size < Large)
    return hashFile(File);
  Hasher Key;
  std::error_code Ignored;
  Key.addString(fs::absolute(File, Ignored).native());
  for (int64_t Each :
       {int64_t(Info.st_dev), int64_t(Info.st_ino), int64_t(Info.st_size),
        int64_t(Info.st_mtim.tv_sec), int64_t(Info.st_mtim.tv_nsec),
        int64_t(Info.st_ctim.tv_sec), int64_t(Info.st_ctim.tv_nsec)})
    Key.add(&Each, sizeof(Each));
  fs::path Hints = Cache / "hashes";
  fs::create_directory(Hints, Ignored);
  fs::path Hint = Hints / Key.hex();
  std::string Known;
  if (std::ifstream Old(Hint); Old >> Known && Known.size() == 32)
    return Known;
  std::string Hash = hashFile(File);
  writeHint(Hint, Hash);
  return Hash;
}

bool endsWith(const std::string &Text, std::string_view End) {
  return Text.size() >= End.size() &&
         Text.compare(Text.size() - End.size(), End.size(), End) == 0;
}

/// Files that a .mlir description names in quotes and that lie beside it.
std::vector<fs::path> namedFiles(const fs::path &Mlir) {
  std::ifstream File(Mlir, std::ios::binary);
  std::string Text((std::istreambuf_iterator<char>(File)),
                   std::istreambuf_iterator<char>());
  std::vector<fs::path> Found;
  for (size_t Open = Text.find('"'); Open != std::string::npos;) {
    size_t Close = Text.find('"', Open + 1);
    if (Close == std::string::npos)
      break;
    std::string Name = Text.substr(Open + 1, Close - Open - 1);
    if (endsWith(Name, ".safetensors") || endsWith(Name, ".gguf")) {
      fs::path Candidate = Mlir.parent_path() / Name;
      std::error_code Ignored;
      if (fs::is_regular_file(Candidate, Ignored))
        Found.push_back(Candidate);
      Open = Text.find('"', Close + 1);
    } else {
      Open = Close; // a lone quote must not put us out of step
    }
  }
  return Found;
}

/// Everything that the compiler may read.
std::vector<fs::path> inputFiles(const fs::path &Model) {
  std::vector<fs::path> Files;
  if (!fs::is_directory(Model)) {
    Files.push_back(Model);
    if (Model.extension() == ".mlir")
      for (fs::path &File : namedFiles(Model))
        Files.push_back(std::move(File));
    return Files;
  }
  for (const fs::directory_entry &Entry : fs::directory_iterator(Model)) {
    std::string Extension = Entry.path().extension();
    if (Entry.is_regular_file() &&
        (Extension == ".json" || Extension == ".safetensors" ||
         Extension == ".model" || Extension == ".jinja" || Extension == ".txt"))
      Files.push_back(Entry.path());
  }
  std::sort(Files.begin(), Files.end());
  return Files;
}

/// Held while an entry is made; released with the process at the latest.
class Lock {
public:
  explicit Lock(const fs::path &Path) {
    File = open(Path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (File < 0)
      throw Failure{format("%s: cannot make the lock: %s", Path.c_str(),
                           std::strerror(errno))};
    if (flock(File, LOCK_EX | LOCK_NB) == 0)
      return;
    if (errno == EWOULDBLOCK)
      note("waiting for another cria that compiles the same model");
    while (flock(File, LOCK_EX) != 0)
      if (errno != EINTR)
        break; // a file system without locks: the rename decides
  }
  ~Lock() { close(File); }
  Lock(const Lock &) = delete;
  Lock &operator=(const Lock &) = delete;

private:
  int File;
};

/// A folder in the making, removed unless it is moved into place.
class Scratch {
public:
  Scratch(const fs::path &Cache, const std::string &Name) {
    // Left behind by a cria that was killed; we hold the lock.
    std::error_code Ignored;
    std::string Prefix = Name + ".tmp.";
    std::vector<fs::path> Stale;
    for (const auto &Entry : fs::directory_iterator(Cache, Ignored))
      if (Entry.path().filename().native().rfind(Prefix, 0) == 0)
        Stale.push_back(Entry.path());
    for (const fs::path &Each : Stale)
      fs::remove_all(Each, Ignored);
    Folder = Cache / (Prefix + std::to_string(getpid()));
  }
  ~Scratch() {
    std::error_code Ignored;
    fs::remove_all(Folder, Ignored);
  }
  void moveTo(const fs::path &Place) {
    std::error_code Cause;
    fs::remove_all(Place, Cause);
    fs::rename(Folder, Place, Cause);
    if (Cause)
      throw Failure{format("%s: cannot put the compiled model in place: %s",
                           Place.c_str(), Cause.message().c_str())};
  }
  fs::path Folder;
};

/// The entry of that name, made by cria-compile with `Arguments` and -o.
std::string obtain(const fs::path &Cache, const std::string &Name,
                   const std::string &What, const std::string &Compiler,
                   std::vector<std::string> Arguments) {
  fs::path Place = Cache / Name;
  if (fs::exists(Place / "model.so"))
    return Place;
  Lock Held(Cache / (Name + ".lock"));
  if (fs::exists(Place / "model.so"))
    return Place;
  note(
      format("compiling %s on first use into %s", What.c_str(), Place.c_str()));
  Scratch Made(Cache, Name);
  Arguments.insert(Arguments.end(), {"-o", Made.Folder.native()});
  runCompiler(Compiler, Arguments);
  if (!fs::exists(Made.Folder / "model.so"))
    throw Failure{format("%s: %s did not write model.so", What.c_str(),
                         Compiler.c_str())};
  Made.moveTo(Place);
  return Place;
}

/// Version, compiler and processor: what changes the code beside its input.
void addToolchain(Hasher &Key, const std::string &Compiler,
                  const fs::path &Cache, const std::string &Target) {
  Key.addString(cria_version());
  Key.addString(contentHash(Compiler, Cache));
  Key.addString(Target);
  // One of a list too. No other target's name contains it.
  if (Target.find("native") != std::string::npos) {
    Key.addString(cria_cpu_name());
    uint64_t Features = cria_cpu_features();
    Key.add(&Features, sizeof(Features));
  }
}

/// A readable beginning for the name of an entry.
std::string stem(const fs::path &Model) {
  std::string Name = fs::absolute(Model).lexically_normal().native();
  while (Name.size() > 1 && Name.back() == '/')
    Name.pop_back();
  Name = fs::path(Name).stem().native().substr(0, 48);
  for (char &Each : Name)
    if (!std::isalnum(static_cast<unsigned char>(Each)) &&
        !std::strchr("._-", Each))
      Each = '_';
  return Name.empty() || Name[0] == '.' ? "model" : Name;
}

void checkModelFile(const fs::path &Model) {
  if (Model.extension() == ".mlir" || Model.extension() == ".gguf")
    return; // the compiler says what is wrong inside
  char Magic[4] = {};
  std::ifstream(Model, std::ios::binary).read(Magic, sizeof(Magic));
  if (std::memcmp(Magic, "GGUF", sizeof(Magic)) != 0)
    throw Failure{format("%s: neither a GGUF file (its first bytes are not "
                         "\"GGUF\") nor a .mlir file; expected %s",
                         Model.c_str(), Accepted)};
}

std::string resolve(const ModelChoice &Choice) {
  fs::path Model = Choice.Path;
  if (!fs::exists(Model))
    throw Failure{format("%s: no such file or folder; expected %s",
                         Choice.Path.c_str(), Accepted)};
  if (fs::is_directory(Model) && fs::exists(Model / "model.so")) {
    if (!Choice.Target.empty() || Choice.Context || !Choice.Quantize.empty())
      throw Failure{format("%s: is compiled already; --target, --context and "
                           "--quantize are for models that are compiled on "
                           "first use",
                           Choice.Path.c_str())};
    return Model;
  }
  if (!fs::is_directory(Model))
    checkModelFile(Model);
  else if (!fs::exists(Model / "config.json"))
    throw Failure{format("%s: has neither model.so nor config.json; expected "
                         "%s",
                         Choice.Path.c_str(), Accepted)};

  std::string Compiler = findCompiler();
  fs::path Cache = cacheFolder();
  std::string Target = Choice.Target.empty() ? "native" : Choice.Target;
  Hasher Key;
  addToolchain(Key, Compiler, Cache, Target);
  Key.add(&Choice.Context, sizeof(Choice.Context));
  Key.addString(Choice.Quantize);
  Key.addString(Choice.DisabledFusions);
  if (Choice.Profile)
    Key.addString("profile");
  for (const fs::path &File : inputFiles(Model)) {
    // The name of a single file says nothing; those in a folder do.
    Key.addString(fs::is_directory(Model) ? File.filename().native() : "");
    Key.addString(contentHash(File, Cache));
  }
  std::vector<std::string> Arguments = {Choice.Path, "--target", Target};
  if (Choice.Context)
    Arguments.insert(Arguments.end(),
                     {"--context", std::to_string(Choice.Context)});
  if (!Choice.Quantize.empty())
    Arguments.insert(Arguments.end(), {"--quantize", Choice.Quantize});
  if (!Choice.DisabledFusions.empty())
    Arguments.insert(Arguments.end(),
                     {"--disable-fusion", Choice.DisabledFusions});
  if (Choice.Profile)
    Arguments.push_back("--profile");
  return obtain(Cache, stem(Model) + "-" + Key.hex(), Choice.Path, Compiler,
                Arguments);
}

std::string plain(const std::string &Dir) {
  fs::path Source = fs::path(Dir) / "model.mlir";
  if (!fs::exists(Source))
    throw Failure{format("%s: not found; --plain compiles the plain lowering "
                         "from it",
                         Source.c_str())};
  std::string Compiler = findCompiler();
  fs::path Cache = cacheFolder();
  Hasher Key;
  addToolchain(Key, Compiler, Cache, "plain");
  Key.addString(contentHash(Source, Cache));
  return obtain(Cache, "plain-" + Key.hex(), Dir + " (plain lowering)",
                Compiler, {Dir, "--plain", "--symbol-prefix", "model_"});
}

} // namespace

void addDeviceOption(Arguments &Declared, std::string &Device) {
  Declared.text("--device", "D", Device,
                "cpu, cuda, cuda:N or auto: where the model runs (default: "
                "auto, the GPU if the model is compiled for it, else the CPU)");
}

void addModelOptions(Arguments &Declared, ModelChoice &Choice,
                     Arguments::Presence Need) {
  Declared.positional("DIR|MODEL", Choice.Path,
                      "Folder written by `cria compile`, or a model (GGUF "
                      "file, Hugging Face folder, .mlir), which is compiled "
                      "on first use and kept in the cache",
                      Need);
  Declared.text("--target", "T", Choice.Target,
                "For a MODEL: compile for these targets, separated by commas "
                "(default: native)");
  Declared.number("--context", "N", Choice.Context, 1, INT32_MAX,
                  "For a MODEL: compile for so many positions");
  Declared.text("--quantize", "SPEC", Choice.Quantize,
                "For a MODEL: convert its weights, as `cria compile` does "
                "(q4, q8, bf16, or such as q4,head=q8)");
}

std::string resolveModel(const ModelChoice &Choice) {
  try {
    return resolve(Choice);
  } catch (const fs::filesystem_error &Cause) {
    throw Failure{Cause.what()};
  }
}

ArtifactPtr openPlain(const std::string &Dir) {
  try {
    std::string Code = plain(Dir) + "/model.so";
    std::string Weights = Dir + "/model.safetensors";
    cria_artifact *Artifact;
    cria_error Error;
    check(cria_artifact_open_files(Code.c_str(), Weights.c_str(), "model_get",
                                   &Artifact, &Error),
          Error);
    return ArtifactPtr(Artifact);
  } catch (const fs::filesystem_error &Cause) {
    throw Failure{Cause.what()};
  }
}

} // namespace cria::tools
