// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The operands of a block's tile of a matrix product, in stages of K: on their
// way from global memory to the block's (cp.async), there, and as what a thread
// takes for a product of its warp.

#ifndef CRIA_COMPILER_GPU_GEMMTILE_H
#define CRIA_COMPILER_GPU_GEMMTILE_H

#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"
#include "compiler/vector/LinearOperands.h"

#include <functional>
#include <optional>

namespace cria {

/// What is known of a tile. Its rows go by panels of 32, of which each of the 8
/// warps has two, of one weight or of two; other warps have other tokens.
struct GemmShape {
  static constexpr int64_t kPanel = 32, kWarpPanels = 2;

  int64_t tokens, rows; // rows of each weight
  int64_t weights;
  ElementKind element;
  bool hasMins;
  bool isWide;    // codes of 16 bits
  bool isRounded; // f32 that are bf16 already, two a word
  /// A unit is what a product has of K: a block of 32 codes, or 16 bf16. A
  /// stage is a step of the loop over K, and has one or two.
  int64_t units, steps;
  /// Stages of a slice of K (gpu/VectorizeTeamLinear.cpp); all of them where
  /// the sum has no slices.
  int64_t sliceSteps;
  /// In the block's memory at once.
  int64_t stages;

  /// From an op with kGemmAttr and at most `wantedStages`; reports a tile that
  /// cannot be.
  static mlir::FailureOr<GemmShape> get(FusedLinearOp op, int64_t wantedStages);

  bool isFloat() const { return element == ElementKind::bf16; }
  int64_t panels() const { return rows / kPanel; } // of a weight
  /// Warps with the same tokens, and with the same rows.
  int64_t rowWarps() const { return weights * panels() / kWarpPanels; }
  int64_t tokenWarps() const { return kGpuBlockThreads / 32 / rowWarps(); }
  int64_t warpTokens() const { return tokens / tokenWarps(); }
  /// Products' columns, of 8 tokens.
  int64_t warpTiles() const { return warpTokens() / 8; }

  // Words of 32 bits of a unit: of a row, and of a token.
  int64_t rowWords() const { return element == ElementKind::q4 ? 4 : 8; }
  int64_t tokenWords() const {
    return isWide || (isFloat() && !isRounded) ? 16 : 8;
  }
  // Where they are in a stage, in words; then its size.
  int64_t scalePlace() const { return units * weights * rows * rowWords(); }
  int64_t scaleWords() const { return isFloat() ? 0 : weights * rows / 2; }
  int64_t minPlace() const { return scalePlace() + scaleWords(); }
  int64_t tokenPlace() const {
    return minPlace() + (hasMins ? scaleWords() : 0);
  }
  int64_t tokenScalePlace() const {
    return tokenPlace() + units * tokens * tokenWords();
  }
  int64_t places() const {
    return tokenScalePlace() + (isFloat() ? 0 : 2 * tokens);
  }
};

/// Emits the code; the values that functions return are the calling thread's.
class GemmStages {
public:
  GemmStages(mlir::ImplicitLocOpBuilder &b, FusedLinearOp op,
             const GemmShape &shape, const LinearRows &rows);

  /// Starts the first stages on their way.
  void begin();
  /// Waits for a stage and starts another; where it is, until the next call.
  /// What depends on the thread is computed anew, as in registers for all of K
  /// it would be one too many.
  mlir::Value next(mlir::Value step);
  /// Nothing is on its way any more, and the memory is free.
  void end();

  /// The calling thread, at the last begin, next or end.
  TeamBuilder &here() { return *team; }
  mlir::Value warpRow();
  mlir::Value warpColumn();
  /// The number in its weight of a panel of the warp, counted in the weight.
  mlir::Value panelOf(mlir::Value panel);

  // With q and l as TeamBuilder has them, a thread's rows of a panel are 4 q to
  // 4 q + 3: two halves of two rows, which are rows q and q + 8 of a product.

  /// Operand A of each half.
  llvm::SmallVector<llvm::SmallVector<mlir::Value>>
  rows(mlir::Value stage, int64_t unit, int64_t panel);
  /// A word of two f16 for each half.
  llvm::SmallVector<mlir::Value> rowScales(mlir::Value stage, int64_t panel,
                                           bool isMin);
  /// Operand B of a token tile: of codes of 16 bits part 0 is the high bytes.
  llvm::SmallVector<mlir::Value> words(mlir::Value stage, int64_t unit,
                                       int64_t tile, int64_t part);
  /// The bits of the four f32 that become one.
  llvm::SmallVector<mlir::Value> floats(mlir::Value stage, int64_t tile);
  /// Of tokens 2 l and 2 l + 1 of a tile: scales (0), or what else there is of
  /// their block (1).
  llvm::SmallVector<mlir::Value> tokenScales(mlir::Value stage, int64_t tile,
                                             int64_t which);

private:
  /// What the calling thread copies of every unit.
  struct Copy {
    mlir::Value from; // global address, of unit 0
    int64_t number;   // of the piece, from the thread's own number on
    int64_t count;    // of all threads' pieces
    /// In a stage, of a piece's first unit.
    std::function<mlir::Value(mlir::Value)> place;
    int64_t stride; // bytes from one unit to the next
    int64_t places; // from one unit of a stage to the next
    bool isWord;    // 4 bytes, not 16
  };

  mlir::Value add(mlir::Value p, mlir::Value q);
  mlir::Value add(mlir::Value p, int64_t q);
  mlir::Value mul(mlir::Value p, int64_t q);
  mlir::Value div(mlir::Value p, int64_t q);
  mlir::Value rem(mlir::Value p, int64_t q);
  mlir::Value flip(mlir::Value p, mlir::Value q);
  mlir::Value least(mlir::Value p, mlir::Value q);
  /// Adds copies of `count` pieces, whose address `from` says.
  void addCopies(int64_t count,
                 llvm::function_ref<mlir::Value(mlir::Value)> from,
                 std::function<mlir::Value(mlir::Value)> place, int64_t stride,
                 int64_t places, bool isWord = false);
  /// What `f` says of the weight of that number.
  mlir::Value ofWeight(mlir::Value number,
                       llvm::function_ref<mlir::Value(LinearWeight &)> f);
  void addRowCopies();
  void addScaleCopies(bool isMin, int64_t place);
  void addTokenCopies();
  void addTokenScaleCopies();
  void start(mlir::Value step);
  mlir::Value stageOf(mlir::Value step);
  /// By what the 16-byte pieces of a token, or of one's place in a tile, are
  /// swapped, so that 8 or 4 tokens are in different banks.
  mlir::Value tokenSwizzle(mlir::Value token);
  mlir::Value tokenAt(mlir::Value stage, int64_t unit, int64_t tile);

  mlir::ImplicitLocOpBuilder &b;
  FusedLinearOp op;
  const GemmShape &shape;
  std::optional<TeamBuilder> team;
  const LinearRows &rowsOfOp;
  llvm::SmallVector<LinearWeight> arrays;
  llvm::SmallVector<Copy> copies;
  mlir::Value lastToken, lastGroup; // null: all of a tile exist
};

} // namespace cria

#endif // CRIA_COMPILER_GPU_GEMMTILE_H
