// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.dot_tile becomes AMX tile instructions, or loops of cria.dot4; so does
// cria.dot_tile2, or loops of cria.dot2.
//
// The intrinsics are called as they are, not through MLIR's amx dialect: its
// tile_load wants a memref of bytes, and the codes are words, which is how
// every other kernel broadcasts them.

#include "compiler/Passes.h"
#include "compiler/vector/KernelUtils.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace cria {
#define GEN_PASS_DEF_LOWERDOTTILE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

/// All of a panel's products with one token are one chain of dot4.
static void lowerGeneric(ImplicitLocOpBuilder &b, DotTileOp op) {
  VectorType bytes = vectorOf(64, b.getI8Type());
  Value zero = constIndex(b, 0);
  auto none = [] { return SmallVector<Value>(); };
  buildLoop(
      b, zero, constIndex(b, op.getPanels()), 1, {}, [&](Value p, ValueRange) {
        SmallVector<Value> codes;
        for (int64_t w = 0; w < DotTileOp::kWords; ++w)
          codes.push_back(
              loadLanes(b, op.getCodes(), {p, constIndex(b, w), zero}, {}, 64));
        buildLoop(b, zero, constIndex(b, DotTileOp::kTokens), 1, {},
                  [&](Value t, ValueRange) {
                    Value token = arith::AddIOp::create(b, op.getToken(), t);
                    Value sum = splatInt(b, b.getI32Type(), 0);
                    for (int64_t w = 0; w < DotTileOp::kWords; ++w) {
                      Value four = memref::LoadOp::create(
                          b, op.getActs(),
                          ValueRange{token, addIndex(b, op.getWord(), w)});
                      Value all = vector::BitCastOp::create(b, bytes,
                                                            broadcast(b, four));
                      sum = Dot4Op::create(b, sum, codes[w], all, int64_t(8));
                    }
                    storeLanes(b, sum, op.getOut(), {p, t, zero});
                    return none();
                  });
        return none();
      });
}

/// Each sum is one chain of dot2 over K.
static void lowerGeneric(ImplicitLocOpBuilder &b, DotTile2Op op) {
  VectorType pairs = vectorOf(2 * kLanes, b.getBF16Type());
  Value zero = constIndex(b, 0);
  auto none = [] { return SmallVector<Value>(); };
  Value words = constIndex(b, op.getWeights().getType().getDimSize(1));
  buildLoop(
      b, zero, constIndex(b, op.getPanels()), 1, {}, [&](Value p, ValueRange) {
        Value panel = arith::AddIOp::create(b, op.getPanel(), p);
        buildLoop(b, zero, constIndex(b, DotTile2Op::kTokens), 1, {},
                  [&](Value t, ValueRange) {
                    Value token = arith::AddIOp::create(b, op.getToken(), t);
                    Value sum = buildLoop(
                        b, zero, words, 1, splat(b, 0.0f),
                        [&](Value w, ValueRange sums) -> SmallVector<Value> {
                          Value pair = memref::LoadOp::create(
                              b, op.getActs(), ValueRange{token, w});
                          return {Dot2Op::create(
                              b, sums[0].getType(), sums[0],
                              loadLanes(b, op.getWeights(), {panel, w, zero},
                                        {}, 2 * kLanes),
                              vector::BitCastOp::create(b, pairs,
                                                        broadcast(b, pair)))};
                        })[0];
                    storeLanes(b, sum, op.getOut(), {p, t, zero});
                    return none();
                  });
        return none();
      });
}

namespace {

/// Writes the tile instructions of one op.
class AmxLowering {
public:
  explicit AmxLowering(ImplicitLocOpBuilder &b)
      : b(b), tile(LLVM::LLVMX86AMXType::get(b.getContext())) {}

  void lower(DotTileOp op) {
    // Rows and bytes of a row; a row of codes or sums is 64 bytes.
    Value tokens = i16(DotTileOp::kTokens), words = i16(DotTileOp::kWords);
    Value line = i16(64), depth = i16(4 * DotTileOp::kWords);
    auto acts = memref::ExtractStridedMetadataOp::create(b, op.getActs());
    Value rowWords = acts.getStrides()[0];
    Value first = arith::AddIOp::create(
        b, arith::MulIOp::create(b, op.getToken(), rowWords), op.getWord());
    first = arith::AddIOp::create(b, first, acts.getOffset());
    Value a = load(tokens, depth, pointer(op.getActs(), bytes(first, 4)),
                   int64(bytes(rowWords, 4)));
    for (int64_t p = 0; p < op.getPanels(); ++p) {
      Value weights =
          load(words, line, pointer(op.getCodes(), constIndex(b, p * 8 * 64)),
               int64(constIndex(b, 64)));
      Value zero = call("llvm.x86.tilezero.internal", tile, {tokens, line});
      Value sums = call("llvm.x86.tdpbsud.internal", tile,
                        {tokens, line, depth, zero, a, weights});
      call("llvm.x86.tilestored64.internal", {},
           {tokens, line, pointer(op.getOut(), constIndex(b, p * 16 * 64)),
            int64(constIndex(b, 64)), sums});
    }
  }

