// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Built with -ffp-contract=off: a fused multiply-add rounds differently, and
// whether the compiler forms one depends on the target.

#include "cria/sampler.h"
#include "TextError.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

using namespace cria::text;

namespace {

constexpr int32_t MaxVocabulary = 1 << 24;
constexpr int32_t MaxLastTokens = 1 << 20;

/// xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64.
class Random {
public:
  void seed(uint64_t Seed) {
    for (uint64_t &Word : State) {
      Seed += 0x9E3779B97F4A7C15;
      uint64_t Z = Seed;
      Z = (Z ^ Z >> 30) * 0xBF58476D1CE4E5B9;
      Z = (Z ^ Z >> 27) * 0x94D049BB133111EB;
      Word = Z ^ Z >> 31;
    }
  }

  /// In [0, 1), a multiple of 2^-53.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

private:
  static uint64_t rotate(uint64_t X, int By) {
    return X << By | X >> (64 - By);
  }
  uint64_t next() {
    uint64_t Result = rotate(State[1] * 5, 7) * 9, T = State[1] << 17;
    State[2] ^= State[0];
    State[3] ^= State[1];
    State[1] ^= State[2];
    State[0] ^= State[3];
    State[2] ^= T;
    State[3] = rotate(State[3], 45);
    return Result;
  }
  uint64_t State[4];
};

/// exp of a number that is not positive, the same on every machine; within
/// 1e-15 of the exact value.
double expNegative(double X) {
  if (!(X > -700))
    return 0;
  // x = n ln2 + r, |r| <= ln2 / 2; ln2 in two parts so that n ln2 is exact.
  double N = std::floor(X * 1.4426950408889634 + 0.5);
  double R = X - N * 6.93147180369123816490e-01;
  R = R - N * 1.90821492927058770002e-10;
  // Taylor to the 13th power: 0.347^14 / 14! < 1e-17.
  double P = 1.0;
  for (int I = 13; I > 0; --I)
    P = 1.0 + R * P / I;
  uint64_t Bits = static_cast<uint64_t>(static_cast<int64_t>(N) + 1023) << 52;
  double Scale;
  std::memcpy(&Scale, &Bits, sizeof(Scale));
  return P * Scale;
}

struct Candidate {
  float Logit;
  int32_t Token;
};

bool better(const Candidate &A, const Candidate &B) {
  return A.Logit != B.Logit ? A.Logit > B.Logit : A.Token < B.Token;
}

} // namespace

struct cria_sampler {
  cria_sampler_params Params;
  int32_t VocabSize;
  Random Numbers;
  std::vector<Candidate> Candidates;
  std::vector<double> Weights;
  std::vector<int32_t> Counts; // of a token among the last ones
  std::vector<int32_t> Last;   // a ring
  size_t LastCount = 0, LastNext = 0;

  size_t collect(const float *Logits);
  float penalized(float Logit, int32_t Token) const;
  size_t keepTopP(size_t Count, size_t &Sorted);
  void sortFirst(size_t Wanted, size_t Count, size_t &Sorted);
};

float cria_sampler::penalized(float Logit, int32_t Token) const {
  int32_t Count = Counts[Token];
  if (!Count)
    return Logit;
  Logit = Logit > 0 ? Logit / Params.repetition_penalty
                    : Logit * Params.repetition_penalty;
  Logit -= static_cast<float>(Count) * Params.frequency_penalty;
  return Logit - Params.presence_penalty;
}

/// Lists the tokens that can be chosen, penalties applied.
size_t cria_sampler::collect(const float *Logits) {
  constexpr float Largest = std::numeric_limits<float>::max();
  size_t Count = 0;
  for (int32_t Token = 0; Token < VocabSize; ++Token) {
    float Logit = std::min(Logits[Token], Largest);
    if (std::isnan(Logits[Token]) || Logit < -Largest)
      continue;
    Logit = penalized(Logit, Token);
    Logit = std::max(-Largest, std::min(Logit, Largest));
    Candidates[Count++] = {Logit, Token};
  }
  return Count;
}

/// Puts the `Wanted` best of `Count` candidates first and in order, of which
/// `Sorted` already are.
void cria_sampler::sortFirst(size_t Wanted, size_t Count, size_t &Sorted) {
  if (Wanted <= Sorted)
    return;
  auto Begin = Candidates.begin();
  if (Wanted < Count)
    std::nth_element(Begin + Sorted, Begin + Wanted, Begin + Count, better);
  std::sort(Begin + Sorted, Begin + Wanted, better);
  Sorted = Wanted;
}

/// The size of the smallest best set that has the probability top_p.
size_t cria_sampler::keepTopP(size_t Count, size_t &Sorted) {
  sortFirst(1, Count, Sorted);
  // The sum must not depend on how nth_element left the rest, so the tail is
  // summed by token order: weights are scattered to their token's place.
  double Best = Candidates[0].Logit, Total = 0;
  std::fill(Weights.begin(), Weights.end(), 0.0);
  for (size_t I = 0; I < Count; ++I)
    Weights[Candidates[I].Token] = expNegative(Candidates[I].Logit - Best);
  for (double Weight : Weights)
    Total += Weight;
  double Goal = static_cast<double>(Params.top_p) * Total, Sum = 0;
  for (size_t I = 0; I < Count; ++I) {
    // Few tokens usually suffice: sort them in growing steps.
    if (I == Sorted)
      sortFirst(std::min(Count, std::max<size_t>(64, 4 * Sorted)), Count,
                Sorted);
    Sum += Weights[Candidates[I].Token];
    if (Sum >= Goal)
      return I + 1;
  }
  return Count;
}

