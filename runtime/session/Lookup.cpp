// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "cria/lookup.h"

#include "model/Report.h"
#include "session/DraftPolicy.h"
#include "session/NgramIndex.h"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <memory>
#include <new>

using namespace cria::runtime;

namespace {

constexpr int64_t MostCapacity = int64_t{1} << 28;
constexpr int64_t DefaultCapacity = 65536;
constexpr int64_t DefaultMinMatch = 2;
constexpr int64_t MostRun = 1 + CRIA_LOOKUP_LONGEST_DRAFT;
static_assert(MostRun == DraftPolicy::MostTokens);

double secondsNow() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

} // namespace

struct cria_lookup {
  NgramIndex Index;
  DraftPolicy Policy;
  int64_t MaxDraft = 0;
  // Of the last draft.
  int64_t MatchLength = 0, Drafted = 0;
  cria_lookup_stats Stats = {};

  cria_status init(const cria_lookup_options &Options, cria_error *Error);
  int64_t draft(int64_t Most, int32_t *Tokens);
  void learn(int64_t Checked, int64_t Right, int64_t Batch, double Seconds);
  cria_status step(cria_session *Session, int32_t Sequence, int32_t Token,
                   int64_t Most, cria_choose_fn Choose, void *Context,
                   int32_t *Chosen, int64_t *Count, cria_error *Error);
};

cria_status cria_lookup::init(const cria_lookup_options &Options,
                              cria_error *Error) {
  int64_t Capacity, MinMatch;
  struct {
    const char *Name;
    int64_t Value, Default, Most;
    int64_t &Result;
  } const Table[] = {
      {"capacity", Options.capacity, DefaultCapacity, MostCapacity, Capacity},
      {"max_draft", Options.max_draft, CRIA_LOOKUP_MAX_DRAFT,
       CRIA_LOOKUP_LONGEST_DRAFT, MaxDraft},
      {"min_match", Options.min_match, DefaultMinMatch,
       NgramIndex::LongestMatch, MinMatch},
  };
  for (const auto &Option : Table) {
    if (Option.Value < 0 || Option.Value > Option.Most)
      return report(Error, CRIA_INVALID_ARGUMENT,
                    "lookup option %s is %" PRId64
                    "; it must be between 1 and %" PRId64
                    ", or 0 for the default of %" PRId64,
                    Option.Name, Option.Value, Option.Most, Option.Default);
    Option.Result = Option.Value ? Option.Value : Option.Default;
  }
  Index.init(Capacity, MinMatch);
  return succeed(Error);
}

int64_t cria_lookup::draft(int64_t Most, int32_t *Tokens) {
  NgramIndex::Match Found = Index.find();
  MatchLength = Found.Length;
  Drafted = Policy.choose(Found.Length, std::min(Most, MaxDraft));
  Index.follow(Found, Drafted, Tokens);
  return Drafted;
}

void cria_lookup::learn(int64_t Checked, int64_t Right, int64_t Batch,
                        double Seconds) {
  Checked = std::max<int64_t>(0, std::min(Checked, Drafted));
  Right = std::max<int64_t>(0, std::min(Right, Checked));
  Policy.learnDraft(MatchLength, Checked, Right);
  Policy.learnTime(Batch, Seconds);
  ++Stats.runs;
  Stats.drafted += Drafted;
  Stats.right += Right;
  Drafted = 0; // a second report of the same draft counts the run only
}

