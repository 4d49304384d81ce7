// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a module in the LLVM dialect to machine code. The same module, target
// and options give the same bytes.
//
//   auto code = cria::Codegen::create(module, options);
//   if (!code) return code.takeError();
//   if (llvm::Error e = code->optimize()) return e;
//   code->link(clone); // another one, created and optimised alike
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
  /// Other clones will be linked: the names of functions that are not exported
  /// end with the target's, for profilers.
  bool isClone = false;
  /// Of the running tool: programs that make parts of the code are beside it.
  std::string toolPath = {};
  /// Code that runs once or twice, where compiling takes longer than running.
  bool runsOnce = false;
};

class Codegen {
public:
  /// Translates. Objects share nothing: each may be used on its own thread.
  static llvm::Expected<Codegen> create(mlir::ModuleOp module,
                                        const CodegenOptions &options);

  /// LLVM's passes; none for what runs once.
  llvm::Error optimize();

  /// Adds the code of another clone. Functions keep the target that they were
  /// made for; constants that both have become one.
  llvm::Error link(const Codegen &other);

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
  std::unique_ptr<llvm::LLVMContext> context; // before what lives in it
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> module;
  std::vector<std::string> undefined;
};

} // namespace cria

#endif // CRIA_COMPILER_EMIT_CODEGEN_H
