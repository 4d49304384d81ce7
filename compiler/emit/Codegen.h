// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a module in the LLVM dialect to machine code. The same module, target
// and options give the same bytes.
//
//   llvm::LLVMContext context;
//   auto code = cria::Codegen::create(module, context, options);
//   if (!code) return code.takeError();
//   code->optimize();
//   llvm::SmallVector<char, 0> object;
//   if (llvm::Error e = code->emitObject(object)) return e;

#ifndef CRIA_COMPILER_EMIT_CODEGEN_H
#define CRIA_COMPILER_EMIT_CODEGEN_H

#include "compiler/target/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <string>
#include <vector>

namespace cria {

struct CodegenOptions {
  Target target;
  std::string symbolPrefix = "model_";
  /// The plain line may call malloc, free and all of libm.
  bool plain = false;
};

class Codegen {
public:
  /// Translates. The context must outlive the result.
  static llvm::Expected<Codegen> create(mlir::ModuleOp module,
                                        llvm::LLVMContext &context,
                                        const CodegenOptions &options);

  /// LLVM's O3 pipeline.
  void optimize();

  /// Also checks the undefined symbols; an error names those not allowed.
  llvm::Error emitObject(llvm::SmallVectorImpl<char> &object);
  llvm::Error emitAssembly(llvm::SmallVectorImpl<char> &text);
  std::string emitLLVM() const;

  /// Of the last object.
  llvm::ArrayRef<std::string> undefinedSymbols() const { return undefined; }

private:
  Codegen() = default;
  void setAttributes();
  llvm::Error emit(llvm::CodeGenFileType kind,
                   llvm::SmallVectorImpl<char> &out);
  llvm::Error checkUndefined(llvm::StringRef object);

  CodegenOptions options;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> module;
  std::vector<std::string> undefined;
};

} // namespace cria

#endif // CRIA_COMPILER_EMIT_CODEGEN_H
