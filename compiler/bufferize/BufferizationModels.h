// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_COMPILER_BUFFERIZE_BUFFERIZATIONMODELS_H
#define CRIA_COMPILER_BUFFERIZE_BUFFERIZATIONMODELS_H

namespace mlir {
class DialectRegistry;
}

namespace cria {
/// Attaches BufferizableOpInterface to the kernel ops. Must run before the
/// dialect is loaded.
void registerBufferizationModels(mlir::DialectRegistry &registry);
} // namespace cria

#endif // CRIA_COMPILER_BUFFERIZE_BUFFERIZATIONMODELS_H
