// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The plain lowering as patterns: model ops to linalg, tensor, scf, arith and
// math in f32. It is the semantics of the dialect: every optimised path is
// compared with it, so it prefers the formula of the op's description to speed.

#ifndef CRIA_COMPILER_PLAIN_PLAINPATTERNS_H
#define CRIA_COMPILER_PLAIN_PLAINPATTERNS_H

#include "dialect/CriaOps.h"

#include "mlir/IR/PatternMatch.h"

namespace cria {

/// Adds the patterns of all model ops. They match ops on tensors only.
/// `linear` and `embed` match when their weight is an
/// unrealized_conversion_cast of its storage (see `dequantize`); the other ops
/// stand alone, so an optimised line may use the patterns for what it left
/// over. Each pattern either matches before it changes anything or says why
/// not. The dialects affine, arith, linalg, math, scf and tensor must be
/// loaded.
void populatePlainPatterns(mlir::RewritePatternSet &patterns);

/// The parts of populatePlainPatterns, by the file that holds them.
void populatePlainElementwisePatterns(mlir::RewritePatternSet &patterns);
void populatePlainRowPatterns(mlir::RewritePatternSet &patterns);
void populatePlainAttentionPatterns(mlir::RewritePatternSet &patterns);
void populatePlainWeightPatterns(mlir::RewritePatternSet &patterns);

/// Element [n, k] of a weight of one layer, as f32. `storage` holds the
/// tensors of WeightType::getStorage in its order; `n` and `k` are indices.
mlir::Value decodeWeight(mlir::OpBuilder &builder, mlir::Location loc,
                         WeightType type, mlir::ValueRange storage,
                         mlir::Value n, mlir::Value k);

/// The whole weight as an f32 tensor, transposed to K x N.
mlir::Value dequantize(mlir::OpBuilder &builder, mlir::Location loc,
                       WeightType type, mlir::ValueRange storage);

} // namespace cria

#endif // CRIA_COMPILER_PLAIN_PLAINPATTERNS_H
