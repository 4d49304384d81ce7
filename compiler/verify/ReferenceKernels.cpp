// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/ReferenceKernels.h"

#include "compiler/target/RopeFrequencies.h"
#include "compiler/verify/ReferenceAttention.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <array>
#include <cmath>

using namespace cria;
using namespace mlir;

namespace {

constexpr int64_t kLanes = 16, kBlock = 32;
using Lanes = std::array<float, kLanes>;

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// 16 rows of a weight.
struct Panel {
  std::vector<float> values;       // [lane][K]: float weights
  std::vector<int16_t> codes;      // [lane][K']: quantised ones
  std::vector<float> scales, mins; // [lane][blocks], of q6 two a block
};

class Weight {
public:
  Weight(WeightType type, RecordReader &reader) : type(type) {
    for (const WeightType::Component &part : type.getStorage())
      parts.push_back(reader.buffer(part.type));
  }

  int64_t blocks() const { return llvm::divideCeil(type.getK(), kBlock); }

  /// One element of row n.
  float value(int64_t n, int64_t k) const {
    if (!type.isQuantized())
      return parts[0].load(element(n, k));
    float scale = scaleAt(n, k);
    float number = float(code(n, k) - int(type.getZeroPoint()));
    if (type.getOffset() == OffsetKind::min)
      return scale * number + parts[2].load({n / 16, k / kBlock, n % 16});
    return scale * number;
  }

  Panel panel(int64_t group) const {
    Panel panel;
    int64_t k = type.getK();
    if (!type.isQuantized()) {
      panel.values.resize(kLanes * k);
      for (int64_t lane = 0; lane < kLanes; ++lane)
        for (int64_t i = 0; i < k; ++i)
          panel.values[lane * k + i] =
              parts[0].load(element(group * 16 + lane, i));
      return panel;
    }
    int64_t padded = blocks() * kBlock;
    panel.codes.resize(kLanes * padded);
    int64_t scales = type.getScalesPerBlock();
    panel.scales.resize(kLanes * blocks() * scales);
    if (type.getOffset() == OffsetKind::min)
      panel.mins.resize(kLanes * blocks());
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      for (int64_t i = 0; i < padded; ++i)
        panel.codes[lane * padded + i] =
            static_cast<int16_t>(code(group * 16 + lane, i));
      for (int64_t b = 0; b < blocks(); ++b) {
        for (int64_t i = 0; i < scales; ++i)
          panel.scales[(lane * blocks() + b) * scales + i] =
              scaleAt(group * 16 + lane, b * kBlock + i * kBlock / scales);
        if (!panel.mins.empty())
          panel.mins[lane * blocks() + b] = parts[2].load({group, b, lane});
      }
    }
    return panel;
  }

private:
  SmallVector<int64_t> element(int64_t n, int64_t k) const {
    if (type.getLayout() == WeightLayout::n16k2)
      return {n / 16, k / 2, n % 16, k % 2};
    return {n / 16, k, n % 16};
  }
  /// As stored: unsigned.
  int code(int64_t n, int64_t k) const {
    int64_t in = k % kBlock;
    auto byte = [&](int64_t vector) -> int {
      return parts[0].byte({n / 16, k / kBlock, vector, n % 16, in % 4});
    };
    if (type.getElement() == ElementKind::q8)
      return byte(in / 4);
    int both = byte(in % 16 / 4);
    int low = in < 16 ? both & 15 : both >> 4;
    if (type.getElement() == ElementKind::q4)
      return low;
    int high = byte(4 + in % 8 / 4) >> (in / 8 * 2) & 3;
    return low | high << 4;
  }
  /// The scale of element k of row n.
  float scaleAt(int64_t n, int64_t k) const {
    if (type.getElement() != ElementKind::q6)
      return parts[1].load({n / 16, k / kBlock, n % 16});
    float super = parts[1].load({n / 16, k / CriaDialect::kSuperBlock, n % 16});
    auto own = static_cast<int8_t>(
        parts[2].byte({n / 16, k / kBlock, k % kBlock / 16, n % 16}));
    return super * float(own);
  }

  WeightType type;
  SmallVector<Buffer, 3> parts;
};

//===----------------------------------------------------------------------===//
// Rows that codes stand for
//===----------------------------------------------------------------------===//

