// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sums over K of a linear: `cria.fused_linear` without its epilogue, in the
// order of arithmetic that the op's description fixes. Each `a * b + c` is an
// FMA (ContractFma.h).
//
// The tokens and groups of `out` are rounded up to whole tiles: the caller has
// room for them, and what is read for them is of the last one.

#include "Halide.h"

#include <string>

using namespace Halide;

namespace {

constexpr int kLanes = 16; // rows of a group
constexpr int kBlock = 32; // columns of a block
constexpr int kWords = 8;  // of four codes, of a block

template <typename... Buffers> void startAtZero(Buffers &...buffers) {
  auto each = [](auto &buffer) {
    for (int d = 0; d < buffer.dimensions(); ++d)
      buffer.dim(d).set_min(0);
  };
  (each(buffers), ...);
}

/// Weights in n16k4: of 4 or 8 bits, with a zero point or a minimum.
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
  /// If not 0, these go over a block's codes in registers instead, and sums
  /// are in `out`.
  GeneratorParam<int> blockTokens{"block_tokens", 0};

  void configure() {
    codes = add_input<Buffer<uint8_t, 4>>("codes");
    scales = add_input<Buffer<float16_t, 3>>("scales");
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
    bool isQ4 = element.value() == "q4";
    Expr group = min(g, codes->dim(3).extent() - 1);
    Expr token = min(t, acts->dim(1).extent() - 1);

    Expr byte = (*codes)(j, isQ4 ? w % 4 : Expr(w), b, group);
    if (isQ4)
      byte = select(w < 4, byte & cast<uint8_t>(15), byte >> cast<uint8_t>(4));
    unpacked(j, w, b, g) = byte;

    // Exact integers: in any order.
    auto addProducts = [&](Func dot, int from) {
      Expr code = unpacked(q.x + 4 * n, q.y, b, g);
      Expr act =
          (*acts)(q.x + 4 * q.y + (wide ? 2 : 1) * kBlock * b + from, token);
      dot(n, t, b, g) += cast<int32_t>(code) * cast<int32_t>(act);
    };
    Expr start = hasMin ? Expr(0) : Expr((*startSums)(b, token));
    dot(n, t, b, g) = wide ? Expr(0) : start;
    addProducts(dot, 0);
    if (wide) {
      low(n, t, b, g) = start;
      addProducts(low, kBlock);
    }

    Func sum = blockTokens > 0 ? Func(*out) : acc;
    r = RDom(0, blocks, "r");
    Expr exact = dot(n, t, r, g);
    if (wide)
      exact = exact * 256 + low(n, t, r, g);
    Expr scale = cast<float>((*scales)(n, r, group)) * (*actScales)(r, token);
    sum(n, t, g) = 0.0f;
    Expr next = cast<float>(exact) * scale + sum(n, t, g);
    if (hasMin)
      next = cast<float>((*mins)(n, r, group)) * (*minSums)(r, token) + next;
    sum(n, t, g) = next;
    if (blockTokens == 0)
      (*out)(n, t, g) = acc(n, t, g);
  }

