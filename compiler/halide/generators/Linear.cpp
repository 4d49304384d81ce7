// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sums over K of a linear: `cria.fused_linear` without its epilogue, in the
// order of arithmetic that the op's description fixes. Each `a * b + c` is an
// FMA (ContractFma.h).
//
// Without `whole`, the tokens and groups of `out` are rounded up to whole
// tiles: the caller has room for them, and what is read for them is of the last
// one.

#include "compiler/halide/generators/KernelMath.h"

#include "Halide.h"

#include <string>
#include <vector>

using namespace Halide;
using cria::halide::rounded;

namespace {

constexpr int kLanes = 16;      // rows of a group
constexpr int kBlock = 32;      // columns of a block
constexpr int kWords = 8;       // of four codes, of a block
constexpr int kSuperBlocks = 8; // blocks of q6 that share an f16

/// From 0 in each dimension, with these strides in the first ones.
template <typename Buffer>
void setLayout(Buffer &buffer, const std::vector<int> &strides) {
  for (int d = 0; d < buffer.dimensions(); ++d) {
    buffer.dim(d).set_min(0);
    if (d < static_cast<int>(strides.size()))
      buffer.dim(d).set_stride(strides[d]);
  }
}

/// Autoschedulers get a tile of a fixed size, because what they keep between
/// its steps must be on the stack: for Halide that is MemoryType::Register,
/// as from 16 KB on MemoryType::Stack is the heap.
template <typename Buffer> void boundTile(Buffer &out, int tokens, int panels) {
  out.dim(1).set_extent(tokens);
  out.dim(2).set_extent(panels);
  out.set_estimates({{0, kLanes}, {0, tokens}, {0, panels}});
}

/// Sums of `tokens` x `panels` vectors at a time, in registers over all of K.
template <typename Buffer>
void scheduleTile(Buffer &out, Func acc, int tokens, int panels) {
  Var n("n"), t("t"), g("g"), to("to"), ti("ti"), go("go"), gi("gi");
  out.split(t, to, ti, tokens, TailStrategy::RoundUp)
      .split(g, go, gi, panels, TailStrategy::RoundUp)
      .reorder(n, ti, gi, to, go)
      .vectorize(n)
      .unroll(ti)
      .unroll(gi);
  acc.compute_at(out, to).vectorize(n).unroll(t).unroll(g);
}

/// Weights in n16k4: of 4, 6 or 8 bits, with a zero point or a minimum.
class LinearCodes : public Generator<LinearCodes> {
public:
  GeneratorParam<std::string> element{"element", "q4"};
  GeneratorParam<bool> hasMin{"min", false};
  /// Codes of activations have 16 bits: 32 high bytes, then 32 low ones.
  GeneratorParam<bool> wide{"wide", false};
  GeneratorParam<int> blocks{"blocks", 18};
  /// A register tile's.
  GeneratorParam<int> tokens{"tokens", 4};
  GeneratorParam<int> panels{"panels", 2};
  /// There are whole tiles only. Else every index of a row is bounded, which
  /// makes a prefill 5 to 10 % slower.
  GeneratorParam<bool> whole{"whole", false};
  /// If not 0, these go over a block's codes in registers instead, and sums
  /// are in `out`.
  GeneratorParam<int> blockTokens{"block_tokens", 0};
  /// Blocks of codes that are prefetched ahead of their use.
  GeneratorParam<int> ahead{"ahead", 0};

  void configure() {
    codes = add_input<Buffer<uint8_t, 4>>("codes");
    scales = add_input<Buffer<float16_t, 3>>("scales");
    if (parts() > 1)
      subscales = add_input<Buffer<int8_t, 4>>("subscales");
    if (hasMin)
      mins = add_input<Buffer<float16_t, 3>>("mins");
    acts = add_input<Buffer<int8_t, 2>>("acts");
    actScales = add_input<Buffer<float, 2>>("act_scales");
    if (hasMin)
      minSums = add_input<Buffer<float, 2>>("act_sums");
    else
      startSums = add_input<Buffer<int32_t, 2>>("act_sums");
    out = add_output<Buffer<float, 3>>("out");
  }