/// A row as it was before it was quantised or rounded, and the words that a
/// reference kernel left of it.
struct ExactRow {
  std::vector<float> values;
  std::vector<int32_t> words;
};

/// By the address of the first word: rounding to int8 turns a difference in the
/// last bit into one of a code, and that into one of percents. Between two
/// reference kernels it is left out.
thread_local llvm::DenseMap<const char *, ExactRow> exactRows;

/// Whether rows that carry bf16 become words of two once they are vectorised.
thread_local bool rowsInPairs = false;

/// The row that the codes at `acts` stand for, if a reference kernel wrote them
/// and nothing did since.
const std::vector<float> *findExactRow(const Buffer &codes, int64_t token) {
  auto found = exactRows.find(codes.address({token, 0}));
  if (found == exactRows.end())
    return nullptr;
  for (auto [i, word] : llvm::enumerate(found->second.words))
    if (codes.integer({token, static_cast<int64_t>(i)}) != word)
      return nullptr;
  return &found->second.values;
}

//===----------------------------------------------------------------------===//
// KV caches
//===----------------------------------------------------------------------===//

void writeCache(Buffer &cache, bool isKey, int64_t layer, int64_t slot,
                int64_t head, int64_t d, float value) {
  int64_t page = slot / CriaDialect::kPageTokens;
  int64_t position = slot % CriaDialect::kPageTokens;
  if (isKey)
    cache.store({layer, page, head, position / 16, d, position % 16}, value);
  else
    cache.store({layer, page, head, position, d}, value);
}

//===----------------------------------------------------------------------===//
// Epilogues
//===----------------------------------------------------------------------===//

float activate(ActivationKind kind, float x) {
  switch (kind) {
  case ActivationKind::relu:
    return std::max(x, 0.0f);
  case ActivationKind::relu2:
    return std::max(x, 0.0f) * std::max(x, 0.0f);
  case ActivationKind::gelu:
    return 0.5f * x * (1.0f + std::erf(x * 0.70710678118654752f));
  case ActivationKind::gelu_tanh:
    return 0.5f * x *
           (1.0f +
            std::tanh(0.79788456080286536f * (x + 0.044715f * x * x * x)));
  case ActivationKind::silu:
    return x / (1.0f + std::exp(-x));
  }
  llvm_unreachable("all activations are covered");
}

/// Both are element by element; false for ops of neither kind.
bool binary(Operation *op, float (*&function)(float, float)) {
  using Function = float (*)(float, float);
  function =
      llvm::TypeSwitch<Operation *, Function>(op)
          .Case<arith::AddFOp>([](auto) -> Function {
            return [](float a, float b) { return a + b; };
          })
          .Case<arith::SubFOp>([](auto) -> Function {
            return [](float a, float b) { return a - b; };
          })
          .Case<arith::MulFOp>([](auto) -> Function {
            return [](float a, float b) { return a * b; };
          })
          .Case<arith::DivFOp>([](auto) -> Function {
            return [](float a, float b) { return a / b; };
          })
          .Case<arith::MaximumFOp, arith::MaxNumFOp>([](auto) -> Function {
            return [](float a, float b) { return std::max(a, b); };
          })
          .Case<arith::MinimumFOp, arith::MinNumFOp>([](auto) -> Function {
            return [](float a, float b) { return std::min(a, b); };
          })
          .Default(Function());
  return function;
}

bool unary(Operation *op, float (*&function)(float)) {
  using Function = float (*)(float);
  function = llvm::TypeSwitch<Operation *, Function>(op)
                 .Case<arith::NegFOp>([](auto) -> Function {
                   return [](float a) { return -a; };
                 })
                 .Case<math::ExpOp>([](auto) -> Function {
                   return [](float a) { return std::exp(a); };
                 })
                 .Case<math::TanhOp>([](auto) -> Function {
                   return [](float a) { return std::tanh(a); };
                 })
                 .Case<math::ErfOp>([](auto) -> Function {
                   return [](float a) { return std::erf(a); };
                 })
                 .Default(Function());
  return function;
}

bool isSplat(arith::ConstantOp op) {
  auto dense = dyn_cast<DenseFPElementsAttr>(op.getValue());
  return isa<FloatAttr>(op.getValue()) || (dense && dense.isSplat());
}

