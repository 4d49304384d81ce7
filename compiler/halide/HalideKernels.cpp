// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/halide/HalideKernels.h"

#include "compiler/halide/ContractFma.h"
#include "compiler/halide/HalideCall.h"
#include "runtime/include/cria/abi.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/TargetParser/Triple.h"

#include <optional>

using namespace cria;

namespace {

constexpr llvm::StringLiteral kGenerator = "cria-halide-generator";
/// What a parallel loop calls.
constexpr llvm::StringLiteral kParallelFor = "halide_do_par_for";
/// What a kernel may call beside it: LLVM's own names for copies.
constexpr llvm::StringLiteral kAllowed[] = {"memcpy", "memmove", "memset"};

llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(message);
}

/// As Halide writes it. What it takes for a CPU may have more than the target:
/// the function gets the target's own features later, which decide.
std::string halideTarget(const Target &target) {
  std::string text;
  if (llvm::Triple(target.triple).isAArch64()) {
    text = "arm-64-linux";
    if (target.cpuFeatures & CRIA_CPU_DOTPROD)
      text += "-arm_dot_prod";
  } else {
    text = "x86-64-linux-sse41-avx-avx2-f16c-fma";
    if (target.cpuFeatures & CRIA_CPU_AVX512)
      text += "-avx512-avx512_skylake";
    if (target.cpuFeatures & CRIA_CPU_AVX512VNNI)
      text += "-avx512_cannonlake-avx512_zen4";
    else if (target.cpuFeatures & CRIA_CPU_AVXVNNI)
      text += "-avxvnni";
  }
  // No FMA by LLVM's choice, no calls of a runtime.
  return text + "-strict_float-no_runtime-no_asserts-no_bounds_query";
}

/// What the generator printed, shortened.
std::string printed(llvm::StringRef log) {
  auto buffer = llvm::MemoryBuffer::getFile(log);
  return buffer ? (*buffer)->getBuffer().trim().take_front(2000).str() : "";
}

/// Writes the kernel's bitcode to `folder`, and returns the file.
llvm::Expected<std::string> runGenerator(llvm::StringRef program,
                                         mlir::DictionaryAttr made,
                                         llvm::StringRef symbol,
                                         const Target &target,
                                         llvm::StringRef folder) {
  auto generator = made.getAs<mlir::StringAttr>("generator");
  auto params = made.getAs<mlir::DictionaryAttr>("params");
  if (!generator || !params)
    return failure(symbol + ": " + kHalideAttr +
                   " needs a generator and params");
  std::vector<std::string> words = {
      program.str(), "-g", generator.str(), "-f",
      symbol.str(),  "-o", folder.str(),    "-e",
      "bitcode",     "-n", symbol.str(),    "target=" + halideTarget(target)};
  for (mlir::NamedAttribute param : params) {
    std::string value;
    llvm::raw_string_ostream stream(value);
    if (auto text = llvm::dyn_cast<mlir::StringAttr>(param.getValue()))
      stream << text.getValue();
    else if (auto flag = llvm::dyn_cast<mlir::BoolAttr>(param.getValue()))
      stream << (flag.getValue() ? "true" : "false");
    else if (auto number = llvm::dyn_cast<mlir::IntegerAttr>(param.getValue()))
      stream << number.getInt();
    else
      return failure(symbol + ": " + param.getName().getValue() +
                     " is neither an integer, a boolean nor a string");
    words.push_back((param.getName().getValue() + "=" + value).str());
  }
  llvm::SmallVector<llvm::StringRef> argv(words.begin(), words.end());
  std::string log = (folder + "/" + symbol + ".txt").str(), problem;
  std::optional<llvm::StringRef> redirects[] = {
      llvm::StringRef(""), llvm::StringRef(log), llvm::StringRef(log)};
  int status = llvm::sys::ExecuteAndWait(program, argv, std::nullopt, redirects,
                                         0, 0, &problem);
  std::string file = (folder + "/" + symbol + ".bc").str();
  if (status == 0 && llvm::sys::fs::exists(file))
    return file;
  return failure(symbol + ": " + program + " failed with status " +
                 llvm::Twine(status) + ": " + problem + printed(log));
}