  void generate() {
    Expr group = whole ? Expr(g) : min(g, codes->dim(3).extent() - 1);
    Expr token = whole ? Expr(t) : min(t, acts->dim(1).extent() - 1);

    unpacked(j, w, b, g) = codeOf(group);

    // Exact integers, of a block's part p: in any order.
    q = RDom(0, 4, 0, kWords / parts(), "q");
    Expr word = q.y + kWords / parts() * p;
    auto addProducts = [&](Func sum, int from) {
      Expr code = unpacked(q.x + 4 * n, word, b, g);
      Expr act =
          (*acts)(q.x + 4 * word + (wide ? 2 : 1) * kBlock * b + from, token);
      sum(n, t, p, b, g) += cast<int32_t>(code) * cast<int32_t>(act);
    };
    Expr start = hasMin ? Expr(0) : Expr((*startSums)(parts() * b + p, token));
    dot(n, t, p, b, g) = wide ? Expr(0) : start;
    addProducts(dot, 0);
    if (wide) {
      low(n, t, p, b, g) = start;
      addProducts(low, kBlock);
    }

    Func sum = blockTokens > 0 ? Func(*out) : acc;
    r = RDom(0, blocks, "r");
    auto exact = [&](int part) {
      Expr value = dot(n, t, part, r, g);
      if (wide)
        value = value * 256 + low(n, t, part, r, g);
      return cast<float>(value);
    };
    Expr scale = (*actScales)(r, token), next;
    sum(n, t, g) = 0.0f;
    if (parts() > 1) {
      Expr factor = cast<float>((*scales)(n, r / kSuperBlocks, group));
      auto scaled = [&](int part) {
        return exact(part) *
               (cast<float>((*subscales)(n, part, r, group)) * factor);
      };
      // Of the two products the first part's is the one that is rounded.
      next = (scaled(1) + rounded(scaled(0))) * scale + sum(n, t, g);
    } else {
      scale = cast<float>((*scales)(n, r, group)) * scale;
      next = exact(0) * scale + sum(n, t, g);
    }
    if (hasMin)
      next = cast<float>((*mins)(n, r, group)) * (*minSums)(r, token) + next;
    sum(n, t, g) = next;
    if (blockTokens == 0)
      (*out)(n, t, g) = acc(n, t, g);
  }