bool isKnown(Operation *op) {
  float (*one)(float);
  float (*two)(float, float);
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return isSplat(constant);
  return isa<ActivationOp, math::FmaOp, vector::ShuffleOp, vector::BroadcastOp,
             YieldOp>(op) ||
         unary(op, one) || binary(op, two);
}

Lanes runEpilogue(Block &body, ArrayRef<Lanes> arguments) {
  llvm::SmallDenseMap<Value, Lanes, 16> values;
  for (auto [argument, value] : llvm::zip_equal(body.getArguments(), arguments))
    values[argument] = value;
  for (Operation &op : body.without_terminator()) {
    auto in = [&](unsigned i) -> Lanes {
      return values.lookup(op.getOperand(i));
    };
    Lanes out = {};
    float (*one)(float);
    float (*two)(float, float);
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      Attribute attr = constant.getValue();
      out.fill(isa<FloatAttr>(attr)
                   ? cast<FloatAttr>(attr).getValue().convertToFloat()
                   : cast<DenseFPElementsAttr>(attr)
                         .getSplatValue<APFloat>()
                         .convertToFloat());
    } else if (auto activation = dyn_cast<ActivationOp>(op)) {
      for (int64_t i = 0; i < kLanes; ++i)
        out[i] = activate(activation.getKind(), in(0)[i]);
    } else if (isa<math::FmaOp>(op)) {
      Lanes a = in(0), b = in(1), c = in(2);
      for (int64_t i = 0; i < kLanes; ++i)
        out[i] = std::fma(a[i], b[i], c[i]);
    } else if (auto shuffle = dyn_cast<vector::ShuffleOp>(op)) {
      Lanes a = in(0), b = in(1);
      for (auto [i, from] : llvm::enumerate(shuffle.getMask()))
        out[i] = from < kLanes ? a[from] : b[from - kLanes];
    } else if (isa<vector::BroadcastOp>(op)) {
      out = in(0);
    } else if (unary(&op, one)) {
      Lanes a = in(0);
      for (int64_t i = 0; i < kLanes; ++i)
        out[i] = one(a[i]);
    } else if (binary(&op, two)) {
      Lanes a = in(0), b = in(1);
      for (int64_t i = 0; i < kLanes; ++i)
        out[i] = two(a[i], b[i]);
    }
    values[op.getResult(0)] = out;
  }
  return values.lookup(body.getTerminator()->getOperand(0));
}

//===----------------------------------------------------------------------===//
// Linears
//===----------------------------------------------------------------------===//

/// The activations of a fused_linear.
struct Activations {
  SmallVector<Buffer, 3> acts;
  int64_t blocks = 0;
  bool wide = false;

  /// Element k of a row of bf16, two a word.
  float half(int64_t token, int64_t k) const {
    auto word = static_cast<uint32_t>(acts[0].integer({token, k / 2}));
    uint32_t bits = k % 2 ? word & 0xffff0000 : word << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }

  int code(int64_t token, int64_t k) const {
    int64_t block = k / kBlock, in = k % kBlock;
    auto byte = [&](int64_t word) {
      uint32_t bits = static_cast<uint32_t>(acts[0].integer({token, word}));
      return static_cast<int8_t>(bits >> (8 * (in % 4)));
    };
    if (!wide)
      return byte(k / 4);
    return 256 * byte(block * 16 + in / 4) + byte(block * 16 + 8 + in / 4);
  }
};