  void lower(DotTile2Op op) {
    constexpr int64_t kWords = DotTile2Op::kWords, kUnrolled = 8;
    int64_t words = op.getWeights().getType().getDimSize(1);
    int64_t steps = words / kWords;
    SmallVector<Value> places;
    for (int64_t p = 0; p < op.getPanels(); ++p)
      places.push_back(pointer(op.getOut(), constIndex(b, p * 16 * 64)));
    int64_t full = steps / kUnrolled * kUnrolled;
    // Tile values do not go round loops: LLVM would move them through memory
    // just so.
    if (full > 0) {
      Value first = constIndex(b, 0);
      accumulate(op, places, first, kUnrolled, 0, /*fresh=*/true);
      buildLoop(b, constIndex(b, kUnrolled), constIndex(b, full), kUnrolled, {},
                [&](Value step, ValueRange) {
                  accumulate(op, places, step, kUnrolled, 0, /*fresh=*/false);
                  return SmallVector<Value>();
                });
    }
    if (full < steps || words % kWords != 0)
      accumulate(op, places, constIndex(b, full), steps - full, words % kWords,
                 /*fresh=*/full == 0);
  }

private:
  /// Adds `steps` steps of 16 words, and one of `rest` words, to the sums at
  /// `places`, or stores them there.
  void accumulate(DotTile2Op op, ArrayRef<Value> places, Value step,
                  int64_t steps, int64_t rest, bool fresh) {
    constexpr int64_t kWords = DotTile2Op::kWords;
    Value tokens = i16(DotTile2Op::kTokens), line = i16(64);
    Value lineBytes = int64(constIndex(b, 64));
    SmallVector<Value> sums;
    for (Value place : places)
      sums.push_back(
          fresh ? call("llvm.x86.tilezero.internal", tile, {tokens, line})
                : load(tokens, line, place, lineBytes));
    auto acts = memref::ExtractStridedMetadataOp::create(b, op.getActs());
    auto weights = memref::ExtractStridedMetadataOp::create(b, op.getWeights());
    Value rowWords = acts.getStrides()[0];
    Value row = arith::AddIOp::create(
        b, arith::MulIOp::create(b, op.getToken(), rowWords), acts.getOffset());
    Value word = arith::MulIOp::create(b, step, constIndex(b, kWords));
    for (int64_t s = 0; s < steps + (rest > 0); ++s) {
      int64_t count = s < steps ? kWords : rest;
      Value depth = i16(4 * count);
      Value from = addIndex(b, word, s * kWords);
      Value a = load(
          tokens, depth,
          pointer(op.getActs(), bytes(arith::AddIOp::create(b, row, from), 4)),
          int64(bytes(rowWords, 4)));
      for (auto [p, sum] : llvm::enumerate(sums)) {
        Value panel = arith::MulIOp::create(b, addIndex(b, op.getPanel(), p),
                                            weights.getStrides()[0]);
        panel = arith::AddIOp::create(b, panel, weights.getOffset());
        Value place =
            arith::AddIOp::create(b, bytes(panel, 2), bytes(from, 64));
        Value w =
            load(i16(count), line, pointer(op.getWeights(), place), lineBytes);
        sum = call("llvm.x86.tdpbf16ps.internal", tile,
                   {tokens, line, depth, sum, a, w});
      }
    }
    for (auto [place, sum] : llvm::zip_equal(places, sums))
      call("llvm.x86.tilestored64.internal", {},
           {tokens, line, place, lineBytes, sum});
  }

  Value i16(int64_t v) {
    return arith::ConstantOp::create(b, b.getI16IntegerAttr(v));
  }
  Value int64(Value index) {
    return arith::IndexCastOp::create(b, b.getI64Type(), index);
  }
  Value bytes(Value elements, int64_t size) {
    return arith::MulIOp::create(b, elements, constIndex(b, size));
  }
  Value pointer(Value memref, Value offset) {
    Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
    return LLVM::IntToPtrOp::create(
        b, LLVM::LLVMPointerType::get(b.getContext()),
        int64(arith::AddIOp::create(b, base, offset)));
  }
  Value load(Value rows, Value columns, Value from, Value stride) {
    return call("llvm.x86.tileloadd64.internal", tile,
                {rows, columns, from, stride});
  }
  Value call(StringRef name, Type result, ValueRange operands) {
    if (!result) {
      LLVM::CallIntrinsicOp::create(b, b.getStringAttr(name), operands);
      return {};
    }
    return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name),
                                         operands)
        ->getResult(0);
  }

  ImplicitLocOpBuilder &b;
  Type tile;
};

struct LowerDotTile : cria::impl::LowerDotTileBase<LowerDotTile> {
  using LowerDotTileBase::LowerDotTileBase;

  void runOnOperation() override {
    if (isa != "generic" && isa != "amx") {
      getOperation()->emitError("cria-lower-dot-tile: isa = ")
          << isa.getValue() << " is not one of generic, amx";
      return signalPassFailure();
    }
    lowerAll<DotTileOp>();
    lowerAll<DotTile2Op>();
  }

  template <typename Op> void lowerAll() {
    SmallVector<Op> ops;
    getOperation()->walk([&](Op op) { ops.push_back(op); });
    for (Op op : ops) {
      ImplicitLocOpBuilder b(op.getLoc(), op);
      if (isa == "amx")
        AmxLowering(b).lower(op);
      else
        lowerGeneric(b, op);
      op.erase();
    }
  }
};

} // namespace