  void schedule() {
    // As the arrays of a weight and its activations are stored.
    int bytes = 4 * kLanes * vectors();
    int supers = (blocks + kSuperBlocks - 1) / kSuperBlocks;
    int scaleRows = parts() > 1 ? supers : blocks;
    setLayout(*codes, {1, 4 * kLanes, bytes, bytes * blocks});
    setLayout(*scales, {1, kLanes, kLanes * scaleRows});
    if (parts() > 1)
      setLayout(*subscales, {1, kLanes, 2 * kLanes, 2 * kLanes * blocks});
    setLayout(*acts, {1, (wide ? 2 : 1) * kBlock * blocks});
    setLayout(*actScales, {1, blocks});
    if (hasMin) {
      setLayout(*mins, {1, kLanes, kLanes * blocks});
      setLayout(*minSums, {1, blocks});
    } else {
      setLayout(*startSums, {1, parts() * blocks});
    }
    setLayout(*out, {1, kLanes});
    out->dim(0).set_extent(kLanes);
    codes->dim(0).set_extent(4 * kLanes);
    if (using_autoscheduler()) {
      codes->set_estimates(
          {{0, 4 * kLanes}, {0, vectors()}, {0, blocks}, {0, panels}});
      scales->set_estimates({{0, kLanes}, {0, scaleRows}, {0, panels}});
      if (parts() > 1)
        subscales->set_estimates(
            {{0, kLanes}, {0, parts()}, {0, blocks}, {0, panels}});
      acts->set_estimates({{0, (wide ? 2 : 1) * kBlock * blocks}, {0, tokens}});
      actScales->set_estimates({{0, blocks}, {0, tokens}});
      if (hasMin) {
        mins->set_estimates({{0, kLanes}, {0, blocks}, {0, panels}});
        minSums->set_estimates({{0, blocks}, {0, tokens}});
      } else {
        startSums->set_estimates({{0, parts() * blocks}, {0, tokens}});
      }
      boundTile(*out, tokens, panels);
      for (Func each : {unpacked, dot, low, acc})
        each.store_in(MemoryType::Register);
      return;
    }
    // What a tile's integers are computed in.
    LoopLevel tile, block;
    if (blockTokens > 0) {
      Var to("to"), ti("ti"), go("go"), gi("gi");
      TailStrategy up = TailStrategy::RoundUp;
      out->vectorize(n);
      out->update()
          .split(t, to, ti, blockTokens, up)
          .split(g, go, gi, panels, up)
          .reorder(n, ti, gi, to, r, go)
          .vectorize(n)
          .unroll(ti)
          .unroll(gi);
      tile = LoopLevel(*out, to);
      block = LoopLevel(*out, r);
    } else {
      scheduleTile(*out, acc, tokens, panels);
      acc.update().reorder(n, t, g, r).vectorize(n).unroll(t).unroll(g);
      tile = block = LoopLevel(acc, r);
    }
    for (Func each : {dot, low}) {
      if (!each.defined())
        continue;
      each.compute_at(tile).vectorize(n).unroll(t).unroll(g).unroll(p);
      each.update()
          .reorder(q.x, n, g, t, q.y, p)
          .unroll(p)
          .unroll(q.y)
          .unroll(t)
          .unroll(g)
          .atomic()
          .vectorize(n)
          .vectorize(q.x);
    }
    unpacked.compute_at(block).vectorize(j, 4 * kLanes).unroll(w).unroll(g);
    // Past the end it is of the next group, or asks for nothing.
    if (ahead > 0) {
      Func user = blockTokens > 0 ? Func(*out) : acc;
      user.update().prefetch(*codes, r, r, ahead,
                             PrefetchBoundStrategy::NonFaulting);
    }
  }

private:
  /// Of a block: vectors of codes, and parts with a scale each.
  int vectors() const {
    return element.value() == "q4" ? 4 : element.value() == "q6" ? 6 : 8;
  }
  int parts() const { return element.value() == "q6" ? 2 : 1; }

  /// Code j of word w of a block.
  Expr codeOf(Expr group) {
    if (vectors() == kWords)
      return (*codes)(j, w, b, group);
    Expr both = (*codes)(j, w % 4, b, group);
    Expr code =
        select(w < 4, both & cast<uint8_t>(15), both >> cast<uint8_t>(4));
    if (vectors() == 4)
      return code;
    // The high bits of words w and w + 2 are two bits apart.
    Expr high = (*codes)(j, 4 + w % 2, b, group) >> cast<uint8_t>(w / 2 * 2);
    return code | ((high & cast<uint8_t>(3)) << cast<uint8_t>(4));
  }

  Input<Buffer<uint8_t, 4>> *codes = nullptr;    // 4 n + k, word, block, group
  Input<Buffer<float16_t, 3>> *scales = nullptr; // n, block, group
  Input<Buffer<int8_t, 4>> *subscales = nullptr; // n, part, block, group
  Input<Buffer<float16_t, 3>> *mins = nullptr;
  Input<Buffer<int8_t, 2>> *acts = nullptr;       // k, token
  Input<Buffer<float, 2>> *actScales = nullptr;   // block, token
  Input<Buffer<float, 2>> *minSums = nullptr;     // block, token
  Input<Buffer<int32_t, 2>> *startSums = nullptr; // block, token
  Output<Buffer<float, 3>> *out = nullptr;        // n, token, group

