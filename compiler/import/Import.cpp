// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/Import.h"

#include "compiler/import/DecoderModule.h"
#include "compiler/import/InputFile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/Support/FileSystem.h"

using namespace llvm;

namespace cria {

Expected<ImportedModel> importModel(StringRef path, mlir::MLIRContext &context,
                                    const ImportOptions &options) {
  context.loadDialect<CriaDialect, mlir::arith::ArithDialect,
                      mlir::func::FuncDialect, mlir::scf::SCFDialect,
                      mlir::tensor::TensorDialect>();
  constexpr StringLiteral accepted =
      "accepted: a .gguf file, a Hugging Face folder (config.json and "
      "safetensors), a .mlir file";
  auto setSeed = [&](Expected<ImportedModel> model) {
    if (model && options.seed)
      (*model->module)
          ->setAttr("cria.seed",
                    mlir::IntegerAttr::get(mlir::IntegerType::get(&context, 64),
                                           APInt(64, *options.seed)));
    return model;
  };
  if (sys::fs::is_directory(path))
    return setSeed(importHf(path, context, options));
  bool isModule = path.ends_with(".mlir") || path.ends_with(".mlirbc");
  if (isModule && options.kvHeads)
    return fileError(path, "is a description, whose kv heads are written in "
                           "it; accepted with --kv-heads: a .gguf file, a "
                           "Hugging Face folder");
  if (isModule)
    return setSeed(importMlir(path, context, options));
  Expected<std::unique_ptr<MemoryBuffer>> probe = mapFile(path);
  if (!probe)
    return probe.takeError();
  StringRef start = (*probe)->getBuffer().take_front(4);
  if (start != "GGUF")
    return fileError(path, "begins with " + quoted(start) + "; " + accepted);
  Expected<std::unique_ptr<TensorSource>> source = TensorSource::open(path);
  if (!source)
    return source.takeError();
  return setSeed(importGguf(std::move(*source), context, options));
}

} // namespace cria