/// Row `token` times the panel, in the order that fused_linear prescribes.
Lanes multiply(WeightType type, const Panel &panel, const Activations &in,
               int64_t token, ArrayRef<float> row, ArrayRef<int> codes) {
  Lanes acc = {};
  int64_t scales = type.isQuantized() ? type.getScalesPerBlock() : 0;
  if (type.isQuantized() && !row.empty()) {
    for (int64_t lane = 0; lane < kLanes; ++lane)
      for (int64_t b = 0; b < in.blocks; ++b) {
        const int16_t *weights = &panel.codes[(lane * in.blocks + b) * kBlock];
        float plain = 0;
        std::array<float, 2> sums = {};
        int64_t end = std::min<int64_t>(row.size(), (b + 1) * kBlock);
        for (int64_t k = b * kBlock; k < end; ++k) {
          int64_t i = k - b * kBlock;
          sums[i * scales / kBlock] +=
              float(weights[i] - int(type.getZeroPoint())) * row[k];
          plain += row[k];
        }
        for (int64_t i = 0; i < scales; ++i)
          acc[lane] +=
              panel.scales[(lane * in.blocks + b) * scales + i] * sums[i];
        if (!panel.mins.empty())
          acc[lane] += panel.mins[lane * in.blocks + b] * plain;
      }
    return acc;
  }
  if (!type.isQuantized()) {
    int64_t k = type.getK();
    for (int64_t lane = 0; lane < kLanes; ++lane)
      for (int64_t i = 0; i < k; ++i)
        acc[lane] = std::fma(panel.values[lane * k + i], row[i], acc[lane]);
    return acc;
  }
  bool hasZero = type.getOffset() == OffsetKind::zero_point;
  for (int64_t b = 0; b < in.blocks; ++b) {
    float scale = in.acts[1].load({token, b});
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const int16_t *weights = &panel.codes[(lane * in.blocks + b) * kBlock];
      const int *others = &codes[b * kBlock];
      const float *own = &panel.scales[(lane * in.blocks + b) * scales];
      std::array<int, 2> dots = {};
      for (int64_t i = 0; hasZero && i < scales; ++i)
        dots[i] = static_cast<int>(in.acts[2].integer({token, b * scales + i}));
      for (int64_t i = 0; i < kBlock; ++i)
        dots[i * scales / kBlock] += weights[i] * others[i];
      if (scales == 2)
        acc[lane] =
            std::fma(std::fma(float(dots[1]), own[1], float(dots[0]) * own[0]),
                     scale, acc[lane]);
      else
        acc[lane] = std::fma(float(dots[0]), own[0] * scale, acc[lane]);
      if (!hasZero)
        acc[lane] = std::fma(panel.mins[lane * in.blocks + b],
                             in.acts[2].load({token, b}), acc[lane]);
    }
  }
  return acc;
}

