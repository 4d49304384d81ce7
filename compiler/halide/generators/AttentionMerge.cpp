// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How chunks of attention become a result: one more chunk into the running
// sums, and the result of all. A row is one of cria.attention_partials: element
// sums, 16 sums of p, the maximum. The bits are those of
// compiler/vector/AttentionBuilder.cpp.

#include "compiler/halide/generators/KernelMath.h"

#include <limits>
#include <vector>

using namespace Halide;
using namespace cria::halide;

namespace {

class AttentionStep : public Generator<AttentionStep> {
public:
  GeneratorParam<int> heads{"heads", 3};
  GeneratorParam<int> headDim{"head_dim", 64};

  Input<Buffer<float, 3>> chunk{"chunk"}; // of a row; head; token
  Input<Buffer<float, 3>> old{"old"};
  /// Otherwise old is as before the first chunk, whatever it holds.
  Input<int32_t> hasOld{"has_old"};
  Output<Buffer<float, 3>> next{"next"}; // may be old

  void generate() {
    Expr at = headDim + kLanes;
    Expr before = select(hasOld != 0, old(at, h, i),
                         -std::numeric_limits<float>::infinity());
    most(h, i) = larger(before, chunk(at, h, i));
    oldFactor(h, i) = expNonPositive(before - most(h, i));
    newFactor(h, i) = expNonPositive(chunk(at, h, i) - most(h, i));
    Expr sum = select(hasOld != 0, old(x, h, i), 0.0f);
    next(x, h, i) = select(
        x < at, fma(newFactor(h, i), chunk(x, h, i), sum * oldFactor(h, i)),
        most(h, i));
  }

  void schedule() {
    int columns = headDim + 2 * kLanes;
    for (auto *buffer : {&chunk, &old}) {
      buffer->dim(0).set_bounds(0, columns).set_stride(1);
      buffer->dim(1).set_bounds(0, heads);
      buffer->dim(2).set_min(0);
    }
    next.dim(0).set_bounds(0, columns).set_stride(1);
    next.dim(1).set_bounds(0, heads);
    next.dim(2).set_min(0);
    Func(next).vectorize(x, kLanes).unroll(x).never_partition_all();
    for (Func f : {most, oldFactor, newFactor})
      f.compute_at(next, h).store_in(MemoryType::Stack);
  }

private:
  Var x{"x"}, h{"h"}, i{"i"};
  Func most{"most"}, oldFactor{"old_factor"}, newFactor{"new_factor"};
};

class AttentionResult : public Generator<AttentionResult> {
public:
  GeneratorParam<int> heads{"heads", 3};
  GeneratorParam<int> headDim{"head_dim", 64};

  Input<Buffer<float, 3>> sums{"sums"};      // of a row; head; token
  Output<Buffer<float, 2>> result{"result"}; // element of head 0, 1, ...; token

  void generate() {
    lanes(l, half, h, i) = sums(headDim + half * 8 + l, h, i);
    factor(h, i) = 1.0f / sumHalves(lanes, {h, i}, {h, i}, steps);
    Expr head = x / headDim;
    result(x, i) = sums(x % headDim, head, i) * factor(head, i);
  }

  void schedule() {
    sums.dim(0).set_bounds(0, headDim + 2 * kLanes).set_stride(1);
    sums.dim(1).set_bounds(0, heads);
    sums.dim(2).set_min(0);
    result.dim(0).set_bounds(0, int(heads) * headDim).set_stride(1);
    result.dim(1).set_min(0);
    Var d("d");
    Func(result)
        .split(x, h, d, headDim)
        .vectorize(d, kLanes)
        .unroll(d)
        .never_partition_all();
    for (Func f : steps)
      f.compute_at(result, h)
          .store_in(MemoryType::Stack)
          .vectorize(f.args()[0]);
    factor.compute_at(result, h).store_in(MemoryType::Stack);
  }

private:
  Var x{"x"}, l{"l"}, half{"half"}, h{"h"}, i{"i"};
  Func lanes{"lanes"}, factor{"factor"};
  std::vector<Func> steps;
};

} // namespace

HALIDE_REGISTER_GENERATOR(AttentionStep, attention_step)
HALIDE_REGISTER_GENERATOR(AttentionResult, attention_result)
