// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria.dot_tile becomes AMX tile instructions, or loops of cria.dot4.
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

namespace {

/// Writes the tile instructions of one op.
class AmxLowering {
public:
  AmxLowering(ImplicitLocOpBuilder &b, DotTileOp op)
      : b(b), op(op), tile(LLVM::LLVMX86AMXType::get(b.getContext())) {}

  void lower() {
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

private:
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
  DotTileOp op;
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
    SmallVector<DotTileOp> ops;
    getOperation()->walk([&](DotTileOp op) { ops.push_back(op); });
    for (DotTileOp op : ops) {
      ImplicitLocOpBuilder b(op.getLoc(), op);
      if (isa == "amx")
        AmxLowering(b, op).lower();
      else
        lowerGeneric(b, op);
      op.erase();
    }
  }
};

} // namespace
