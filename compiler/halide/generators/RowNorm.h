// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The norm of cria.rows and cria.head_rows: RMS or LayerNorm without its weight
// and bias. Order of sums and roundings are those of compiler/vector.

#ifndef CRIA_COMPILER_HALIDE_GENERATORS_ROWNORM_H
#define CRIA_COMPILER_HALIDE_GENERATORS_ROWNORM_H

#include "compiler/halide/generators/KernelMath.h"

#include <functional>
#include <string>
#include <vector>

namespace cria::halide {

class RowNorm {
public:
  /// `row` tells rows apart.
  explicit RowNorm(std::vector<Halide::Var> row = {}) : row(std::move(row)) {}

  /// `value`, an element of a row, normalised. A row has `size` of them, and
  /// `eps` is the bits of an f32.
  Halide::Expr
  normalised(const Halide::Expr &value, int size, bool center, int eps,
             const std::function<Halide::Expr(Halide::Expr)> &element) {
    using Halide::Expr;
    auto count = static_cast<float>(size);
    Expr y = value;
    if (center) {
      auto add = [](const Expr &x, const Expr &acc) { return acc + x; };
      mean(row) = reduce("total", size, element, add) / count;
      y = y - mean(row);
    }
    auto addSquare = [&](const Expr &x, const Expr &acc) {
      Expr centred = center ? x - mean(row) : x;
      return fma(centred, centred, acc);
    };
    Expr square = reduce("squares", size, element, addSquare);
    scale(row) = 1.0f / sqrt(square / count + asFloat(eps));
    return y * scale(row);
  }

  void schedule(const Halide::LoopLevel &at) {
    std::vector<Halide::Func> steps = trees;
    for (Halide::Func &acc : accumulators) {
      steps.push_back(acc);
      acc.unroll(half);
      acc.update()
          .reorder(lane, half, acc.rvars()[0])
          .vectorize(lane)
          .unroll(half);
    }
    for (Halide::Func &step : steps)
      step.compute_at(at)
          .store_in(Halide::MemoryType::Stack)
          .vectorize(step.args()[0]);
    for (Halide::Func each : {mean, scale})
      if (each.defined())
        each.compute_at(at).store_in(Halide::MemoryType::Stack);
  }

private:
  /// The sum over a row of what `add` adds to 16 running sums.
  Halide::Expr reduce(const std::string &name, int size,
                      const std::function<Halide::Expr(Halide::Expr)> &element,
                      const Combine &add) {
    using namespace Halide;
    Func acc(name);
    RDom s(0, size / kLanes, name + "_s");
    std::vector<Var> args{lane, half};
    args.insert(args.end(), row.begin(), row.end());
    acc(args) = 0.0f;
    acc(args) = add(element(s * kLanes + half * 8 + lane),
                    acc(std::vector<Expr>(args.begin(), args.end())));
    accumulators.push_back(acc);
    return sumHalves(acc, std::vector<Expr>(row.begin(), row.end()), row,
                     trees);
  }

  std::vector<Halide::Var> row;
  Halide::Var lane{"lane"}, half{"half"};
  Halide::Func mean{"mean"}, scale{"scale"};
  std::vector<Halide::Func> accumulators, trees;
};

} // namespace cria::halide

#endif // CRIA_COMPILER_HALIDE_GENERATORS_ROWNORM_H
