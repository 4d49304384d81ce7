// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensors that the import computes from those of the source, in f32, and keeps
// in memory: small ones, or those of models that are rare.
//
// A source's tensor may be asked for by such an expression instead of its name,
// alone or before the steps of a slice (TensorSlice.h):
//
//   NAME | join COUNT      vectors one behind the other: COUNT tensors, whose
//                          numbers from 0 take the place of [] in NAME
//   NAME | flat            the elements of a matrix as a vector
//
// and, of a BatchNorm (Ioffe and Szegedy 2015) in the form of inference, with
// s = weight / sqrt(running_var + EPS) and t = bias - running_mean * s from the
// tensors NORM.weight, NORM.bias (1 and 0 where missing), NORM.running_mean and
// NORM.running_var, what it makes of the linear W x + b that follows or goes
// before it (b: the tensor BIAS, or 0):
//
//   W | batch_norm_before NORM EPS               W diag(s)
//   W | batch_norm_before_bias NORM EPS [BIAS]   b + W t
//   W | batch_norm_behind NORM EPS               diag(s) W
//   W | batch_norm_behind_bias NORM EPS [BIAS]   s b + t
//
// computed in double and rounded once.
#ifndef CRIA_COMPILER_IMPORT_MADETENSOR_H
#define CRIA_COMPILER_IMPORT_MADETENSOR_H

#include "compiler/import/TensorSource.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace cria {

std::string joined(llvm::StringRef name, int64_t count);
std::string flattened(llvm::StringRef name);

/// A linear before or behind which a BatchNorm stands, and the BatchNorm.
struct BatchNormFold {
  enum class Where { Before, Behind };
  Where where = Where::Before;
  std::string norm; // its tensors' names without ".weight" and the like
  double eps = 0;
};
std::string foldedWeight(llvm::StringRef weight, const BatchNormFold &fold);
/// `bias` is empty for a linear without.
std::string foldedBias(llvm::StringRef weight, llvm::StringRef bias,
                       const BatchNormFold &fold);

/// The first part of an expression that is one of the above, or nothing. The
/// rest, if there is any, begins with " | ".
std::optional<llvm::StringRef> madePart(llvm::StringRef expression);

/// The container's tensors that a made one is computed from: of those that are
/// optional only the ones that `has` says are there.
std::vector<std::string>
tensorsOfMade(llvm::StringRef expression,
              llvm::function_ref<bool(llvm::StringRef)> has);

/// Computes it. `get` finds a tensor of the container and `find` returns null
/// where there is none. An Error says what is wrong with the expression or does
/// not fit in the tensors.
llvm::Expected<TensorView> makeTensor(
    llvm::StringRef expression,
    llvm::function_ref<llvm::Expected<const TensorView *>(llvm::StringRef)> get,
    llvm::function_ref<bool(llvm::StringRef)> has);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_MADETENSOR_H
