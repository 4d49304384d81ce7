// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria eval: how well a model predicts a text, and how far it is from another
// one.
#include "tools/Cache.h"
#include "tools/Commands.h"
#include "tools/Common.h"
#include "tools/Divergence.h"
#include "tools/ProgressBar.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cinttypes>
#include <cmath>

namespace cria::tools {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  ModelChoice Model;
  std::string Clone; // empty: the best
  std::string Text;  // a file
  std::string Against;
  bool AgainstPlain = false;
  int64_t Window = 0;
  int64_t Skip = 0;
  int64_t Count = 0; // tokens of the text; 0: all
  int64_t Threads = 0;
  bool AsJson = false;
};

/// Rows of logits that are held at a time.
constexpr int64_t PieceTokens = 64;

/// A model and the one sequence that it reads.
class Reader {
public:
  Reader(ArtifactPtr Opened, int64_t Window, int64_t Threads, const char *Clone)
      : Artifact(std::move(Opened)) {
    cria_session_options Wanted;
    cria_session_options_init(&Wanted);
    Wanted.threads = Threads;
    Wanted.clone = Clone;
    Wanted.capacity = Window;
    Wanted.max_logits = std::min(PieceTokens, Window);
    Session = openSession(Artifact.get(), Wanted);
  }

  const cria_model &model() const {
    return *cria_artifact_model(Artifact.get());
  }

  void beginWindow() {
    cria_error Error;
    check(cria_session_clear(Session.get(), 0, &Error), Error);
  }

  /// The logits of each of up to PieceTokens tokens.
  const float *read(const int32_t *Tokens, int64_t Count) {
    std::vector<uint8_t> Want(Count, 1);
    float *Logits;
    cria_error Error;
    check(cria_session_forward(Session.get(), Count, Tokens, nullptr,
                               Want.data(), &Logits, &Error),
          Error);
    return Logits;
  }

private:
  ArtifactPtr Artifact;
  SessionPtr Session;
};

/// Windows of the text that follow each other, each from an empty cache. With
/// a BOS token of the tokenizer, every one starts with it.
struct Windows {
  std::vector<std::vector<int32_t>> Each;
  int64_t Tokens = 0; // of the text
  int64_t Scored = 0;
};

/// `Skip`: tokens at the start of each window that are not scored.
Windows cut(const cria_tokenizer *Tokenizer, const Options &Chosen,
            const std::string &Text, int64_t Window) {
  std::vector<int32_t> Ids = encodeText(
      Tokenizer, Text, CRIA_ENCODE_ADD_SPECIAL | CRIA_ENCODE_PLAIN_TEXT);
  int32_t Bos = cria_tokenizer_bos_id(Tokenizer);
  bool HasBos = Bos >= 0 && !Ids.empty() && Ids[0] == Bos;
  int64_t Begin = HasBos;
  int64_t End = static_cast<int64_t>(Ids.size());
  if (Chosen.Count)
    End = std::min(End, Begin + Chosen.Count);
  Windows All;
  All.Tokens = End - Begin;
  while (Begin < End) {
    int64_t Next = std::min(End, Begin + Window - HasBos);
    std::vector<int32_t> One;
    if (HasBos)
      One.push_back(Bos);
    One.insert(One.end(), Ids.begin() + Begin, Ids.begin() + Next);
    // The last token predicts one that is not there.
    All.Scored += std::max<int64_t>(0, static_cast<int64_t>(One.size()) - 1 -
                                           Chosen.Skip);
    All.Each.push_back(std::move(One));
    Begin = Next;
  }
  if (All.Scored < 1)
    throw Failure{format("--text %s: gives %" PRId64 " tokens, none of which "
                         "can be scored; needed: at least %" PRId64,
                         Chosen.Text.c_str(), All.Tokens,
                         Chosen.Skip + 2 - HasBos)};
  return All;
}