  Var n{"n"}, t{"t"}, g{"g"}, b{"b"}, j{"j"}, w{"w"}, p{"p"};
  RDom q, r;
  Func unpacked{"unpacked"}, dot{"dot"}, low{"low"}, acc{"acc"};
};

/// Weights in n16 (f32, f16) or n16k2 (bf16).
class LinearFloats : public Generator<LinearFloats> {
public:
  GeneratorParam<std::string> element{"element", "f32"};
  GeneratorParam<int> columns{"columns", 576};
  GeneratorParam<int> tokens{"tokens", 4};
  GeneratorParam<int> panels{"panels", 2};
  /// There are whole tiles only. Else every index of a row is bounded, which
  /// makes a prefill 5 to 10 % slower.
  GeneratorParam<bool> whole{"whole", false};
  /// Steps over K whose weights are prefetched ahead of their use.
  GeneratorParam<int> ahead{"ahead", 0};

  void configure() {
    Type type = element.value() == "f16" ? Float(16) : Float(32);
    if (isPairs())
      type = UInt(16);
    // n, column, group; of pairs 2 n + column % 2, column / 2, group.
    weights = add_input<Buffer<>>("weights", type, 3);
    acts = add_input<Buffer<float, 2>>("acts");
    out = add_output<Buffer<float, 3>>("out");
  }

  void generate() {
    Expr group = whole ? Expr(g) : min(g, weights->dim(2).extent() - 1);
    Expr token = whole ? Expr(t) : min(t, acts->dim(1).extent() - 1);
    // One dimension, so that no schedule can change the order of the sum.
    r = RDom(0, columns, "r");
    Expr weight;
    if (isPairs()) // a bf16 is the upper half of its f32
      weight = reinterpret<float>(
          cast<uint32_t>((*weights)(2 * n + r % 2, r / 2, group)) << 16);
    else
      weight = cast<float>((*weights)(n, r, group));
    acc(n, t, g) = 0.0f;
    acc(n, t, g) = weight * (*acts)(r, token) + acc(n, t, g);
    (*out)(n, t, g) = acc(n, t, g);
  }

  void schedule() {
    int step = isPairs() ? 2 : 1;
    setLayout(*weights, {1, step * kLanes, kLanes * columns});
    setLayout(*acts, {1, columns});
    setLayout(*out, {1, kLanes});
    out->dim(0).set_extent(kLanes);
    if (using_autoscheduler()) {
      weights->set_estimates(
          {{0, step * kLanes}, {0, columns / step}, {0, panels}});
      acts->set_estimates({{0, columns}, {0, tokens}});
      boundTile(*out, tokens, panels);
      acc.store_in(MemoryType::Register);
      return;
    }
    scheduleTile(*out, acc, tokens, panels);
    RVar pair("pair"), half("half");
    acc.update()
        .split(r, pair, half, step)
        .reorder(n, t, g, half, pair)
        .vectorize(n)
        .unroll(t)
        .unroll(g)
        .unroll(half);
    // Past the end it is of the next group, or asks for nothing.
    if (ahead > 0)
      acc.update().prefetch(*weights, pair, pair, ahead,
                            PrefetchBoundStrategy::NonFaulting);
  }

private:
  bool isPairs() const { return element.value() == "bf16"; }
  Input<Buffer<>> *weights = nullptr;
  Input<Buffer<float, 2>> *acts = nullptr; // k, token
  Output<Buffer<float, 3>> *out = nullptr; // n, token, group

  Var n{"n"}, t{"t"}, g{"g"};
  RDom r;
  Func acc{"acc"};
};

} // namespace

HALIDE_REGISTER_GENERATOR(LinearCodes, linear_codes)
HALIDE_REGISTER_GENERATOR(LinearFloats, linear_floats)
