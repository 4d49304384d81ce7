// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The frequencies that a #cria.rope stands for. The formulas, and their
// rounding to float32 step by step, are those of transformers'
// modeling_rope_utils.py, which is what checkpoints are published against.

#ifndef CRIA_COMPILER_TARGET_ROPEFREQUENCIES_H
#define CRIA_COMPILER_TARGET_ROPEFREQUENCIES_H

#include "dialect/CriaDialect.h"

#include "llvm/ADT/SmallVector.h"

namespace cria {

/// What a token at position p rotates by: pair j by the angle
/// `float(p) * invFreq[j]` (a float32 product), and both its cosine and its
/// sine are multiplied by attentionFactor.
///
/// Two scalings depend on the length of the sequence. transformers takes the
/// longest sequence of the batch; cria takes p + 1, the length that the token
/// itself sees, so that a result depends on neither batch nor prefill chunks.
///
/// longrope: with p + 1 <= original_context the frequencies of longContext =
/// false hold, else those of longContext = true.
///
/// ntk: invFreq holds up to p + 1 = original_context. Past it, with
///     s = factor * (p + 1) / original_context - (factor - 1)      (f64)
/// the frequency of pair j is
///     float(exp2(ntkLog2[j] - ntkExponent[j] * log2(s)))           (f64)
/// which is transformers' new base, base * s^(dims / (dims - 2)), raised to
/// -2j / dims. s = 1 gives invFreq[j] again.
struct RopeFrequencies {
  /// dims / 2 radians a position.
  llvm::SmallVector<float> invFreq;
  float attentionFactor = 1.0f;
  /// Empty unless ntk, else dims / 2 elements.
  llvm::SmallVector<double> ntkLog2, ntkExponent;
};

/// `longContext` matters for longrope only. The attribute is verified.
RopeFrequencies computeRopeFrequencies(RopeAttr rope, bool longContext);

} // namespace cria

#endif // CRIA_COMPILER_TARGET_ROPEFREQUENCIES_H