void scoreWindow(const std::vector<int32_t> &Tokens, int64_t Skip,
                 Reader &Model, Reader *Reference, std::vector<Score> &Scores) {
  int64_t Vocab = Model.model().vocab;
  int64_t Last = static_cast<int64_t>(Tokens.size()) - 1;
  Model.beginWindow();
  if (Reference)
    Reference->beginWindow();
  for (int64_t Begin = 0; Begin < Last; Begin += PieceTokens) {
    int64_t Count = std::min(PieceTokens, Last - Begin);
    const float *Logits = Model.read(&Tokens[Begin], Count);
    const float *Others =
        Reference ? Reference->read(&Tokens[Begin], Count) : nullptr;
    for (int64_t I = std::max<int64_t>(0, Skip - Begin); I < Count; ++I) {
      const float *Row = Logits + I * Vocab;
      int32_t Following = Tokens[Begin + I + 1];
      RowStatistics Of = rowStatistics(Row, Vocab);
      Score One = {};
      One.Position = Begin + I;
      One.Nll = Of.LogZ - Row[Following];
      One.SquaredLogZ = Of.LogZ * Of.LogZ;
      if (Others) {
        const float *Other = Others + I * Vocab;
        RowStatistics OfOther = rowStatistics(Other, Vocab);
        One.ReferenceNll = OfOther.LogZ - Other[Following];
        One.Kl = klDivergence(Other, OfOther, Row, Of, Vocab);
        One.SameTop = Of.Largest == OfOther.Largest;
      }
      // Never a perplexity of numbers that are none.
      if (!std::isfinite(One.Nll) || !std::isfinite(One.Kl))
        throw Failure{format("the logits at position %" PRId64
                             " of a window are not finite",
                             Begin + I)};
      Scores.push_back(One);
    }
  }
}

/// A reference must be asked the same question.
void compareModels(const cria_tokenizer *Tokenizer, const Options &Chosen,
                   const std::string &Text, const std::string &Dir,
                   const cria_model &Model, const cria_model &Other) {
  if (Model.vocab != Other.vocab)
    throw Failure{format("--against %s: has a vocabulary of %" PRId64
                         "; needed: %" PRId64 ", as %s has",
                         Chosen.Against.c_str(), Other.vocab, Model.vocab,
                         Chosen.Model.Path.c_str())};
  TokenizerPtr Theirs = openTokenizer(Dir, "eval");
  unsigned Flags = CRIA_ENCODE_ADD_SPECIAL | CRIA_ENCODE_PLAIN_TEXT;
  if (encodeText(Tokenizer, Text, Flags) !=
      encodeText(Theirs.get(), Text, Flags))
    throw Failure{format("--against %s: its tokenizer cuts the text into other "
                         "tokens than that of %s",
                         Chosen.Against.c_str(), Chosen.Model.Path.c_str())};
}

/// Begins of ranges of positions, by factors of four.
std::vector<int64_t> ranges(int64_t Window) {
  std::vector<int64_t> Begins = {0};
  for (int64_t Begin = 16; Begin < Window; Begin *= 4)
    Begins.push_back(Begin);
  Begins.push_back(Window);
  return Begins;
}

Json toJson(const Summary &Of, bool Compared) {
  Json Result = {{"tokens", Of.Tokens},
                 {"perplexity", Of.Perplexity},
                 {"perplexity_error", Of.PerplexityError},
                 {"z", Of.Z}};
  if (Compared) {
    Result["reference_perplexity"] = Of.ReferencePerplexity;
    Result["kl_mean"] = Of.KlMean;
    Result["kl_p99"] = Of.KlHigh;
    Result["kl_max"] = Of.KlMost;
    Result["same_top"] = Of.SameTop;
  }
  return Result;
}