void run(FusedLinearOp op, RecordReader reader) {
  WeightType type = op.getWeightType();
  Activations in;
  for (Value act : op.getActs())
    in.acts.push_back(reader.buffer(act.getType()));
  SmallVector<Weight, 2> weights;
  for (Value weight : op.getWeights())
    weights.emplace_back(cast<WeightType>(weight.getType()), reader);
  SmallVector<Buffer> extras;
  for (Value extra : op.getExtras())
    extras.push_back(reader.buffer(extra.getType()));
  int64_t layer = op.getLayer() ? reader.index() : 0;
  Buffer slots;
  if (op.getSlots())
    slots = reader.buffer(op.getSlots().getType());
  Buffer init = reader.buffer(op.getInit().getType());

  bool isRows = op.getOut() == OutKind::rows;
  int64_t columns = isRows ? init.sizes[1] : type.getN();
  if (isRows && !ShapedType::isDynamic(type.getN()))
    columns = std::min(columns, type.getN());
  int64_t headDim = isRows ? 0 : init.sizes[4];
  int64_t tokens = in.acts[0].sizes[0];
  in.blocks = llvm::divideCeil(type.getK(), kBlock);
  in.wide = type.isQuantized() && in.acts[0].sizes[1] == in.blocks * 16;

  // Each row once for all panels.
  std::vector<std::vector<float>> rows(tokens);
  std::vector<std::vector<int>> codes(tokens);
  for (int64_t token = 0; token < tokens; ++token) {
    if (type.isQuantized()) {
      if (const std::vector<float> *exact = findExactRow(in.acts[0], token))
        rows[token] = *exact;
      for (int64_t k = 0; k < in.blocks * kBlock; ++k)
        codes[token].push_back(in.code(token, k));
    } else if (op.getBf16() && rowsInPairs) {
      const std::vector<float> *exact = findExactRow(in.acts[0], token);
      for (int64_t k = 0; k < type.getK(); ++k)
        rows[token].push_back(exact ? (*exact)[k] : in.half(token, k));
    } else
      for (int64_t k = 0; k < type.getK(); ++k)
        rows[token].push_back(in.acts[0].load({token, k}));
  }
  for (int64_t j = 0; j < columns; j += kLanes) {
    SmallVector<Panel, 2> panels;
    for (const Weight &weight : weights)
      panels.push_back(weight.panel(j / kLanes));
    int64_t exist = std::min(kLanes, columns - j);
    for (int64_t token = 0; token < tokens; ++token) {
      SmallVector<Lanes> arguments;
      for (const Panel &panel : panels)
        arguments.push_back(
            multiply(type, panel, in, token, rows[token], codes[token]));
      auto gather = [&](auto &&load) {
        Lanes lanes = {};
        for (int64_t i = 0; i < exist; ++i)
          lanes[i] = load(j + i);
        arguments.push_back(lanes);
      };
      for (auto [i, extra] : llvm::enumerate(extras)) {
        const Buffer &from = extra;
        switch (op.getExtraKind(i)) {
        case ExtraKind::elementwise:
          gather([&](int64_t n) { return from.load({token, n}); });
          break;
        case ExtraKind::bias:
          gather([&](int64_t n) { return from.load({n}); });
          break;
        case ExtraKind::rope:
          for (int64_t part : {0, 1})
            gather([&](int64_t n) {
              return from.load({token, part, n % from.sizes[2]});
            });
          break;
        }
      }
      if (op.getAccumulate())
        gather([&](int64_t n) { return init.load({token, n}); });
      Lanes tile = runEpilogue(op.getEpilogue().front(), arguments);
      for (int64_t i = 0; i < exist; ++i) {
        if (isRows)
          init.store({token, j + i}, tile[i]);
        else
          writeCache(init, op.getOut() == OutKind::key, layer,
                     slots.integer({token}), (j + i) / headDim,
                     (j + i) % headDim, tile[i]);
      }
    }
  }
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// 1 / sqrt(mean of squares + eps).
float inverseRoot(ArrayRef<float> row, float eps) {
  double sum = 0;
  for (float x : row)
    sum += double(x) * x;
  return 1.0f / std::sqrt(float(sum / row.size()) + eps);
}

void takeOffMean(std::vector<float> &row) {
  double sum = 0;
  for (float x : row)
    sum += x;
  auto mean = static_cast<float>(sum / row.size());
  for (float &x : row)
    x -= mean;
}

void normalise(NormOp norm, std::vector<float> &row, const Buffer *weight,
               const Buffer *bias) {
  float eps = norm.getEps().convertToFloat();
  auto size = static_cast<int64_t>(row.size());
  int64_t group =
      norm.getKind() == NormKind::per_head ? weight->sizes[0] : size;
  if (norm.getKind() == NormKind::layer)
    takeOffMean(row);
  for (int64_t from = 0; from < size; from += group) {
    float scale = inverseRoot(ArrayRef(row).slice(from, group), eps);
    for (int64_t i = 0; i < group; ++i) {
      float &x = row[from + i];
      x *= scale;
      if (weight)
        x *= weight->load({i}) + (norm.getPlusOne() ? 1.0f : 0.0f);
      if (bias)
        x += bias->load({i});
    }
  }
}

void quantise(RowsOp op, ArrayRef<float> row, int64_t token,
              MutableArrayRef<Buffer> inits) {
  auto columns = static_cast<int64_t>(row.size());
  int64_t blocks = llvm::divideCeil(columns, kBlock);
  bool wide = inits[0].sizes[1] == blocks * 16;
  float limit = wide ? 32512.0f : 127.0f;
  ExactRow &exact = exactRows[inits[0].address({token, 0})];
  exact.values.assign(row.begin(), row.end());
  exact.words.clear();
  for (int64_t b = 0; b < blocks; ++b) {
    float largest = 0;
    auto at = [&](int64_t i) {
      return b * kBlock + i < columns ? row[b * kBlock + i] : 0.0f;
    };
    for (int64_t i = 0; i < kBlock; ++i)
      largest = std::max(largest, std::fabs(at(i)));
    // Below 2^-100 a block counts as zero.
    float inverse = largest < 0x1p-100f ? 0.0f : limit / largest;
    float d = largest / limit;
    std::array<int, 2> sums = {}; // of the halves
    std::array<uint32_t, 16> words = {};
    for (int64_t i = 0; i < kBlock; ++i) {
      int code = static_cast<int>(std::nearbyint(at(i) * inverse));
      sums[i / 16] += code;
      auto put = [&](int64_t word, int byte) {
        words[word] |= static_cast<uint32_t>(byte & 255) << (8 * (i % 4));
      };
      if (wide)
        put(i / 4, (code + 128) >> 8);
      put(i / 4 + (wide ? 8 : 0), code);
    }
    int64_t count = wide ? 16 : 8;
    for (int64_t w = 0; w < count; ++w) {
      exact.words.push_back(static_cast<int32_t>(words[w]));
      inits[0].storeInteger({token, b * count + w}, exact.words.back());
    }
    inits[1].store({token, b}, d);
    if (!op.getZeroPoint()) {
      inits[2].store({token, b}, d * float(sums[0] + sums[1]));
      continue;
    }
    auto zero = static_cast<int32_t>(*op.getZeroPoint());
    if (inits[2].sizes[1] == blocks)
      inits[2].storeInteger({token, b}, -zero * (sums[0] + sums[1]));
    else
      for (int64_t i : {0, 1})
        inits[2].storeInteger({token, 2 * b + i}, -zero * sums[i]);
  }
}

void run(RowsOp op, RecordReader reader) {
  Buffer x = reader.buffer(op.getX().getType());
  SmallVector<Buffer> params, inits;
  for (Value param : op.getParams())
    params.push_back(reader.buffer(param.getType()));
  for (Value init : op.getInits())
    inits.push_back(reader.buffer(init.getType()));
  Block &body = op.getPrologue().front();
  auto param = [&](Value value) -> Buffer * {
    auto argument = dyn_cast_or_null<BlockArgument>(value);
    return argument ? &params[argument.getArgNumber() - 1] : nullptr;
  };
  for (int64_t token = 0; token < x.sizes[0]; ++token) {
    std::vector<float> row(x.sizes[1]);
    for (auto [k, value] : llvm::enumerate(row))
      value = x.load({token, static_cast<int64_t>(k)});
    for (Operation &inner : body.without_terminator()) {
      if (auto norm = dyn_cast<NormOp>(inner))
        normalise(norm, row, param(norm.getWeight()), param(norm.getBias()));
      else if (auto scale = dyn_cast<ScaleOp>(inner))
        for (float &value : row)
          value *= scale.getFactor().convertToFloat();
      else if (isa<AddOp>(inner))
        for (auto [k, value] : llvm::enumerate(row))
          value += inits[0].load({token, static_cast<int64_t>(k)});
    }
    if (op.isQuantized()) {
      quantise(op, row, token, inits);
      continue;
    }
    for (auto [k, value] : llvm::enumerate(row))
      inits[0].store({token, static_cast<int64_t>(k)}, value);
    if (op.getBf16() && rowsInPairs) {
      ExactRow &exact = exactRows[inits[0].address({token, 0})];
      exact.words.clear();
      for (int64_t k = 0; k < x.sizes[1]; ++k)
        exact.words.push_back(
            static_cast<int32_t>(inits[0].integer({token, k})));
      exact.values = std::move(row);
    }
  }
}

void run(HeadRowsOp op, RecordReader reader) {
  Buffer x = reader.buffer(op.getX().getType());
  Buffer weight, bias, rope, slots;
  if (op.getWeight())
    weight = reader.buffer(op.getWeight().getType());
  if (op.getBias())
    bias = reader.buffer(op.getBias().getType());
  if (op.getRope())
    rope = reader.buffer(op.getRope().getType());
  int64_t layer = op.getLayer() ? reader.index() : 0;
  if (op.getSlots())
    slots = reader.buffer(op.getSlots().getType());
  Buffer init = reader.buffer(op.getInit().getType());
  auto headDim = static_cast<int64_t>(op.getHeadDim());
  for (int64_t token = 0; token < x.sizes[0]; ++token)
    for (int64_t head = 0; head * headDim < x.sizes[1]; ++head) {
      std::vector<float> row(headDim);
      for (int64_t d = 0; d < headDim; ++d)
        row[d] = x.load({token, head * headDim + d});
      if (op.getCenter())
        takeOffMean(row);
      if (op.getWeight()) {
        float scale = inverseRoot(row, op.getEps()->convertToFloat());
        // One head's for all, or each head's own.
        int64_t own = weight.sizes[0] == headDim ? 0 : head * headDim;
        for (int64_t d = 0; d < headDim; ++d) {
          row[d] = row[d] * scale *
                   (weight.load({own + d}) + (op.getPlusOne() ? 1.0f : 0.0f));
          if (op.getBias())
            row[d] += bias.load({own + d});
        }
      }
      if (op.getRope()) {
        std::vector<float> old = row;
        for (int64_t d = 0; d < headDim; ++d)
          row[d] = std::fma(old[d ^ 1], rope.load({token, 1, d}),
                            old[d] * rope.load({token, 0, d}));
      }
      for (int64_t d = 0; d < headDim; ++d) {
        if (op.getOut() == OutKind::rows)
          init.store({token, head * headDim + d}, row[d]);
        else
          writeCache(init, op.getOut() == OutKind::key, layer,
                     slots.integer({token}), head, d, row[d]);
      }
    }
}

void run(EmbedRowsOp op, RecordReader reader) {
  Buffer tokens = reader.buffer(op.getTokens().getType());
  auto type = cast<WeightType>(op.getWeight().getType());
  Weight weight(type, reader);
  Buffer init = reader.buffer(op.getInit().getType());
  for (int64_t i = 0; i < tokens.sizes[0]; ++i)
    for (int64_t k = 0; k < type.getK(); ++k)
      init.store({i, k}, weight.value(tokens.integer({i}), k));
}

void run(RopeTableOp op, RecordReader reader) {
  Buffer positions = reader.buffer(op.getPositions().getType());
  Buffer init = reader.buffer(op.getInit().getType());
  RopeAttr rope = op.getRope();
  RopeFrequencies normal = computeRopeFrequencies(rope, false);
  RopeFrequencies stretched = computeRopeFrequencies(rope, true);
  int64_t original = rope.getOriginalContext();
  for (int64_t i = 0; i < positions.sizes[0]; ++i) {
    int64_t p = positions.integer({i});
    bool isLong = p + 1 > original;
    bool isFar = isLong && rope.getScaling() == RopeScaling::longrope;
    SmallVector<float> angles = (isFar ? stretched : normal).invFreq;
    float factor = (isFar ? stretched : normal).attentionFactor;
    if (isLong && rope.getScaling() == RopeScaling::ntk) {
      double stretch = rope.getFactor().convertToDouble();
      stretch = stretch * double(p + 1) / double(original) - (stretch - 1);
      for (auto [j, angle] : llvm::enumerate(angles))
        angle = static_cast<float>(std::exp2(
            normal.ntkLog2[j] - normal.ntkExponent[j] * std::log2(stretch)));
    }
    for (int64_t e = 0; e < init.sizes[2]; ++e) {
      bool rotates = e / 2 < static_cast<int64_t>(angles.size());
      double angle = rotates ? double(float(p) * angles[e / 2]) : 0;
      double cosine = rotates ? factor * std::cos(angle) : 1;
      double sine = rotates ? factor * std::sin(angle) : 0;
      init.store({i, 0, e}, float(cosine));
      init.store({i, 1, e}, float(e % 2 ? sine : -sine));
    }
  }
}

} // namespace

