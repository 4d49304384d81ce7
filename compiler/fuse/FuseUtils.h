// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the fusion passes share.

#ifndef CRIA_COMPILER_FUSE_FUSEUTILS_H
#define CRIA_COMPILER_FUSE_FUSEUTILS_H

#include "dialect/CriaOps.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace cria {

/// An uninitialised tensor of `like`'s rows and the given columns.
mlir::Value emptyRows(mlir::OpBuilder &b, mlir::Location loc, mlir::Value like,
                      mlir::ArrayRef<int64_t> columns, mlir::Type element);

/// The fused_linear that produces `v` for this one use and stores plain rows
/// that nothing has been accumulated into; null otherwise, and then `why`
/// says what is in the way.
FusedLinearOp fusableProducer(mlir::Value v, llvm::StringRef *why = nullptr);

/// Says why `pass` left `op` alone: a remark (`--remarks-filter-missed=
/// cria-fuse`), and a line of `-debug-only=cria-fuse`.
void missedFusion(mlir::Operation *op, llvm::StringRef pass,
                  llvm::StringRef why);

/// The same rotation of neighbours: pair j is at 2j and 2j + 1.
RopeAttr interleaved(RopeAttr rope);

/// The per-head norm of which `x` is the only use, over heads of head_dim, or
/// null: what cria.head_rows can take in.
NormOp headNorm(mlir::Value x, int64_t headDim);

/// The heads of `x`, normalised by `norm` and rotated by a rope_table, either
/// of which may be null, as rows. With a norm, x is its input.
HeadRowsOp headRows(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x,
                    int64_t headDim, mlir::Value table, NormOp norm);

/// A cria.rows into `init` in f32, of a norm and a scale, either of which may
/// be null, in this order. With `add` the result is added to init.
RowsOp plainRows(mlir::OpBuilder &b, mlir::Value init, NormOp norm,
                 ScaleOp scale = {}, AddOp add = {});

/// What cria.position stands for, in rows of its own.
mlir::Value learnedPositions(mlir::OpBuilder &b, PositionOp op);
mlir::Value sinusoidalPositions(mlir::OpBuilder &b, PositionOp op);

/// The slopes of an attention in memory, where a tile finds those of its
/// heads; null without any.
mlir::Value alibiSlopesOf(mlir::OpBuilder &b, AttentionOp attention);

/// The bias of an attention as cria.fused_attention reads it, made right after
/// the bias, or its table where that is a cria.relative_bias.
mlir::Value biasRows(mlir::OpBuilder &b, AttentionOp attention);

/// Changes of a fused_linear that an epilogue fusion makes; see rebuild.
struct EpilogueChange {
  /// A new operand, or null.
  mlir::Value extra;
  ExtraKind extraKind = ExtraKind::elementwise;
  /// A destination in place of the present one, or null.
  mlir::Value init;
  OutKind out = OutKind::rows;
  mlir::Value layer, slots;
  bool accumulate = false;
};

/// Builds the value to store from the present one and the region arguments
/// that the change added (extra's, then the old value of init).
using EpilogueFn = llvm::function_ref<mlir::Value(
    mlir::OpBuilder &, mlir::Value tile, mlir::ValueRange added)>;

/// Replaces `consumer`, whose operand `linear` produces, by `linear` with
/// the change and a longer epilogue, at the place of the consumer.
void fuseEpilogue(mlir::RewriterBase &rewriter, FusedLinearOp linear,
                  mlir::Operation *consumer, const EpilogueChange &change,
                  EpilogueFn epilogue);

} // namespace cria

#endif // CRIA_COMPILER_FUSE_FUSEUTILS_H
