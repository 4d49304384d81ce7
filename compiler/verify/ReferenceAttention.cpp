// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/ReferenceAttention.h"
#include "dialect/CacheLayout.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

using namespace cria;
using namespace mlir;

static constexpr int64_t kLanes = 16;
/// Positions of a chunk of attention_partials.
static constexpr int64_t kChunk = 256;

/// Element `d` of a position of a kv head.
static float readCache(const Buffer &cache, bool isKey, int64_t headDim,
                       int64_t layer, int64_t page, int64_t head,
                       int64_t position, int64_t d) {
  if (cache.sizes.size() != 4) // floats
    return isKey ? cache.load(
                       {layer, page, head, position / 16, d, position % 16})
                 : cache.load({layer, page, head, position, d});
  CacheLayout layout{8 * cache.bytes};
  int64_t at = isKey ? layout.keyAt(headDim, position, d)
                     : layout.valueAt(headDim, position, d);
  float scale;
  std::memcpy(&scale,
              cache.address({layer, page, head,
                             CriaDialect::kPageTokens * headDim +
                                 layout.scaleElements() * position}),
              sizeof(scale));
  return float(cache.code({layer, page, head, at})) * scale;
}

namespace {

/// What fused_attention and attention_partials share.
template <typename OpTy> class Scores {
public:
  Scores(OpTy op, RecordReader &reader) : op(op) {
    q = reader.buffer(op.getQ().getType());
    keys = reader.buffer(op.getKeys().getType());
    values = reader.buffer(op.getValues().getType());
    positions = reader.buffer(op.getPositions().getType());
    sequences = reader.buffer(op.getSequences().getType());
    tables = reader.buffer(op.getTables().getType());
    if constexpr (std::is_same_v<OpTy, FusedAttentionOp>)
      if (op.getSinks())
        sinks = reader.buffer(op.getSinks().getType());
    if (op.getSlopes())
      slopes = reader.buffer(op.getSlopes().getType());
    if (op.getBias())
      bias = reader.buffer(op.getBias().getType());
    layer = reader.index();
  }

  int64_t tokens() const { return q.sizes[0]; }
  int64_t position(int64_t i) const { return positions.integer({i}); }
  /// The first position that token i sees.
  int64_t low(int64_t i) const {
    if (std::optional<uint64_t> window = op.getWindow())
      return std::max<int64_t>(0, position(i) - int64_t(*window) + 1);
    return 0;
  }

  float score(int64_t i, int64_t h, int64_t t) const {
    auto headDim = static_cast<int64_t>(op.getHeadDim());
    float sum = 0;
    for (int64_t d = 0; d < headDim; ++d)
      sum = std::fma(q.load({i, h * headDim + d}),
                     cached(keys, true, i, h, t, d), sum);
    float score = sum * op.getScale().convertToFloat();
    if (auto cap = op.getSoftcap()) {
      float limit = cap->convertToFloat();
      score = limit * std::tanh(score / limit);
    }
    int64_t distance = position(i) - t;
    if (op.getSlopes())
      score += slopes.load({h}) * float(-distance);
    if (op.getBias()) {
      int64_t most = bias.sizes[1] - 33;
      score += bias.load({h, 16 + most - std::min(distance, most)});
    }
    return score;
  }
  float value(int64_t i, int64_t h, int64_t t, int64_t d) const {
    return cached(values, false, i, h, t, d);
  }

  Buffer sinks;

private:
  float cached(const Buffer &cache, bool isKey, int64_t i, int64_t h, int64_t t,
               int64_t d) const {
    int64_t page =
        tables.integer({sequences.integer({i}), t / CriaDialect::kPageTokens});
    int64_t group = op.getHeads() / op.getKvHeads();
    return readCache(cache, isKey, op.getHeadDim(), layer, page, h / group,
                     t % CriaDialect::kPageTokens, d);
  }

  mutable OpTy op; // MLIR ops have no const members
  Buffer q, keys, values, positions, sequences, tables, slopes, bias;
  int64_t layer = 0;
};

} // namespace

