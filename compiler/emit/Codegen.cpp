// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/emit/Codegen.h"

#include "compiler/emit/FreezeAddresses.h"
#include "compiler/halide/HalideKernels.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/PassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/IPO/ConstantMerge.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace cria;

namespace {

/// What LLVM calls for constructs of its own, and rounding and FMA on
/// processors without the instruction. All of it keeps no state.
constexpr llvm::StringLiteral kRuntimeSymbols[] = {
    "ceilf",  "floorf", "fma",        "fmaf",       "memcpy", "memmove",
    "memset", "rintf",  "nearbyintf", "roundevenf", "roundf", "truncf"};

constexpr llvm::StringLiteral kPlainSymbols[] = {
    "acosf", "asinf", "atan2f",    "atanf",   "ceil",   "cosf",  "coshf",
    "erfcf", "erff",  "exp2f",     "expf",    "expm1f", "floor", "fma",
    "fmodf", "free",  "log10f",    "log1pf",  "log2f",  "logf",  "malloc",
    "powf",  "round", "roundeven", "sincosf", "sinf",   "sinhf", "sqrtf",
    "tanf",  "tanhf", "trunc",     "cos",     "exp",    "log",   "pow",
    "sin",   "sqrt",  "tanh",      "erf",     "exp2",   "log2"};

/// What our loops need, where O3 takes three times as long and the code is no
/// faster (paired runs of each type of weights and level of x86-64): loads and
/// stores are vectors already, and the tiles are unrolled. The rest is what
/// comes from the lowering: memref descriptors, loops as branches, index
/// arithmetic; and elementwise loops of ops without a kernel, to vectorise.
/// Plain code is loops of scalars, and takes a third of O3's time as well: no
/// faster with O3 on SmolLM2, and on tiny models by less than the compilation.
constexpr llvm::StringLiteral kPasses =
    "function(sroa,early-cse<memssa>,simplifycfg,"
    "instcombine<no-verify-fixpoint>),"
    // What versions know of the number of tokens, from their calls.
    "ipsccp,cgscc(inline,function-attrs),globaldce,"
    "function(loop-mssa(licm,loop-rotate,licm),simplifycfg,"
    "instcombine<max-iterations=1;no-verify-fixpoint>,"
    "loop(loop-idiom,indvars,loop-deletion),gvn,loop-vectorize,"
    "instcombine<max-iterations=1;no-verify-fixpoint>,"
    "dse,loop-mssa(licm),simplifycfg<sink-common-insts;hoist-common-insts>),"
    "globaldce,constmerge";

/// The linker's own.
constexpr llvm::StringLiteral kLinkerSymbols[] = {"_GLOBAL_OFFSET_TABLE_"};

} // namespace

llvm::Expected<Codegen> Codegen::create(mlir::ModuleOp module,
                                        const CodegenOptions &options) {
  Codegen code;
  code.options = options;
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machine =
      options.target.createMachine();
  if (!machine)
    return machine.takeError();
  code.machine = std::move(*machine);
  if (options.runsOnce)
    code.machine->setOptLevel(llvm::CodeGenOptLevel::None);
  code.context = std::make_unique<llvm::LLVMContext>();

  mlir::registerBuiltinDialectTranslation(*module.getContext());
  mlir::registerLLVMDialectTranslation(*module.getContext());
  code.module = mlir::translateModuleToLLVMIR(module, *code.context, "model");
  if (!code.module)
    return llvm::createStringError(
        "the module cannot be translated to LLVM IR");
  code.module->setSourceFileName("model");
  code.module->setTargetTriple(llvm::Triple(options.target.triple));
  code.module->setDataLayout(code.machine->createDataLayout());
  if (llvm::Error error = addHalideKernels(module, *code.module, options.target,
                                           options.toolPath))
    return error;
  code.setAttributes();

  std::string problems;
  llvm::raw_string_ostream stream(problems);
  if (llvm::verifyModule(*code.module, &stream))
    return llvm::createStringError("the LLVM IR is not valid: " + problems);
  return code;
}

