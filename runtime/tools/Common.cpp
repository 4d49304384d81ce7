// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/Common.h"

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace cria::tools {

std::string format(const char *Format, ...) {
  va_list Arguments, Again;
  va_start(Arguments, Format);
  va_copy(Again, Arguments);
  int Size = std::vsnprintf(nullptr, 0, Format, Arguments);
  va_end(Arguments);
  std::string Text(Size > 0 ? Size : 0, '\0');
  std::vsnprintf(Text.data(), Text.size() + 1, Format, Again);
  va_end(Again);
  return Text;
}

void check(cria_status Status, const cria_error &Error) {
  if (Status)
    throw Failure{Error.message};
}

void print(std::string_view Text) {
  while (!Text.empty()) {
    ssize_t Written = write(STDOUT_FILENO, Text.data(), Text.size());
    if (Written < 0 && errno == EINTR)
      continue;
    if (Written < 0 && errno == EPIPE)
      throw BrokenPipe();
    if (Written < 0)
      throw Failure{
          format("cannot write to standard output: %s", std::strerror(errno))};
    Text.remove_prefix(Written);
  }
}

void note(const std::string &Text) {
  std::fprintf(stderr, "cria: %s\n", Text.c_str());
}

static std::string scaled(double Value, const char *const *Units, int Count,
                          int Digits) {
  int Unit = 0;
  while (Value >= 999.5 && Unit + 1 < Count) {
    Value /= 1000;
    ++Unit;
  }
  return format("%.*f %s", Unit == 0 || Value >= 100 ? 0 : Digits, Value,
                Units[Unit]);
}

std::string bytesText(double Bytes) {
  static const char *const Units[] = {"B", "kB", "MB", "GB", "TB"};
  return scaled(Bytes, Units, 5, 1);
}

std::string countText(double Value) {
  static const char *const Units[] = {"", "k", "M", "G", "T"};
  return scaled(Value, Units, 5, 1);
}

std::vector<int64_t> parseNumbers(const std::string &Text, const char *Option,
                                  int64_t Least, int64_t Most) {
  std::vector<int64_t> Numbers;
  const char *At = Text.data(), *End = At + Text.size();
  for (;;) {
    while (At != End && *At == ' ')
      ++At;
    int64_t Number = 0;
    auto [Stop, Fault] = std::from_chars(At, End, Number);
    const char *Next = Stop;
    while (Next != End && *Next == ' ')
      ++Next;
    if (Fault == std::errc::result_out_of_range ||
        (Fault == std::errc() && (Number < Least || Number > Most)))
      throw Failure{format(
          "%s: %.*s is out of range; %" PRId64 " to %" PRId64 " are accepted",
          Option, static_cast<int>(Stop - At), At, Least, Most)};
    if (Fault != std::errc() || (Next != End && *Next != ','))
      throw Failure{format("%s: \"%.40s\" is not a list of whole numbers; "
                           "write them like 1,2,3",
                           Option, Text.c_str())};
    Numbers.push_back(Number);
    if (Next == End)
      return Numbers;
    At = Next + 1;
  }
}

double secondsNow() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

uint64_t peakMemory() {
  std::ifstream Status("/proc/self/status");
  uint64_t Kilobytes = 0;
  for (std::string Line; std::getline(Status, Line);)
    if (std::sscanf(Line.c_str(), "VmHWM: %" SCNu64, &Kilobytes) == 1)
      break;
  return 1024 * Kilobytes;
}

ArtifactPtr openArtifact(const std::string &Dir) {
  cria_artifact *Artifact;
  cria_error Error;
  check(cria_artifact_open(Dir.c_str(), &Artifact, &Error), Error);
  return ArtifactPtr(Artifact);
}

cria_session_options sessionOptions(int64_t Threads, const std::string &Clone,
                                    const std::string &Device) {
  cria_session_options Options;
  cria_session_options_init(&Options);
  Options.threads = Threads;
  Options.clone = Clone.empty() ? nullptr : Clone.c_str();
  Options.device = Device.empty() ? nullptr : Device.c_str();
  return Options;
}

SessionPtr openSession(const cria_artifact *Artifact,
                       const cria_session_options &Options) {
  cria_session *Session;
  cria_error Error;
  check(cria_session_create(Artifact, &Options, &Session, &Error), Error);
  if (const char *Why = cria_session_device_note(Session); *Why)
    note(format("note: the CPU runs the model: %s", Why));
  return SessionPtr(Session);
}

uint64_t cacheBytes(const cria_session *Session, const cria_model *Model) {
  return static_cast<uint64_t>(cria_session_pages(Session)) * CRIA_PAGE_TOKENS *
         static_cast<uint64_t>(Model->kv_bytes_per_token);
}

TokenizerPtr openTokenizer(const std::string &Dir, const char *Command) {
  std::string File = Dir + "/tokenizer.json";
  if (access(File.c_str(), F_OK) != 0)
    throw Failure{format("%s: not found; `cria %s` needs the model's tokenizer "
                         "(`cria logits` and `cria bench` work without)",
                         File.c_str(), Command)};
  cria_tokenizer *Tokenizer;
  cria_error Error;
  check(cria_tokenizer_load(File.c_str(), &Tokenizer, &Error), Error);
  return TokenizerPtr(Tokenizer);
}

std::vector<int32_t> encodeText(const cria_tokenizer *Tokenizer,
                                const std::string &Text, unsigned Flags) {
  cria_error Error;
  size_t Count = 0;
  std::vector<int32_t> Ids(Text.size() + 16);
  cria_status Status =
      cria_tokenizer_encode(Tokenizer, Text.data(), Text.size(), Flags,
                            Ids.data(), Ids.size(), &Count, &Error);
  if (Status == CRIA_OUT_OF_RANGE && Count > Ids.size()) {
    Ids.resize(Count);
    Status = cria_tokenizer_encode(Tokenizer, Text.data(), Text.size(), Flags,
                                   Ids.data(), Ids.size(), &Count, &Error);
  }
  check(Status, Error);
  Ids.resize(Count);
  return Ids;
}

std::string readWhole(const std::string &Path, const char *Option) {
  std::ifstream File(Path, std::ios::binary);
  if (!File)
    throw Failure{format("%s %s: cannot be opened: %s", Option, Path.c_str(),
                         std::strerror(errno))};
  std::string Text((std::istreambuf_iterator<char>(File)),
                   std::istreambuf_iterator<char>());
  if (File.bad() || Text.empty())
    throw Failure{format("%s %s: %s", Option, Path.c_str(),
                         File.bad() ? "cannot be read" : "is empty")};
  return Text;
}

void writeWhole(const std::string &Path, const std::string &Text) {
  std::FILE *File = std::fopen(Path.c_str(), "w");
  bool Written =
      File && std::fwrite(Text.data(), 1, Text.size(), File) == Text.size();
  if (File && std::fclose(File) != 0)
    Written = false;
  if (!Written)
    throw Failure{format("%s: cannot be written: %s", Path.c_str(),
                         std::strerror(errno))};
}

} // namespace cria::tools
