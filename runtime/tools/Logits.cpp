// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria logits: the logits of every token of a prompt as a .npy file.
#include "tools/Cache.h"
#include "tools/Commands.h"
#include "tools/Common.h"
#include "tools/Npy.h"

#include <cinttypes>

namespace cria::tools {

namespace {

struct Options {
  ModelChoice Model;
  std::string Clone; // empty: the best
  std::string Device = "auto";
  std::string Tokens;
  std::string Output;
  int64_t Threads = 0;
  int64_t Split = 0;
  int64_t Beside = 0;
  bool Plain = false;
};

void logits(const Options &Chosen) {
  std::vector<int64_t> Tokens =
      parseNumbers(Chosen.Tokens, "--tokens", 0, INT32_MAX);
  int64_t Count = static_cast<int64_t>(Tokens.size());
  std::string Dir = resolveModel(Chosen.Model);
  ArtifactPtr Artifact = Chosen.Plain ? openPlain(Dir) : openArtifact(Dir);
  const cria_model *Model = cria_artifact_model(Artifact.get());
  if (Count > Model->context)
    throw Failure{format("--tokens: %" PRId64
                         " tokens; the model is compiled for a context of "
                         "%" PRId64 " (cria compile --context)",
                         Count, Model->context)};
  for (int64_t I = 0; I < Count; ++I)
    if (Tokens[I] >= Model->vocab)
      throw Failure{format("--tokens: entry %" PRId64 " is %" PRId64
                           "; the model's token ids are 0 to %" PRId64,
                           I, Tokens[I], Model->vocab - 1)};
  int64_t Sequences = 1 + Chosen.Beside;
  int64_t Piece =
      std::min(Chosen.Split ? Chosen.Split : Model->max_batch, Count);
  cria_session_options Wanted =
      sessionOptions(Chosen.Threads, Chosen.Clone, Chosen.Device);
  Wanted.max_sequences = Sequences;
  Wanted.capacity = Count * Sequences;
  Wanted.max_logits = Piece;
  SessionPtr Session = openSession(Artifact.get(), Wanted);

  NpyWriter File(Chosen.Output, Count, Model->vocab);
  std::vector<int32_t> Fed, Rows;
  std::vector<uint8_t> Want;
  for (int64_t Begin = 0; Begin < Count; Begin += Piece) {
    int64_t End = std::min(Count, Begin + Piece);
    Fed.clear(), Rows.clear(), Want.clear();
    for (int64_t I = Begin; I < End; ++I)
      for (int64_t S = Sequences - 1; S >= 0; --S) {
        // The others get the same tokens, rotated: mixing up sequences shows.
        Fed.push_back(static_cast<int32_t>(Tokens[(I + S) % Count]));
        Rows.push_back(static_cast<int32_t>(S));
        Want.push_back(S == 0);
      }
    float *Values;
    cria_error Error;
    check(cria_session_forward(Session.get(), Fed.size(), Fed.data(),
                               Rows.data(), Want.data(), &Values, &Error),
          Error);
    File.write(Values, (End - Begin) * Model->vocab);
  }
  File.commit();
}

} // namespace

Action addLogits(Arguments &Declared) {
  auto Chosen = std::make_shared<Options>();
  addModelOptions(Declared, Chosen->Model);
  Declared.text("--tokens", "IDS", Chosen->Tokens, "Token ids: 1,2,3",
                Arguments::Required);
  Declared.text("-o,--output", "FILE.npy", Chosen->Output,
                "The file to write: float32 [tokens, vocabulary]",
                Arguments::Required);
  Declared.number("-t,--threads", "THREADS", Chosen->Threads, 1, 1024,
                  "Threads (default: one a physical core)");
  Declared.text("--clone", "T", Chosen->Clone,
                "Run the clone for target T (default: the best for this "
                "processor)");
  addDeviceOption(Declared, Chosen->Device);
  Declared.flag("--plain", Chosen->Plain,
                "Run the plain lowering instead of the optimised code");
  Declared.number("--batch-split", "K", Chosen->Split, 1, INT32_MAX,
                  "Feed the tokens in pieces of K (default: as many as the "
                  "model takes)");
  Declared.number("--beside", "S", Chosen->Beside, 0, 1023,
                  "Run S other sequences in the same batches (default: 0)");
  Declared.footer(
      "Example:\n"
      "  cria logits smollm2 --tokens 504,3575,282 -o logits.npy\n"
      "  cria logits smollm2 --tokens 504,3575,282 -o plain.npy --plain");
  return [Chosen] { logits(*Chosen); };
}

} // namespace cria::tools