void cria::runAttention(FusedAttentionOp op, RecordReader reader) {
  Scores<FusedAttentionOp> scores(op, reader);
  Buffer init = reader.buffer(op.getInit().getType());
  auto headDim = static_cast<int64_t>(op.getHeadDim());
  for (int64_t i = 0; i < scores.tokens(); ++i)
    for (int64_t h = 0; h < int64_t(op.getHeads()); ++h) {
      int64_t low = scores.low(i), high = scores.position(i);
      std::vector<float> weights;
      for (int64_t t = low; t <= high; ++t)
        weights.push_back(scores.score(i, h, t));
      float most = *std::max_element(weights.begin(), weights.end());
      if (op.getSinks())
        most = std::max(most, scores.sinks.load({h}));
      double sum =
          op.getSinks() ? std::exp(double(scores.sinks.load({h}) - most)) : 0;
      for (float &weight : weights)
        sum += weight = std::exp(weight - most);
      for (int64_t d = 0; d < headDim; ++d) {
        double out = 0;
        for (int64_t t = low; t <= high; ++t)
          out += double(weights[t - low]) * scores.value(i, h, t, d);
        init.store({i, h * headDim + d}, float(out / sum));
      }
    }
}

void cria::runAttention(AttentionPartialsOp op, RecordReader reader) {
  Scores<AttentionPartialsOp> scores(op, reader);
  int64_t first = reader.index();
  Buffer init = reader.buffer(op.getInit().getType());
  auto headDim = static_cast<int64_t>(op.getHeadDim());
  for (int64_t i = 0; i < scores.tokens(); ++i)
    for (int64_t h = 0; h < int64_t(op.getHeads()); ++h)
      for (int64_t c = 0; c < init.sizes[2]; ++c) {
        int64_t chunk = scores.low(i) / kChunk + first + c;
        int64_t low = std::max(scores.low(i), chunk * kChunk);
        int64_t high =
            std::min(scores.position(i), chunk * kChunk + kChunk - 1);
        if (low > high)
          continue;
        std::vector<float> weights;
        for (int64_t t = low; t <= high; ++t)
          weights.push_back(scores.score(i, h, t));
        float most = *std::max_element(weights.begin(), weights.end());
        std::array<float, kLanes> sums = {};
        for (int64_t t = low; t <= high; ++t) {
          weights[t - low] = std::exp(weights[t - low] - most);
          sums[t % kLanes] += weights[t - low];
        }
        for (int64_t d = 0; d < headDim; ++d) {
          double out = 0;
          for (int64_t t = low; t <= high; ++t)
            out += double(weights[t - low]) * scores.value(i, h, t, d);
          init.store({i, h, c, d}, float(out));
        }
        for (int64_t lane = 0; lane < kLanes; ++lane)
          init.store({i, h, c, headDim + lane}, sums[lane]);
        init.store({i, h, c, headDim + kLanes}, most);
      }
}

void cria::runAttention(AttentionMergeOp op, RecordReader reader) {
  Buffer partials = reader.buffer(op.getPartials().getType());
  Buffer positions = reader.buffer(op.getPositions().getType());
  Buffer sinks;
  if (op.getSinks())
    sinks = reader.buffer(op.getSinks().getType());
  Buffer init = reader.buffer(op.getInit().getType());
  auto headDim = static_cast<int64_t>(op.getHeadDim());
  for (int64_t i = 0; i < init.sizes[0]; ++i)
    for (int64_t h = 0; h < int64_t(op.getHeads()); ++h) {
      int64_t position = positions.integer({i}), low = 0;
      if (std::optional<uint64_t> window = op.getWindow())
        low = std::max<int64_t>(0, position - int64_t(*window) + 1);
      int64_t chunks = position / kChunk - low / kChunk + 1;
      auto most = -std::numeric_limits<float>::infinity();
      for (int64_t c = 0; c < chunks; ++c)
        most = std::max(most, partials.load({i, h, c, headDim + kLanes}));
      if (op.getSinks())
        most = std::max(most, sinks.load({h}));
      double sum = op.getSinks() ? std::exp(double(sinks.load({h}) - most)) : 0;
      std::vector<double> out(headDim);
      for (int64_t c = 0; c < chunks; ++c) {
        double factor =
            std::exp(double(partials.load({i, h, c, headDim + kLanes}) - most));
        for (int64_t lane = 0; lane < kLanes; ++lane)
          sum += factor * partials.load({i, h, c, headDim + lane});
        for (int64_t d = 0; d < headDim; ++d)
          out[d] += factor * partials.load({i, h, c, d});
      }
      for (int64_t d = 0; d < headDim; ++d)
        init.store({i, h * headDim + d}, float(out[d] / sum));
    }
}
