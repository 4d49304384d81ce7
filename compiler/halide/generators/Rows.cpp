// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One row of cria.rows: norm and scale, stored as f32 or quantised in blocks of
// 32. A row at a time, because outputs that share loops of unknown length are
// guarded in every step. Order of sums and roundings are those of
// compiler/vector/VectorizeRows.cpp, so the bits are the same.

#include "compiler/halide/generators/RowNorm.h"

#include <string>

using namespace Halide;
using namespace cria::halide;

namespace {

enum Norm { none, rms, layer };

class Rows : public Generator<Rows> {
public:
  GeneratorParam<int> columns{"columns", 576}; // a multiple of 32
  GeneratorParam<int> norm{"norm", rms};
  GeneratorParam<bool> hasBias{"has_bias", false};
  GeneratorParam<bool> plusOne{"plus_one", false};
  /// Bits of the f32; 0 for the factor: none.
  GeneratorParam<int> eps{"eps", 0x3727c5ac};
  GeneratorParam<int> factor{"factor", 0};
  GeneratorParam<bool> accumulate{"accumulate", false};
  /// Of the codes: 0 (the row is stored in f32), 8 or 16.
  GeneratorParam<int> bits{"bits", 8};
  /// What is stored of a block's codes: d times their sum, or
  /// the sum times this as an integer.
  GeneratorParam<bool> hasZeroPoint{"has_zero_point", false};
  GeneratorParam<int> zeroPoint{"zero_point", 0};
  /// Sums are of 16 codes.
  GeneratorParam<bool> halves{"halves", false};

  void configure() {
    x = add_input<Buffer<float, 1>>("x"); // column
    if (norm != none) {
      weight = add_input<Buffer<float, 1>>("weight");
      if (hasBias)
        bias = add_input<Buffer<float, 1>>("bias");
    }
    if (bits == 0) {
      rows = add_output<Buffer<float, 1>>("rows");
      return;
    }
    codes = add_output<Buffer<int8_t, 1>>("codes");
    scales = add_output<Buffer<float, 1>>("scales"); // block
    Type sum = hasZeroPoint ? Type(Int(32)) : Type(Float(32));
    sums = add_output<Buffer<>>("sums", sum, 1); // block or half
  }

  void generate() {
    _halide_user_assert(get_target().has_feature(Target::StrictFloat))
        << "rows needs strict_float\n";
    normalise();
    if (bits == 0)
      storeRows();
    else
      quantise();
  }

  void schedule() {
    x->dim(0).set_bounds(0, columns).set_stride(1);
    for (auto *param : {weight, bias})
      if (param)
        param->dim(0).set_bounds(0, columns).set_stride(1);
    int blocks = columns / kQuantBlock;
    auto estimate = [](auto *buffer, int extent) {
      if (buffer)
        buffer->dim(0).set_bounds(0, extent).set_estimate(0, extent);
    };
    if (using_autoscheduler()) {
      for (auto *input : {x, weight, bias})
        estimate(input, columns);
      estimate(rows, columns);
      estimate(codes, columns * (bits / 8));
      estimate(scales, blocks);
      estimate(sums, blocks * (halves ? 2 : 1));
      return;
    }
    if (bits == 0)
      scheduleRows();
    else
      scheduleCodes();
  }

private:
  void normalise() {
    Expr y = (*x)(k);
    if (norm != none) {
      y = rowNorm.normalised(y, columns, norm == layer, eps,
                             [&](const Expr &at) { return (*x)(at); });
      Expr w = (*weight)(k);
      y = y * (plusOne ? w + 1.0f : w);
      if (hasBias)
        y = y + (*bias)(k);
    }
    if (factor != 0)
      y = y * asFloat(int(factor));
    value(k) = y;
  }

  void storeRows() {
    if (accumulate) {
      (*rows)(k) = undef<float>();
      (*rows)(k) = (*rows)(k) + value(k);
    } else {
      (*rows)(k) = value(k);
    }
  }