  void schedule() {
    startAtZero(*codes, *scales, *acts, *actScales, *out);
    if (hasMin)
      startAtZero(*mins, *minSums);
    else
      startAtZero(*startSums);
    out->dim(0).set_extent(kLanes);
    codes->dim(0).set_extent(4 * kLanes);
    if (using_autoscheduler()) {
      estimate();
      return;
    }
    Var to("to"), ti("ti"), go("go"), gi("gi");
    TailStrategy up = TailStrategy::RoundUp;
    int size = blockTokens > 0 ? blockTokens : tokens;
    // What a tile's integers are computed in.
    LoopLevel tile, block;
    if (blockTokens > 0) {
      out->vectorize(n);
      out->update()
          .split(t, to, ti, size, up)
          .split(g, go, gi, panels, up)
          .reorder(n, ti, gi, to, r, go)
          .vectorize(n)
          .unroll(ti)
          .unroll(gi);
      tile = LoopLevel(*out, to);
      block = LoopLevel(*out, r);
    } else {
      out->split(t, to, ti, size, up)
          .split(g, go, gi, panels, up)
          .reorder(n, ti, gi, to, go)
          .vectorize(n)
          .unroll(ti)
          .unroll(gi);
      acc.compute_at(*out, to).vectorize(n).unroll(t).unroll(g);
      acc.update().reorder(n, t, g, r).vectorize(n).unroll(t).unroll(g);
      tile = block = LoopLevel(acc, r);
    }
    for (Func each : {dot, low}) {
      if (!each.defined())
        continue;
      each.compute_at(tile).vectorize(n).unroll(t).unroll(g);
      each.update()
          .reorder(q.x, n, g, t, q.y)
          .unroll(q.y)
          .unroll(t)
          .unroll(g)
          .atomic()
          .vectorize(n)
          .vectorize(q.x);
    }
    unpacked.compute_at(block).vectorize(j, 4 * kLanes).unroll(w).unroll(g);
  }

private:
  void estimate() {}

  Input<Buffer<uint8_t, 4>> *codes = nullptr;    // 4 n + k, word, block, group
  Input<Buffer<float16_t, 3>> *scales = nullptr; // n, block, group
  Input<Buffer<float16_t, 3>> *mins = nullptr;
  Input<Buffer<int8_t, 2>> *acts = nullptr;       // k, token
  Input<Buffer<float, 2>> *actScales = nullptr;   // block, token
  Input<Buffer<float, 2>> *minSums = nullptr;     // block, token
  Input<Buffer<int32_t, 2>> *startSums = nullptr; // block, token
  Output<Buffer<float, 3>> *out = nullptr;        // n, token, group

  Var n{"n"}, t{"t"}, g{"g"}, b{"b"}, j{"j"}, w{"w"};
  RDom q{0, 4, 0, kWords, "q"}, r;
  Func unpacked{"unpacked"}, dot{"dot"}, low{"low"}, acc{"acc"};
};

/// Weights in n16 (f32, f16) or n16k2 (bf16).
class LinearFloats : public Generator<LinearFloats> {
public:
  GeneratorParam<std::string> element{"element", "f32"};
  GeneratorParam<int> columns{"columns", 576};
  GeneratorParam<int> tokens{"tokens", 4};
  GeneratorParam<int> panels{"panels", 2};

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
    Expr group = min(g, weights->dim(2).extent() - 1);
    Expr token = min(t, acts->dim(1).extent() - 1);
    int step = isPairs() ? 2 : 1;
    r = RDom(0, step, 0, columns / step, "r");
    Expr weight;
    if (isPairs()) // a bf16 is the upper half of its f32
      weight = reinterpret<float>(
          cast<uint32_t>((*weights)(2 * n + r.x, r.y, group)) << 16);
    else
      weight = cast<float>((*weights)(n, r.y, group));
    acc(n, t, g) = 0.0f;
    acc(n, t, g) = weight * (*acts)(step * r.y + r.x, token) + acc(n, t, g);
    (*out)(n, t, g) = acc(n, t, g);
  }

  void schedule() {
    startAtZero(*weights, *acts, *out);
    out->dim(0).set_extent(kLanes);
    if (using_autoscheduler()) {
      estimate();
      return;
    }
    Var to("to"), ti("ti"), go("go"), gi("gi");
    TailStrategy up = TailStrategy::RoundUp;
    out->split(t, to, ti, tokens, up)
        .split(g, go, gi, panels, up)
        .reorder(n, ti, gi, to, go)
        .vectorize(n)
        .unroll(ti)
        .unroll(gi);
    acc.compute_at(*out, to).vectorize(n).unroll(t).unroll(g);
    acc.update()
        .reorder(n, t, g, r.x, r.y)
        .vectorize(n)
        .unroll(t)
        .unroll(g)
        .unroll(r.x);
  }

private:
  bool isPairs() const { return element.value() == "bf16"; }
  void estimate() {}

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