void Codegen::setAttributes() {
  const std::string &prefix = options.symbolPrefix;
  llvm::internalizeModule(*module, [&](const llvm::GlobalValue &value) {
    return value.getName() == prefix + "get" ||
           value.getName().starts_with(prefix + "forward");
  });
  if (options.isClone)
    for (llvm::Function &function : *module)
      if (function.hasLocalLinkage())
        function.setName(function.getName() + "." + options.target.name);
  for (llvm::Function &function : *module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", options.target.cpu);
    function.addFnAttr("tune-cpu", options.target.tuneCpu);
    // Even if there are none: without it, LLVM takes those of the machine that
    // writes all clones.
    function.addFnAttr("target-features", options.target.features);
    // Else LLVM keeps to 256 bits on many CPUs that have 512.
    function.addFnAttr("prefer-vector-width",
                       llvm::utostr(options.target.vectorBits));
    // No unwind tables.
    function.setDoesNotThrow();
  }
}

llvm::Error Codegen::optimize() {
  if (options.runsOnce)
    return llvm::Error::success();
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(machine.get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graph, modules);
  llvm::ModulePassManager passes;
  if (llvm::Error error = builder.parsePassPipeline(passes, kPasses))
    return error;
  if (!options.plain)
    passes.addPass(createModuleToFunctionPassAdaptor(FreezeAddresses()));
  passes.run(*module, modules);
  return llvm::Error::success();
}

llvm::Error Codegen::link(const Codegen &other) {
  // Through bitcode, because it lives in a context of its own.
  llvm::SmallVector<char, 0> bitcode;
  llvm::raw_svector_ostream stream(bitcode);
  llvm::WriteBitcodeToFile(*other.module, stream);
  llvm::Expected<std::unique_ptr<llvm::Module>> copy = llvm::parseBitcodeFile(
      llvm::MemoryBufferRef(stream.str(), "model"), *context);
  if (!copy)
    return copy.takeError();
  if (llvm::Linker::linkModules(*module, std::move(*copy)))
    return llvm::createStringError("the clone for " +
                                   other.options.target.name +
                                   " cannot be linked to the others");
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder(machine.get()).registerModuleAnalyses(modules);
  llvm::ConstantMergePass().run(*module, modules);
  return llvm::Error::success();
}

llvm::Error Codegen::emit(llvm::CodeGenFileType kind,
                          llvm::SmallVectorImpl<char> &out) {
  // Code generation changes the module.
  std::unique_ptr<llvm::Module> copy = llvm::CloneModule(*module);
  llvm::raw_svector_ostream stream(out);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, kind))
    return llvm::createStringError("LLVM cannot write this kind of file for " +
                                   options.target.triple);
  passes.run(*copy);
  return llvm::Error::success();
}

llvm::Error Codegen::emitObject(llvm::SmallVectorImpl<char> &object) {
  if (llvm::Error error = emit(llvm::CodeGenFileType::ObjectFile, object))
    return error;
  return checkUndefined(llvm::StringRef(object.data(), object.size()));
}

llvm::Error Codegen::emitAssembly(llvm::SmallVectorImpl<char> &text) {
  return emit(llvm::CodeGenFileType::AssemblyFile, text);
}

std::string Codegen::emitLLVM() const {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream, nullptr);
  return text;
}

llvm::Error Codegen::checkUndefined(llvm::StringRef object) {
  llvm::Expected<std::unique_ptr<llvm::object::ObjectFile>> file =
      llvm::object::ObjectFile::createObjectFile(
          llvm::MemoryBufferRef(object, "model.o"));
  if (!file)
    return file.takeError();
  undefined.clear();
  std::vector<std::string> refused;
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    if (!flags)
      return flags.takeError();
    llvm::Expected<llvm::StringRef> name = symbol.getName();
    if (!name)
      return name.takeError();
    if (!(*flags & llvm::object::SymbolRef::SF_Undefined) || name->empty() ||
        llvm::is_contained(kLinkerSymbols, *name))
      continue;
    undefined.push_back(name->str());
    if (!llvm::is_contained(kRuntimeSymbols, *name) &&
        !(options.plain && llvm::is_contained(kPlainSymbols, *name)))
      refused.push_back(name->str());
  }
  if (refused.empty())
    return llvm::Error::success();
  return llvm::createStringError(
      "the code needs symbols that nothing provides: %s; allowed are %s",
      llvm::join(refused, ", ").c_str(),
      llvm::join(llvm::ArrayRef(kRuntimeSymbols), ", ").c_str());
}