/// A parallel loop in a kernel: the calling thread's tile is its share of the
/// op already, so it takes the whole range.
///   for (i = min; i < min + size; ++i) task(context, i, closure);
void defineParallelFor(llvm::Function &hook) {
  llvm::LLVMContext &context = hook.getContext();
  auto *entry = llvm::BasicBlock::Create(context, "", &hook);
  auto *loop = llvm::BasicBlock::Create(context, "", &hook);
  auto *exit = llvm::BasicBlock::Create(context, "", &hook);
  llvm::Argument *userContext = hook.getArg(0), *task = hook.getArg(1),
                 *min = hook.getArg(2), *size = hook.getArg(3),
                 *closure = hook.getArg(4);
  llvm::IRBuilder<> b(entry);
  llvm::Value *zero = b.getInt32(0);
  b.CreateCondBr(b.CreateICmpSGT(size, zero), loop, exit);
  b.SetInsertPoint(loop);
  llvm::PHINode *i = b.CreatePHI(b.getInt32Ty(), 2);
  i->addIncoming(zero, entry);
  auto *type = llvm::FunctionType::get(
      b.getInt32Ty(),
      {userContext->getType(), b.getInt32Ty(), closure->getType()}, false);
  b.CreateCall(type, task, {userContext, b.CreateAdd(min, i), closure});
  llvm::Value *next = b.CreateAdd(i, b.getInt32(1));
  i->addIncoming(next, loop);
  b.CreateCondBr(b.CreateICmpSLT(next, size), loop, exit);
  b.SetInsertPoint(exit);
  b.CreateRet(zero);
  hook.setLinkage(llvm::GlobalValue::InternalLinkage);
}

/// What a kernel calls to ask for a line, and takes for 0; and what hides that
/// a value is a product (KernelMath.h).
constexpr llvm::StringLiteral kPrefetchLine = "cria_prefetch_line";
constexpr llvm::StringLiteral kRounded = "cria_rounded";

/// Gives the hook a body, to be filled in, without what the generator assumed.
llvm::BasicBlock *beginHook(llvm::Function &hook) {
  for (llvm::User *user : hook.users())
    if (auto *call = llvm::dyn_cast<llvm::CallInst>(user))
      call->setAttributes({});
  hook.setAttributes({});
  hook.addFnAttr(llvm::Attribute::AlwaysInline);
  hook.setLinkage(llvm::GlobalValue::InternalLinkage);
  return llvm::BasicBlock::Create(hook.getContext(), "", &hook);
}

void definePrefetchLine(llvm::Function &hook) {
  llvm::IRBuilder<> b(beginHook(hook));
  llvm::Value *address = b.CreateIntToPtr(hook.getArg(0), b.getPtrTy());
  llvm::Value *read = b.getInt32(0), *allCaches = b.getInt32(3),
              *isData = b.getInt32(1);
  b.CreateIntrinsic(llvm::Intrinsic::prefetch, {b.getPtrTy()},
                    {address, read, allCaches, isData});
  b.CreateRet(b.getInt32(0));
}

void defineRounded(llvm::Function &hook) {
  llvm::IRBuilder<>(beginHook(hook)).CreateRet(hook.getArg(0));
}

/// Prefetches to all caches, as cria's kernels do: Halide's are non-temporal,
/// which was measured to make decode three times as slow as without.
void prefetchToAllCaches(llvm::Function &function) {
  for (llvm::Instruction &each : llvm::instructions(function))
    if (auto *call = llvm::dyn_cast<llvm::IntrinsicInst>(&each))
      if (call->getIntrinsicID() == llvm::Intrinsic::prefetch)
        call->setArgOperand(
            2, llvm::ConstantInt::get(call->getArgOperand(2)->getType(), 3));
}