cria_status cria_lookup::step(cria_session *Session, int32_t Sequence,
                              int32_t Token, int64_t Most,
                              cria_choose_fn Choose, void *Context,
                              int32_t *Chosen, int64_t *Count,
                              cria_error *Error) {
  int64_t Length = cria_session_length(Session, Sequence);
  if (Length < 0)
    return report(Error, CRIA_OUT_OF_RANGE,
                  "cria_lookup_step: the session has no sequence %" PRId32,
                  Sequence);
  int64_t Rows = cria_session_max_logits(Session);
  if (Rows < 1 + MaxDraft)
    return report(Error, CRIA_INVALID_ARGUMENT,
                  "cria_lookup_step: the session has room for %" PRId64
                  " rows of logits (max_logits); drafts of up to %" PRId64
                  " tokens need %" PRId64,
                  Rows, MaxDraft, 1 + MaxDraft);

  const cria_model *Model = cria_session_model(Session);
  int32_t Fed[MostRun], Sequences[MostRun];
  uint8_t Want[MostRun];
  std::fill(std::begin(Sequences), std::end(Sequences), Sequence);
  std::fill(std::begin(Want), std::end(Want), uint8_t{1});
  Fed[0] = Token;
  Index.append(Token);
  int64_t Draft = draft(std::min(Most, Model->context - Length) - 1, Fed + 1);
  auto Forward = [&](float **Logits) {
    return cria_session_forward(Session, 1 + Draft, Fed, Sequences, Want,
                                Logits, Error);
  };
  float *Logits;
  double Start = secondsNow();
  cria_status Status = Forward(&Logits);
  if (Status == CRIA_OUT_OF_RANGE && Draft > 0) {
    // The session's pages may be short for a draft and not for a token.
    Draft = Drafted = 0;
    Status = Forward(&Logits);
  }
  double Seconds = secondsNow() - Start;
  if (Status) {
    Index.retract();
    return Status;
  }

  int64_t Row = 0, Checked = 0, Right = 0;
  for (int Stop = 0;; ++Row) {
    Status = Choose(Context, Logits + Row * Model->vocab, &Chosen[Row], &Stop,
                    Error);
    if (Status) {
      cria_session_truncate(Session, Sequence, Length, nullptr);
      Index.retract();
      return Status;
    }
    if (Row == Draft)
      break;
    ++Checked;
    if (Chosen[Row] != Fed[Row + 1])
      break;
    ++Right;
    if (Stop)
      break;
  }
  // The last one is not fed yet, even where it is what was drafted.
  *Count = Row + 1;
  for (int64_t I = 0; I < Row; ++I)
    Index.append(Chosen[I]);
  learn(Checked, Right, 1 + Draft, Seconds);
  return cria_session_truncate(Session, Sequence, Length + 1 + Row, Error);
}

void cria_lookup_options_init(cria_lookup_options *options) {
  if (options)
    *options = cria_lookup_options{};
}

cria_status cria_lookup_create(const cria_lookup_options *options,
                               cria_lookup **lookup, cria_error *error) {
  if (lookup)
    *lookup = nullptr;
  if (!lookup)
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_lookup_create: lookup must not be null");
  try {
    auto Made = std::make_unique<cria_lookup>();
    if (cria_status Status =
            Made->init(options ? *options : cria_lookup_options{}, error))
      return Status;
    *lookup = Made.release();
    return CRIA_OK;
  } catch (const std::exception &) {
    return report(error, CRIA_OUT_OF_MEMORY,
                  "cria_lookup_create: no memory for the index");
  }
}

void cria_lookup_free(cria_lookup *lookup) { delete lookup; }

void cria_lookup_clear(cria_lookup *lookup) {
  if (!lookup)
    return;
  lookup->Index.clear();
  lookup->Drafted = 0;
}

void cria_lookup_append(cria_lookup *lookup, const int32_t *tokens, int64_t n) {
  for (int64_t I = 0; lookup && tokens && I < n; ++I)
    lookup->Index.append(tokens[I]);
}

int64_t cria_lookup_draft(cria_lookup *lookup, int64_t most, int32_t *tokens) {
  return lookup && tokens ? lookup->draft(most, tokens) : 0;
}

void cria_lookup_report(cria_lookup *lookup, int64_t checked, int64_t right,
                        int64_t batch, double seconds) {
  if (lookup)
    lookup->learn(checked, right, batch, seconds);
}

cria_status cria_lookup_step(cria_lookup *lookup, cria_session *session,
                             int32_t sequence, int32_t token, int64_t most,
                             cria_choose_fn choose, void *choose_context,
                             int32_t *chosen, int64_t *count,
                             cria_error *error) {
  if (count)
    *count = 0;
  if (!lookup || !session || !choose || !chosen || !count)
    return report(error, CRIA_INVALID_ARGUMENT,
                  "cria_lookup_step: lookup, session, choose, chosen and count "
                  "must not be null");
  if (most < 1)
    return report(
        error, CRIA_INVALID_ARGUMENT,
        "cria_lookup_step: most is %" PRId64 "; it must be at least 1", most);
  return lookup->step(session, sequence, token, most, choose, choose_context,
                      chosen, count, error);
}

void cria_lookup_get_stats(const cria_lookup *lookup,
                           cria_lookup_stats *stats) {
  if (stats)
    *stats = lookup ? lookup->Stats : cria_lookup_stats{};
}

uint64_t cria_lookup_bytes(const cria_lookup *lookup) {
  return lookup ? sizeof(*lookup) + lookup->Index.bytes() : 0;
}
