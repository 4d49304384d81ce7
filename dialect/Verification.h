// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks that the verifiers of model ops and kernel ops share. A dynamic size
// agrees with every size.

#ifndef CRIA_DIALECT_VERIFICATION_H
#define CRIA_DIALECT_VERIFICATION_H

#include "dialect/CriaDialect.h"

#include "mlir/IR/Operation.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"

namespace cria {
namespace detail {

inline bool isDynamic(int64_t size) {
  return mlir::ShapedType::isDynamic(size);
}

inline bool sizesAgree(int64_t a, int64_t b) {
  return isDynamic(a) || isDynamic(b) || a == b;
}

inline bool shapesAgree(llvm::ArrayRef<int64_t> a, llvm::ArrayRef<int64_t> b) {
  if (a.size() != b.size())
    return false;
  for (auto [x, y] : llvm::zip(a, b))
    if (!sizesAgree(x, y))
      return false;
  return true;
}

inline llvm::ArrayRef<int64_t> shapeOf(mlir::Value value) {
  return llvm::cast<mlir::ShapedType>(value.getType()).getShape();
}

/// a * b; dynamic where a factor is, or where the product overflows (no
/// static size can equal it then, but `isProduct` says so).
inline int64_t product(int64_t a, int64_t b) {
  int64_t result;
  if (isDynamic(a) || isDynamic(b) || llvm::MulOverflow(a, b, result))
    return mlir::ShapedType::kDynamic;
  return result;
}

/// Whether size can be a * b, all of them positive or dynamic.
inline bool isProduct(int64_t size, int64_t a, int64_t b) {
  if (isDynamic(size) || isDynamic(a) || isDynamic(b))
    return true;
  int64_t result;
  return !llvm::MulOverflow(a, b, result) && result == size;
}

/// A size as the IR spells it, for messages.
inline std::string spell(int64_t size) {
  return isDynamic(size) ? "?" : std::to_string(size);
}

/// Shape of a whole KV cache of the given role, with dynamic layers and pages.
llvm::SmallVector<int64_t> getCacheShape(CacheRole role, mlir::Type element,
                                         int64_t kvHeads, int64_t headDim);

/// kv_heads and head_dim of a cache of the right rank.
int64_t getCacheKvHeads(CacheRole role, llvm::ArrayRef<int64_t> shape);
int64_t getCacheHeadDim(mlir::Type element, llvm::ArrayRef<int64_t> shape);

/// Fails with `label` unless `cache` has the role's shape.
mlir::LogicalResult verifyCache(mlir::Operation *op, llvm::StringRef label,
                                CacheRole role, mlir::Value cache,
                                int64_t kvHeads, int64_t headDim);

/// attention_c1 to attention_c7, for the model op and the kernel op.
template <typename AttentionLike>
mlir::LogicalResult verifyAttention(AttentionLike op) {
  int64_t heads = op.getHeads(), kvHeads = op.getKvHeads();
  int64_t headDim = op.getHeadDim();
  if (heads <= 0 || kvHeads <= 0 || heads % kvHeads != 0)
    return op.emitOpError()
           << "attention_c1: kv_heads (" << kvHeads << ") must divide heads ("
           << heads << "), both positive";

  llvm::ArrayRef<int64_t> q = shapeOf(op.getQ());
  if (headDim <= 0 || !isProduct(q[1], heads, headDim))
    return op.emitOpError() << "attention_c2: q has " << spell(q[1])
                            << " columns, expected heads * head_dim = " << heads
                            << " * " << headDim;

  if (failed(verifyCache(op, "attention_c3", CacheRole::key, op.getKeys(),
                         kvHeads, headDim)) ||
      failed(verifyCache(op, "attention_c3", CacheRole::value, op.getValues(),
                         kvHeads, headDim)))
    return mlir::failure();
  if (mlir::getElementTypeOrSelf(op.getKeys().getType()) !=
      mlir::getElementTypeOrSelf(op.getValues().getType()))
    return op.emitOpError()
           << "attention_c3: keys and values must have one element type";

  if (op.getWindow() && static_cast<int64_t>(*op.getWindow()) <= 0)
    return op.emitOpError()
           << "attention_c4: window (" << static_cast<int64_t>(*op.getWindow())
           << ") must be positive";
  if (op.getSoftcap() &&
      !(op.getSoftcap()->isFinite() && !op.getSoftcap()->isNegative() &&
        !op.getSoftcap()->isZero()))
    return op.emitOpError()
           << "attention_c5: softcap (" << op.getSoftcap()->convertToDouble()
           << ") must be positive and finite";
  if (op.getSinks() && !sizesAgree(shapeOf(op.getSinks())[0], heads))
    return op.emitOpError()
           << "attention_c6: sinks has " << spell(shapeOf(op.getSinks())[0])
           << " elements, expected one a head (" << heads << ")";
  for (auto [what, list] :
       {std::pair("positions", mlir::Value(op.getPositions())),
        std::pair("sequences", mlir::Value(op.getSequences()))})
    if (!sizesAgree(shapeOf(list)[0], q[0]))
      return op.emitOpError()
             << "attention_c7: " << spell(shapeOf(list)[0]) << " " << what
             << " for " << spell(q[0]) << " rows";
  return mlir::success();
}

} // namespace detail
} // namespace cria

#endif // CRIA_DIALECT_VERIFICATION_H