void printJson(const Options &Chosen, const Windows &Cut, int64_t Window,
               const std::string &Reference, const std::vector<Score> &Scores) {
  bool Compared = !Reference.empty();
  Json Result = {{"model", Chosen.Model.Path},
                 {"text", Chosen.Text},
                 {"text_tokens", Cut.Tokens},
                 {"window", Window},
                 {"skip", Chosen.Skip}};
  if (Compared)
    Result["against"] = Reference;
  Result.update(toJson(summarise(Scores, 0, Window), Compared));
  std::vector<int64_t> Begins = ranges(Window);
  Json Drift = Json::array();
  for (size_t I = 0; I + 1 < Begins.size(); ++I)
    if (Summary Of = summarise(Scores, Begins[I], Begins[I + 1]); Of.Tokens) {
      Json Entry = {{"begin", Begins[I]}, {"end", Begins[I + 1]}};
      Entry.update(toJson(Of, Compared));
      Drift.push_back(std::move(Entry));
    }
  Result["positions"] = std::move(Drift);
  print(Result.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void printText(const Options &Chosen, const Windows &Cut, int64_t Window,
               const std::string &Reference, const std::vector<Score> &Scores) {
  bool Compared = !Reference.empty();
  Summary All = summarise(Scores, 0, Window);
  std::string Text;
  auto Line = [&](const char *Name, const std::string &Value) {
    Text += format("%-14s %s\n", Name, Value.c_str());
  };
  Line("text", format("%s: %" PRId64 " tokens, %" PRId64
                      " scored in windows of %" PRId64,
                      Chosen.Text.c_str(), Cut.Tokens, All.Tokens, Window));
  Line("perplexity",
       format("%.4f ± %.4f", All.Perplexity, All.PerplexityError));
  Line("z", format("%.3f   mean of log² Z", All.Z));
  if (Compared) {
    Line("against", Reference);
    Line("  perplexity", format("%.4f, times %.4f", All.ReferencePerplexity,
                                All.Perplexity / All.ReferencePerplexity));
    Line("  KL", format("%.6f mean, %.6f 99th percentile, %.6f most nats",
                        All.KlMean, All.KlHigh, All.KlMost));
    Line("  same top", format("%.2f %%", 100 * All.SameTop));
  }
  Text += format("\n%16s %8s %12s", "positions", "tokens", "perplexity");
  Text += Compared
              ? format(" %12s %12s %10s\n", "KL mean", "KL 99th", "same top")
              : "\n";
  std::vector<int64_t> Begins = ranges(Window);
  for (size_t I = 0; I + 1 < Begins.size(); ++I) {
    Summary Of = summarise(Scores, Begins[I], Begins[I + 1]);
    if (!Of.Tokens)
      continue;
    std::string Name =
        format("%" PRId64 " to %" PRId64, Begins[I], Begins[I + 1] - 1);
    Text += format("%16s %8" PRId64 " %12.4f", Name.c_str(), Of.Tokens,
                   Of.Perplexity);
    Text += Compared ? format(" %12.6f %12.6f %8.2f %%\n", Of.KlMean, Of.KlHigh,
                              100 * Of.SameTop)
                     : "\n";
  }
  print(Text);
}

void evaluate(const Options &Chosen) {
  if (Chosen.AgainstPlain && !Chosen.Against.empty())
    throw Failure{"--against and --against-plain: give one of them"};
  std::string Text = readWhole(Chosen.Text, "--text");
  std::string Dir = resolveModel(Chosen.Model);
  TokenizerPtr Tokenizer = openTokenizer(Dir, "eval");
  ArtifactPtr Artifact = openArtifact(Dir);
  int64_t Context = cria_artifact_model(Artifact.get())->context;
  std::string OtherDir, Name;
  ArtifactPtr Other;
  if (Chosen.AgainstPlain) {
    Other = openPlain(Dir);
    Name = "its plain lowering";
  } else if (!Chosen.Against.empty()) {
    ModelChoice Choice;
    Choice.Path = Name = Chosen.Against;
    Choice.Context = Chosen.Model.Context;
    OtherDir = resolveModel(Choice);
    Other = openArtifact(OtherDir);
    compareModels(Tokenizer.get(), Chosen, Text, OtherDir,
                  *cria_artifact_model(Artifact.get()),
                  *cria_artifact_model(Other.get()));
    Context = std::min(Context, cria_artifact_model(Other.get())->context);
  }
  int64_t Window =
      Chosen.Window ? Chosen.Window : std::min<int64_t>(512, Context);
  if (Window > Context)
    throw Failure{format("--window %" PRId64 ": compiled for a context of "
                         "%" PRId64 " (cria compile --context)",
                         Window, Context)};
  Windows Cut = cut(Tokenizer.get(), Chosen, Text, Window);
  for (const std::vector<int32_t> &Tokens : Cut.Each)
    for (int32_t Token : Tokens)
      if (Token >= cria_artifact_model(Artifact.get())->vocab)
        throw Failure{format("the tokenizer gives token %" PRId32
                             "; the model has 0 to %" PRId64,
                             Token,
                             cria_artifact_model(Artifact.get())->vocab - 1)};

  Reader Model(std::move(Artifact), Window, Chosen.Threads,
               Chosen.Clone.empty() ? nullptr : Chosen.Clone.c_str());
  std::unique_ptr<Reader> Reference;
  if (Other)
    Reference = std::make_unique<Reader>(std::move(Other), Window,
                                         Chosen.Threads, nullptr);
  std::vector<Score> Scores;
  Scores.reserve(Cut.Scored);
  {
    ProgressBar Bar(Cut.Scored);
    double Nll = 0;
    for (const std::vector<int32_t> &Tokens : Cut.Each) {
      size_t Before = Scores.size();
      scoreWindow(Tokens, Chosen.Skip, Model, Reference.get(), Scores);
      for (size_t I = Before; I < Scores.size(); ++I)
        Nll += Scores[I].Nll;
      if (!Scores.empty())
        Bar.update(static_cast<int64_t>(Scores.size()),
                   format("perplexity %.3f", std::exp(Nll / Scores.size())));
    }
  }
  (Chosen.AsJson ? printJson : printText)(Chosen, Cut, Window, Name, Scores);
}

} // namespace

Action addEval(Arguments &Declared) {
  auto Chosen = std::make_shared<Options>();
  addModelOptions(Declared, Chosen->Model);
  Declared.text("--text", "FILE", Chosen->Text, "The text, UTF-8",
                Arguments::Required);
  Declared.text("--against", "DIR|MODEL", Chosen->Against,
                "Compare with this model, which has the same tokenizer");
  Declared.flag("--against-plain", Chosen->AgainstPlain,
                "Compare with the plain lowering of the same weights");
  Declared.number("--window", "N", Chosen->Window, 2, INT32_MAX,
                  "Tokens of the text that see each other (default: 512, or "
                  "the context where it is less)");
  Declared.number("--skip", "N", Chosen->Skip, 0, INT32_MAX,
                  "Leave out the first N positions of each window (default: "
                  "0)");
  Declared.number("-n,--tokens", "N", Chosen->Count, 1, INT32_MAX,
                  "Read no more than N tokens of the text");
  Declared.number("-t,--threads", "THREADS", Chosen->Threads, 1, 1024,
                  "Threads (default: one a physical core)");
  Declared.text("--clone", "T", Chosen->Clone,
                "Run the clone for target T (default: the best for this "
                "processor)");
  Declared.flag("--json", Chosen->AsJson, "Print JSON");
  Declared.footer(
      "Example:\n"
      "  cria eval smollm2 --text book.txt\n"
      "  cria eval smollm2.gguf --quantize q4 --text book.txt --against "
      "smollm2\n"
      "The text is cut into windows; each starts with an empty cache, and with "
      "the\nBOS token where the tokenizer puts one. Perplexity is exp of the "
      "mean -log p\nof the tokens that follow, ± its standard error; z the "
      "mean "
      "square of log Z,\nthe log of the sum of exp of the logits. KL is "
      "KL(reference || model) in nats.");
  return [Chosen] { evaluate(*Chosen); };
}

} // namespace cria::tools
