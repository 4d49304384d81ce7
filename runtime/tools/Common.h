// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the commands share. They throw Failure; main turns it into one line on
// stderr and exit code 1.
#ifndef CRIA_TOOLS_COMMON_H
#define CRIA_TOOLS_COMMON_H

#include "cria/cria.h"
#include "cria/text.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cria::tools {

struct Failure {
  std::string Message;
};

/// Standard output has no reader any more: stop without a word.
struct BrokenPipe {};

__attribute__((format(printf, 1, 2))) std::string format(const char *Format,
                                                         ...);

/// Throws a Failure unless all is well.
void check(cria_status Status, const cria_error &Error);

/// Writes to standard output at once.
void print(std::string_view Text);

/// Writes a line to standard error, after "cria: ".
void note(const std::string &Text);

/// "1.5 MB": powers of 1000.
std::string bytesText(double Bytes);
/// "269 M": a number with a prefix of its size.
std::string countText(double Value);

/// Whole numbers separated by commas. `Option` is named in the message.
std::vector<int64_t> parseNumbers(const std::string &Text, const char *Option,
                                  int64_t Least, int64_t Most);

double secondsNow();

/// The most bytes that were resident, with the pages of mapped files; 0 where
/// the system does not tell.
uint64_t peakMemory();

template <typename T, void (*Free)(T *)> struct Release {
  void operator()(T *Object) const { Free(Object); }
};
using ArtifactPtr =
    std::unique_ptr<cria_artifact, Release<cria_artifact, cria_artifact_free>>;
using SessionPtr =
    std::unique_ptr<cria_session, Release<cria_session, cria_session_free>>;
using TokenizerPtr =
    std::unique_ptr<cria_tokenizer,
                    Release<cria_tokenizer, cria_tokenizer_free>>;

ArtifactPtr openArtifact(const std::string &Dir);
/// Of the options that commands take: an empty clone or device is the default,
/// and both strings outlive the session's creation.
cria_session_options sessionOptions(int64_t Threads, const std::string &Clone,
                                    const std::string &Device = {});
/// Says on stderr why a session for the device "auto" runs on the CPU.
SessionPtr openSession(const cria_artifact *Artifact,
                       const cria_session_options &Options);
/// Bytes that all pages of the KV cache have, in use or not.
uint64_t cacheBytes(const cria_session *Session, const cria_model *Model);
/// `Dir`/tokenizer.json; the message of a missing one says who needs it.
TokenizerPtr openTokenizer(const std::string &Dir, const char *Command);

/// `Flags`: CRIA_ENCODE_*.
std::vector<int32_t> encodeText(const cria_tokenizer *Tokenizer,
                                const std::string &Text, unsigned Flags);
inline std::vector<int32_t> encodePrompt(const cria_tokenizer *Tokenizer,
                                         const std::string &Prompt) {
  return encodeText(Tokenizer, Prompt, CRIA_ENCODE_ADD_SPECIAL);
}

/// The bytes of a file that is not empty. Messages begin with `Option`.
std::string readWhole(const std::string &Path, const char *Option);
/// Throws a Failure that names the file and the reason.
void writeWhole(const std::string &Path, const std::string &Text);

} // namespace cria::tools

#endif // CRIA_TOOLS_COMMON_H
