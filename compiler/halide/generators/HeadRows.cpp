// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.head_rows: norm and rotation of heads, stored as rows or into a KV
// cache. Order of sums and roundings are those of
// compiler/vector/VectorizeHeadRows.cpp, so the bits are the same.

#include "compiler/halide/generators/RowNorm.h"

#include <string>
#include <vector>

using namespace Halide;
using namespace cria::halide;

namespace {

constexpr int kPage = 64;

class HeadRows : public Generator<HeadRows> {
public:
  GeneratorParam<int> heads{"heads", 3};
  GeneratorParam<int> headDim{"head_dim", 64}; // a multiple of 16
  /// Elements of the weight and bias: 0, head_dim, or that of each head.
  GeneratorParam<int> weights{"weights", 0};
  GeneratorParam<bool> hasBias{"has_bias", false};
  GeneratorParam<bool> center{"center", false};
  GeneratorParam<bool> plusOne{"plus_one", false};
  /// Bits of the f32.
  GeneratorParam<int> eps{"eps", 0x3727c5ac};
  GeneratorParam<bool> hasRope{"has_rope", true};
  /// "rows", "key" or "value"
  GeneratorParam<std::string> out{"out", "rows"};
  GeneratorParam<Type> element{"element", Float(32)}; // of the output

  void configure() {
    x = add_input<Buffer<float, 2>>("x"); // element of head 0, 1, ...; token
    if (weights > 0) {
      weight = add_input<Buffer<float, 1>>("weight");
      if (hasBias)
        bias = add_input<Buffer<float, 1>>("bias");
    }
    if (hasRope)
      rope = add_input<Buffer<float, 3>>("rope"); // element; cos, sin; token
    bool isKey = out.value() == "key", isRows = out.value() == "rows";
    if (!isRows)
      slots = add_input<Buffer<int32_t, 1>>("slots");
    // As x; or position, element, block, head, page; or element, position,
    // head, page.
    result = add_output<Buffer<>>("result", element,
                                  isRows  ? 2
                                  : isKey ? 5
                                          : 4);
  }

  void generate() {
    _halide_user_assert(get_target().has_feature(Target::StrictFloat))
        << "head_rows needs strict_float\n";
    Expr y = (*x)(h * headDim + e, i);
    if (weights > 0) {
      y = norm.normalised(y, headDim, center, eps, [&](const Expr &at) {
        return (*x)(h * headDim + at, i);
      });
      Expr at = int(weights) == headDim ? Expr(e) : h * headDim + e;
      Expr w = (*weight)(at);
      y = y * (plusOne ? w + 1.0f : w);
      if (hasBias)
        y = y + (*bias)(at);
    }
    normed(e, h, i) = y;
    if (hasRope) {
      Expr first = e / 2 * 2;
      swapped(e, h, i) =
          select(e % 2 == 0, normed(first + 1, h, i), normed(first, h, i));
      y = fma(swapped(e, h, i), (*rope)(e, 1, i),
              normed(e, h, i) * (*rope)(e, 0, i));
    } else {
      y = normed(e, h, i);
    }
    narrow(e, h, i) = truncateFromF32(y, element);
    if (out.value() == "rows") {
      (*result)(k, i) = narrow(k % headDim, k / headDim, i);
      return;
    }
    r = RDom(0, headDim, 0, heads, 0, x->dim(1).extent(), "r");
    int last = out.value() == "key" ? 4 : 3;
    Expr slot = (*slots)(r.z), place = slot % kPage;
    Expr page =
        unsafe_promise_clamped(slot / kPage, 0, result->dim(last).extent() - 1);
    Expr v = narrow(r.x, r.y, r.z);
    Func cache = *result;
    if (out.value() == "key") {
      cache(k, e, j, h, i) = undef(element);
      cache(place % kLanes, r.x, place / kLanes, r.y, page) = v;
    } else {
      cache(k, j, h, i) = undef(element);
      cache(r.x, place, r.y, page) = v;
    }
  }

  void schedule() {
    int columns = int(heads) * headDim;
    x->dim(0).set_bounds(0, columns).set_stride(1);
    x->dim(1).set_min(0);
    for (auto *param : {weight, bias})
      if (param)
        param->dim(0).set_bounds(0, weights).set_stride(1);
    if (rope) {
      rope->dim(0).set_bounds(0, headDim).set_stride(1);
      rope->dim(1).set_bounds(0, 2);
      rope->dim(2).set_min(0);
    }
    Func stored = *result;
    LoopLevel at;
    if (out.value() == "rows") {
      result->dim(0).set_bounds(0, columns).set_stride(1);
      result->dim(1).set_bounds(0, x->dim(1).extent());
      stored.split(k, h, k, headDim).vectorize(k, kLanes);
      at = LoopLevel(stored, h);
    } else {
      slots->dim(0).set_min(0).set_stride(1);
      bool isKey = out.value() == "key";
      result->dim(0).set_bounds(0, isKey ? kLanes : int(headDim)).set_stride(1);
      result->dim(1).set_bounds(0, isKey ? int(headDim) : kPage);
      result->dim(1).set_stride(isKey ? kLanes : int(headDim));
      if (isKey)
        result->dim(2)
            .set_bounds(0, kPage / kLanes)
            .set_stride(kLanes * headDim);
      result->dim(isKey ? 3 : 2).set_bounds(0, heads);
      result->dim(isKey ? 4 : 3).set_min(0);
      Stage update = stored.update();
      if (isKey)
        update.unroll(r.x, kLanes);
      else
        update.vectorize(r.x, kLanes);
      at = LoopLevel(stored, r.y);
    }
    std::vector<Func> rows{normed, narrow};
    if (hasRope)
      rows.push_back(swapped);
    for (Func f : rows)
      f.compute_at(at)
          .store_in(MemoryType::Stack)
          .bound(e, 0, headDim)
          .vectorize(e, kLanes)
          .unroll(e);
    if (weights > 0)
      norm.schedule(at);
  }

private:
  Var k{"k"}, e{"e"}, j{"j"}, h{"h"}, i{"i"};
  RDom r;
  Func normed{"normed"}, swapped{"swapped"}, narrow{"narrow"};
  RowNorm norm{{h, i}};
  Input<Buffer<float, 2>> *x = nullptr;
  Input<Buffer<float, 1>> *weight = nullptr, *bias = nullptr;
  Input<Buffer<float, 3>> *rope = nullptr;
  Input<Buffer<int32_t, 1>> *slots = nullptr;
  Output<Buffer<>> *result = nullptr;
};

} // namespace

HALIDE_REGISTER_GENERATOR(HeadRows, head_rows)
