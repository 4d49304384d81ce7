// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The loops of one cria.fused_linear. VectorizeLinear.cpp has groups of rows
// and tiles of tokens, LinearSums.cpp what a tile does along K.
#ifndef CRIA_COMPILER_VECTOR_LINEARKERNEL_H
#define CRIA_COMPILER_VECTOR_LINEARKERNEL_H

#include "compiler/vector/KernelUtils.h"
#include "compiler/vector/LinearCodes.h"
#include "compiler/vector/LinearOperands.h"
#include "compiler/vector/WeightStream.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <array>
#include <optional>

namespace cria {

/// Blocks of q6 that share an f16.
constexpr int64_t kSuperBlocks = CriaDialect::kSuperBlock / kQuantBlock;

/// How a kernel is cut: speed only.
struct KernelShape {
  int64_t tokens;        // a register tile has, at most
  int64_t panels;        // vectors of 16 rows that one has, 1 or 2
  int64_t blockTokens;   // that go over a block's codes in registers; 0: none
  int64_t prefetchBytes; // of weights, ahead of their use
  int64_t streamBytes;   // the same into L2, over the ends of ranges, or 0
  mlir::Value sums;      // f32 sums outside of registers, or null
  mlir::Value tiles;     // bytes for the operands of dot_tile, or null
  bool pairs;            // of floats: rows are bf16 in words of two
  bool pairTiles;        // and 16 tokens at a time a dot_tile2
  bool words;            // codes of bytes take products of words
};

/// Emits the loops for one fused_linear.
class LinearKernel {
public:
  LinearKernel(mlir::ImplicitLocOpBuilder &b, FusedLinearOp op,
               const KernelShape &shape, const WeightStream &stream)
      : b(b), op(op), weight(op.getWeightType()), shape(shape), stream(stream) {
  }

  void emit();

private:
  /// 16 rows of one weight.
  struct Panel {
    const LinearWeight *weight;
    mlir::Value group;
  };
  /// 16 rows of the result.
  struct Group {
    mlir::Value index;
    mlir::Value lane; // its first row
    mlir::Value mask; // null where all 16 rows exist
  };
  /// A block of K of one panel, in registers.
  struct BlockOperands {
    llvm::SmallVector<mlir::Value> codes;  // by words of K
    llvm::SmallVector<mlir::Value> scales; // of equal parts of the block
    mlir::Value min;
  };

  void emitGroups(mlir::Value first, int64_t count);
  void emitTiles(llvm::ArrayRef<Panel> panels);
  void emitTokens(llvm::ArrayRef<Panel> panels, mlir::Value token,
                  int64_t count);
  void emitPairTile(mlir::Value token);
  void emitBlockStationary(llvm::ArrayRef<Panel> panels);
  void emitBlock(llvm::ArrayRef<Panel> panels, mlir::Value from,
                 mlir::Value count, mlir::Value block);
  void emitBlockTiles(llvm::ArrayRef<Panel> panels,
                      llvm::ArrayRef<BlockOperands> operands, mlir::Value from,
                      mlir::Value count, mlir::Value block);
  void prefetchActs(mlir::Value token, int64_t ahead, mlir::Value word);
  void addToSums(llvm::ArrayRef<mlir::Value> parts,
                 const BlockOperands &operands, mlir::Value place,
                 int64_t panel, mlir::Value token, mlir::Value block);
  llvm::SmallVector<mlir::Value> accumulateQuantized(const Panel &panel,
                                                     mlir::ValueRange tokens);
  llvm::SmallVector<mlir::Value> accumulateFloat(llvm::ArrayRef<Panel> panels,
                                                 mlir::ValueRange tokens);
  mlir::Value loadCodes(const Panel &panel, mlir::Value block, int64_t vector);
  mlir::Value loadF16(mlir::Value memref, const Panel &panel,
                      mlir::Value block);
  llvm::SmallVector<mlir::Value> loadScales(const Panel &panel,
                                            mlir::Value block);
  mlir::Value firstSum(const Panel &panel, mlir::Value token, mlir::Value block,
                       int64_t part);
  void addPart(llvm::SmallVectorImpl<mlir::Value> &parts, mlir::Value dot,
               llvm::ArrayRef<mlir::Value> scales);
  mlir::Value addBlock(llvm::ArrayRef<mlir::Value> parts, mlir::Value acc,
                       llvm::ArrayRef<mlir::Value> scales, mlir::Value min,
                       mlir::Value token, mlir::Value block);
  mlir::Value loadWord(mlir::Value token, mlir::Value index);
  /// Of four columns the even ones and the odd ones, 16 bits each.
  using EvenOdd = std::array<mlir::Value, 2>;
  std::array<EvenOdd, 2> widenActs(mlir::Value token, mlir::Value word,
                                   int64_t index);
  mlir::Value addProducts(mlir::Value acc, mlir::Value codes,
                          const EvenOdd &acts);
  void addBlockProducts(llvm::MutableArrayRef<mlir::Value> dots,
                        mlir::ValueRange tokens, mlir::Value word,
                        llvm::function_ref<mlir::Value(size_t, int64_t)> codes);
  int64_t codeBits() const { return BlockCodes::bits(weight.getElement()); }
  /// Of a block of activations, each with a scale of its own.
  int64_t numParts() const { return weight.getScalesPerBlock(); }
  int64_t stepsAhead(int64_t bytes, int64_t stepBytes) const;
  void prefetch(mlir::Value memref, const Panel &panel, mlir::Value step,
                int64_t ahead, int64_t line, bool intoL1 = true);
  void prefetchBody(mlir::Value memref, const Panel &panel, mlir::Value step,
                    int64_t stepBytes, int64_t line);
  void prefetchBlock(const Panel &panel, mlir::Value block);
  mlir::Value superBlock(mlir::Value block) {
    return b.createOrFold<mlir::arith::DivUIOp>(block,
                                                constIndex(b, kSuperBlocks));
  }

  mlir::ImplicitLocOpBuilder &b;
  FusedLinearOp op;
  WeightType weight;
  KernelShape shape;
  WeightStream stream;
  bool isWide = false;  // activations of 16 bits
  bool asWords = false; // products of 16 bits, of dot2_i16

  llvm::SmallVector<LinearWeight> weights;
  std::optional<LinearRows> outRows;
  int64_t groupStep = 1; // groups from one pass over K to the next
  int64_t panelsInPass = 1;
  llvm::SmallVector<Group> groups;
};

} // namespace cria

#endif // CRIA_COMPILER_VECTOR_LINEARKERNEL_H