LogicalResult cria::checkReferenceKernel(Operation *op) {
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<WeightType>(operand.getType());
    if (!type)
      continue;
    bool known = type.getLayout() == WeightLayout::n16 ||
                 type.getLayout() == WeightLayout::n16k2 ||
                 type.getLayout() == WeightLayout::n16k4;
    if (!known)
      return op->emitOpError("has a weight of type ")
             << type
             << ", which cria verify has no reference for; known are the "
                "layouts n16, n16k2 and n16k4";
  }
  if (auto linear = dyn_cast<FusedLinearOp>(op))
    for (Operation &inner : linear.getEpilogue().front())
      if (!isKnown(&inner))
        return inner.emitOpError(
            "is in an epilogue, and cria verify has no reference for it");
  return success();
}

void cria::resetReferenceKernels(bool hasPairs) {
  exactRows.clear();
  rowsInPairs = hasPairs;
}

void cria::runReferenceKernel(Operation *op, const int64_t *record) {
  llvm::TypeSwitch<Operation *>(op)
      .Case<RopeTableOp, EmbedRowsOp, RowsOp, HeadRowsOp, FusedLinearOp>(
          [&](auto kernel) { run(kernel, RecordReader(record)); })
      .Case<FusedAttentionOp, AttentionPartialsOp, AttentionMergeOp>(
          [&](auto kernel) { runAttention(kernel, RecordReader(record)); });
}