extern "C" {

void cria_sampler_params_init(cria_sampler_params *Params) {
  std::memset(Params, 0, sizeof(*Params));
  Params->top_p = 1;
  Params->repetition_penalty = 1;
}

cria_status cria_sampler_create(const cria_sampler_params *Params,
                                int32_t VocabSize, cria_sampler **Sampler,
                                cria_error *Error) {
  if (Sampler)
    *Sampler = nullptr;
  return guarded(Error, [&] {
    if (!Params || !Sampler)
      fail(CRIA_INVALID_ARGUMENT, "params or sampler is null");
    auto Check = [](bool Good, const char *Name, double Value,
                    const char *Range) {
      if (!Good)
        fail(CRIA_INVALID_ARGUMENT, std::string(Name) + " is " +
                                        std::to_string(Value) + ", expected " +
                                        Range);
    };
    const cria_sampler_params &P = *Params;
    Check(VocabSize >= 1 && VocabSize <= MaxVocabulary, "vocab_size", VocabSize,
          "1 to 16777216");
    Check(std::isfinite(P.temperature) && P.temperature >= 0, "temperature",
          P.temperature, "a finite number >= 0");
    Check(P.top_k >= 0, "top_k", P.top_k, ">= 0");
    Check(P.top_p > 0 && P.top_p <= 1, "top_p", P.top_p, "in (0, 1]");
    Check(P.min_p >= 0 && P.min_p <= 1, "min_p", P.min_p, "in [0, 1]");
    Check(std::isfinite(P.repetition_penalty) && P.repetition_penalty > 0,
          "repetition_penalty", P.repetition_penalty, "a finite number > 0");
    Check(std::isfinite(P.frequency_penalty), "frequency_penalty",
          P.frequency_penalty, "a finite number");
    Check(std::isfinite(P.presence_penalty), "presence_penalty",
          P.presence_penalty, "a finite number");
    Check(P.penalty_last_n >= 0 && P.penalty_last_n <= MaxLastTokens,
          "penalty_last_n", P.penalty_last_n, "0 to 1048576");
    auto New = std::make_unique<cria_sampler>();
    New->Params = P;
    New->VocabSize = VocabSize;
    New->Candidates.resize(VocabSize);
    New->Weights.resize(VocabSize);
    New->Counts.resize(VocabSize);
    New->Last.resize(P.penalty_last_n);
    New->Numbers.seed(P.seed);
    *Sampler = New.release();
  });
}

void cria_sampler_free(cria_sampler *Sampler) { delete Sampler; }

void cria_sampler_reset(cria_sampler *Sampler, uint64_t Seed) {
  Sampler->Numbers.seed(Seed);
  std::fill(Sampler->Counts.begin(), Sampler->Counts.end(), 0);
  Sampler->LastCount = Sampler->LastNext = 0;
}

void cria_sampler_accept(cria_sampler *Sampler, int32_t Token) {
  cria_sampler &S = *Sampler;
  if (Token < 0 || Token >= S.VocabSize || S.Last.empty())
    return;
  if (S.LastCount == S.Last.size())
    --S.Counts[S.Last[S.LastNext]];
  else
    ++S.LastCount;
  S.Last[S.LastNext] = Token;
  S.LastNext = (S.LastNext + 1) % S.Last.size();
  ++S.Counts[Token];
}

cria_status cria_sampler_sample(cria_sampler *Sampler, const float *Logits,
                                int32_t *Token, cria_error *Error) {
  return guarded(Error, [&] {
    if (!Sampler || !Logits || !Token)
      fail(CRIA_INVALID_ARGUMENT, "sampler, logits or token is null");
    cria_sampler &S = *Sampler;
    const cria_sampler_params &P = S.Params;
    size_t Count = S.collect(Logits);
    if (!Count)
      fail(CRIA_INVALID_DATA, "no logit is a number above minus infinity");
    auto Begin = S.Candidates.begin();
    if (P.temperature == 0) {
      *Token = std::min_element(Begin, Begin + Count, better)->Token;
      return;
    }

    size_t Sorted = 0;
    if (P.top_k && static_cast<size_t>(P.top_k) < Count) {
      S.sortFirst(P.top_k, Count, Sorted);
      Count = P.top_k;
    }
    if (P.top_p < 1)
      Count = S.keepTopP(Count, Sorted);
    float Best = std::min_element(Begin, Begin + Count, better)->Logit;
    if (P.min_p > 0) {
      auto Kept = std::remove_if(Begin, Begin + Count, [&](const Candidate &C) {
        return expNegative(static_cast<double>(C.Logit) - Best) < P.min_p;
      });
      Count = Kept - Begin;
    }

    // Draw. What is left is in order of tokens or of logits, never as
    // nth_element left it: sums are the same with every standard library.
    double Total = 0;
    for (size_t I = 0; I < Count; ++I) {
      double Difference = static_cast<double>(Begin[I].Logit) - Best;
      S.Weights[I] = expNegative(Difference / P.temperature);
      Total += S.Weights[I];
    }
    double Left = S.Numbers.uniform() * Total;
    *Token = Begin[0].Token;
    for (size_t I = 0; I < Count; ++I) {
      if (!(S.Weights[I] > 0))
        continue;
      *Token = Begin[I].Token; // rounding may leave a rest after the last
      Left -= S.Weights[I];
      if (Left < 0)
        break;
    }
  });
}

} // extern "C"