  void quantise() {
    float limit = bits == 16 ? 32512.0f : 127.0f;
    RDom r(0, kQuantBlock, "r");
    block(j, b) = value(b * kQuantBlock + j);
    // |x| as integers: see VectorizeRows.cpp.
    largest(b) = 0;
    largest(b) = max(largest(b), asInt(block(r, b)) & 0x7fffffff);
    Expr amax = asFloat(largest(b));
    inverse(b) = select(amax < 0x1p-100f, 0.0f, limit / amax);
    const float magic = 12582912.0f;
    code(j, b) = asInt(block(j, b) * inverse(b) + magic) - 0x4b400000;

    // Of 16 bits, all high bytes of a block are before the low ones.
    int bytes = kQuantBlock * (bits / 8);
    Expr of = k / bytes, at = k % bytes;
    Expr narrow = code(at % kQuantBlock, of);
    if (bits == 16)
      narrow = select(at < kQuantBlock, (narrow + 128) >> 8, narrow);
    (*codes)(k) = cast<int8_t>(narrow);
    (*scales)(b) = amax / limit;

    int perBlock = halves ? 2 : 1;
    RDom s(0, kQuantBlock / perBlock, "s");
    total(h, b) = 0;
    total(h, b) += code(h * (kQuantBlock / perBlock) + s, b);
    Expr sum = total(k % perBlock, k / perBlock);
    if (hasZeroPoint)
      (*sums)(k) = sum * -int(zeroPoint);
    else
      (*sums)(k) = asFloat(largest(k / perBlock)) / limit * cast<float>(sum);
  }

  void scheduleRows() {
    Func out = *rows;
    rows->dim(0).set_bounds(0, columns).set_stride(1);
    if (accumulate)
      out.update().vectorize(k, kLanes);
    else
      out.vectorize(k, kLanes);
    rowNorm.schedule(LoopLevel::root());
  }

  void scheduleCodes() {
    Func out = *codes, d = *scales, s = *sums;
    int blocks = columns / kQuantBlock;
    int bytes = kQuantBlock * (bits / 8), perBlock = halves ? 2 : 1;
    codes->dim(0).set_bounds(0, blocks * bytes).set_stride(1);
    scales->dim(0).set_bounds(0, blocks).set_stride(1);
    sums->dim(0).set_bounds(0, blocks * perBlock).set_stride(1);
    out.bound(k, 0, blocks * bytes)
        .split(k, b, j, bytes)
        .split(j, h, j, kQuantBlock)
        .vectorize(j)
        .unroll(h);
    s.bound(k, 0, blocks * perBlock).split(k, b, h, perBlock).unroll(h);
    d.bound(b, 0, blocks);
    s.compute_with(out, b);
    d.compute_with(out, b);
    for (Func f : {block, code})
      f.compute_at(out, b).store_in(MemoryType::Stack).vectorize(j);
    for (Func f : {largest, inverse, total})
      f.compute_at(out, b).store_in(MemoryType::Stack);
    total.bound_extent(h, perBlock).unroll(h);
    total.update().unroll(h);
    for (Func f : {largest, total})
      f.update().atomic().vectorize(RVar(f.rvars()[0].name()));
    rowNorm.schedule(LoopLevel::root());
  }

  Var k{"k"}, j{"j"}, b{"b"}, h{"h"};
  Func value{"value"}, block{"block"}, largest{"largest"}, inverse{"inverse"},
      code{"code"}, total{"total"};
  RowNorm rowNorm;
  Input<Buffer<float, 1>> *x = nullptr;
  Input<Buffer<float, 1>> *weight = nullptr, *bias = nullptr;
  Output<Buffer<float, 1>> *rows = nullptr, *scales = nullptr;
  Output<Buffer<int8_t, 1>> *codes = nullptr;
  Output<Buffer<>> *sums = nullptr;
};

} // namespace

HALIDE_REGISTER_GENERATOR(Rows, rows)
