// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/Trial.h"

#include "runtime/include/cria/abi.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace cria;

namespace {

class Builder {
public:
  Builder(Trial &trial, llvm::ArrayRef<int32_t> tokens)
      : trial(trial), tokens(tokens), tables(trial.tables()),
        length(trial.sequences, 0) {}

  /// Appends the next `count` tokens of a sequence to the batch.
  void feed(Batch &batch, int64_t sequence, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      int64_t position = length[sequence]++;
      int32_t page = tables[sequence * trial.pagesPerSequence +
                            position / CRIA_PAGE_TOKENS];
      // Sequences read the same text from different places.
      batch.tokens.push_back(tokens[(position + 7 * sequence) % tokens.size()]);
      batch.positions.push_back(static_cast<int32_t>(position));
      batch.sequences.push_back(static_cast<int32_t>(sequence));
      batch.slots.push_back(static_cast<int32_t>(page * CRIA_PAGE_TOKENS +
                                                 position % CRIA_PAGE_TOKENS));
    }
    if (count)
      batch.outputs.push_back(static_cast<int32_t>(batch.tokens.size()) - 1);
  }

private:
  Trial &trial;
  llvm::ArrayRef<int32_t> tokens;
  std::vector<int32_t> tables;
  std::vector<int64_t> length;
};

} // namespace

Trial cria::makeTrial(llvm::ArrayRef<int32_t> tokens, int64_t context,
                      int64_t batch, int64_t longest) {
  Trial trial;
  trial.sequences = 3;
  trial.pagesPerSequence = 2;
  int64_t first[] = {longest, 5, 2}, second[] = {4, 0, 3};
  int64_t room = std::min(context - 3, batch);
  // A tiny context or batch still gets a trial, of fewer tokens.
  for (int64_t s = 0; s < 3; ++s) {
    first[s] = std::clamp<int64_t>(std::min(first[s], room / 4), 1, longest);
    second[s] = std::clamp<int64_t>(std::min(second[s], room / 4), 0, 9);
  }
  Builder builder(trial, tokens);
  trial.batches.resize(4);
  bool fits = batch >= first[0] + first[1] + first[2];
  for (int64_t s = 0; s < (fits ? 3 : 1); ++s) {
    builder.feed(trial.batches[0], s, first[s]);
    if (context > first[s] + second[s] + 2)
      builder.feed(trial.batches[1], s, second[s]);
    if (context > first[s] + second[s] + 2)
      builder.feed(trial.batches[2], s, 1);
  }
  if (context > first[0] + second[0] + 2)
    builder.feed(trial.batches[3], 0, 1);
  llvm::erase_if(trial.batches,
                 [](const Batch &each) { return each.tokens.empty(); });
  return trial;
}

Trial cria::makeSmallTrial(int64_t count, int64_t vocab) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<int32_t>((i * 31 + 7) % vocab));
  return makeSmallTrial(tokens);
}

Trial cria::makeSmallTrial(llvm::ArrayRef<int32_t> tokens) {
  auto count = static_cast<int64_t>(tokens.size());
  Trial trial;
  trial.sequences = 1;
  trial.batches.resize(1);
  Builder(trial, tokens).feed(trial.batches[0], 0, count);
  trial.batches[0].outputs.clear();
  for (int64_t i = 0; i < count; ++i)
    trial.batches[0].outputs.push_back(static_cast<int32_t>(i));
  return trial;
}

Distance cria::distance(const Logits &a, const Logits &b) {
  Distance result;
  constexpr double infinite = std::numeric_limits<double>::infinity();
  if (a.columns != b.columns || a.values.size() != b.values.size())
    return {infinite, infinite};
  int64_t rows = a.columns ? a.values.size() / a.columns : 0;
  for (int64_t row = 0; row < rows; ++row) {
    const float *x = &a.values[row * a.columns],
                *y = &b.values[row * a.columns];
    double squares = 0, differences = 0;
    double mostX = *std::max_element(x, x + a.columns);
    double mostY = *std::max_element(y, y + a.columns);
    double sumX = 0, sumY = 0;
    for (int64_t j = 0; j < a.columns; ++j) {
      squares += double(x[j]) * x[j];
      differences += (double(x[j]) - y[j]) * (double(x[j]) - y[j]);
      sumX += std::exp(x[j] - mostX);
      sumY += std::exp(y[j] - mostY);
    }
    double error = differences == 0 ? 0
                   : squares > 0    ? std::sqrt(differences / squares)
                                    : infinite;
    if (!std::isfinite(error))
      return {infinite, infinite};
    double logX = mostX + std::log(sumX), logY = mostY + std::log(sumY), kl = 0;
    for (int64_t j = 0; j < a.columns; ++j)
      kl += std::exp(x[j] - logX) * ((x[j] - logX) - (y[j] - logY));
    result.error = std::max(result.error, error);
    result.kl += std::max(0.0, kl) / static_cast<double>(rows);
  }
  return result;
}