/// Leaves of a generator's module the kernel and what it uses.
llvm::Error prepare(llvm::Module &made, llvm::StringRef symbol, bool contract) {
  llvm::Function *kernel = made.getFunction(symbol);
  if (!kernel || kernel->isDeclaration())
    return failure("the generator's bitcode does not define " + symbol);
  for (llvm::StringRef other : {"_argv", "_metadata"})
    if (llvm::Function *function = made.getFunction((symbol + other).str()))
      function->eraseFromParent();
  if (llvm::Function *hook = made.getFunction(kPrefetchLine))
    definePrefetchLine(*hook);
  if (llvm::Function *hook = made.getFunction(kRounded))
    defineRounded(*hook);
  std::vector<std::string> refused;
  for (llvm::Function &function : made) {
    if (function.isDeclaration()) {
      if (!function.isIntrinsic() && !function.use_empty() &&
          function.getName() != kParallelFor &&
          !llvm::is_contained(kAllowed, function.getName()))
        refused.push_back(function.getName().str());
      continue;
    }
    for (llvm::StringRef own : {"target-cpu", "tune-cpu", "target-features"})
      function.removeFnAttr(own);
    if (&function != kernel)
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
    if (contract && !contractFma(function))
      return failure(symbol + ": its schedule parts a product from its sum, so "
                              "that the two cannot be fused");
    prefetchToAllCaches(function);
  }
  if (!refused.empty())
    return failure(
        symbol + " calls what nothing provides: " + llvm::join(refused, ", "));
  // They describe the generator's own compilation.
  for (llvm::NamedMDNode &each :
       llvm::make_early_inc_range(made.named_metadata()))
    each.eraseFromParent();
  return llvm::Error::success();
}

} // namespace

llvm::Expected<std::string>
cria::findHalideGenerator(llvm::StringRef toolPath) {
  llvm::SmallString<256> path(llvm::sys::path::parent_path(toolPath));
  llvm::sys::path::append(path, kGenerator);
  if (llvm::sys::fs::can_execute(path))
    return path.str().str();
  return failure(path + " is not there: this cria was built without Halide; "
                        "`pip install halide`, configure with "
                        "-DCRIA_HALIDE=FOLDER of its include and lib64, and "
                        "build again");
}

std::string cria::halideRefusal(const Target &target) {
  if (target.hasFma && target.hasF16Conversion)
    return "";
  return target.name + " has no FMA, and Halide's kernels are made of them";
}

llvm::Error cria::addHalideKernels(mlir::ModuleOp module, llvm::Module &code,
                                   const Target &target,
                                   llvm::StringRef toolPath) {
  llvm::SmallVector<std::pair<llvm::StringRef, mlir::DictionaryAttr>> kernels;
  for (auto function : module.getOps<mlir::LLVM::LLVMFuncOp>())
    if (auto made = function->getAttrOfType<mlir::DictionaryAttr>(kHalideAttr))
      kernels.emplace_back(function.getName(), made);
  if (kernels.empty())
    return llvm::Error::success();
  llvm::Expected<std::string> program = findHalideGenerator(toolPath);
  if (!program)
    return failure(kernels.front().first + " is a kernel of Halide: " +
                   llvm::toString(program.takeError()));
  llvm::SmallString<128> folder;
  if (std::error_code cause =
          llvm::sys::fs::createUniqueDirectory("cria-halide", folder))
    return failure("cannot make a temporary folder: " + cause.message());
  llvm::scope_exit removeFolder(
      [&] { llvm::sys::fs::remove_directories(folder); });
  for (auto [symbol, made] : kernels) {
    llvm::Expected<std::string> file =
        runGenerator(*program, made, symbol, target, folder);
    if (!file)
      return file.takeError();
    auto buffer = llvm::MemoryBuffer::getFile(*file);
    if (!buffer)
      return failure(*file + ": " + buffer.getError().message());
    llvm::Expected<std::unique_ptr<llvm::Module>> read =
        llvm::parseBitcodeFile(**buffer, code.getContext());
    if (!read)
      return failure(symbol + ": the generator's bitcode cannot be read: " +
                     llvm::toString(read.takeError()));
    auto contract = made.getAs<mlir::BoolAttr>("contract");
    if (llvm::Error error =
            prepare(**read, symbol, !contract || contract.getValue()))
      return error;
    (*read)->setTargetTriple(code.getTargetTriple());
    (*read)->setDataLayout(code.getDataLayout());
    if (llvm::Linker::linkModules(code, std::move(*read)))
      return failure(symbol + " cannot be linked to the model");
    // One copy, with a name for profilers.
    llvm::Function *kernel = code.getFunction(symbol);
    kernel->addFnAttr(llvm::Attribute::NoInline);
  }
  if (llvm::Function *hook = code.getFunction(kParallelFor))
    if (hook->isDeclaration() && !hook->use_empty())
      defineParallelFor(*hook);
  return llvm::Error::success();
}
