// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/Program.h"

#include "compiler/emit/Codegen.h"
#include "compiler/llvm/LlvmPipeline.h"
#include "compiler/verify/ReferenceKernels.h"
#include "compiler/verify/ReferenceLowering.h"
#include "runtime/include/cria/abi.h"
#include "runtime/threads/Barrier.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"

#include <cstdlib>
#include <cstring>
#include <thread>

using namespace cria;

//===----------------------------------------------------------------------===//
// Memory of the code under test
//===----------------------------------------------------------------------===//

/// The reference code allocates and does not always free: what is left goes
/// with the call.
static thread_local llvm::DenseSet<void *> *livePool = nullptr;

static void *allocate(size_t bytes) {
  size_t whole = (bytes + 63) / 64 * 64 + 64;
  void *memory = std::aligned_alloc(64, whole);
  if (!memory)
    llvm::report_bad_alloc_error("cria verify: out of memory");
  // The same values in each run, whatever reads memory that nothing wrote.
  std::memset(memory, 0, whole);
  livePool->insert(memory);
  return memory;
}

static void release(void *memory) {
  if (livePool->erase(memory))
    std::free(memory);
}

namespace {
struct Pool {
  Pool() { livePool = &live; }
  ~Pool() {
    for (void *memory : live)
      std::free(memory);
    livePool = nullptr;
  }
  llvm::DenseSet<void *> live;
};

struct Free {
  void operator()(void *memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<char, Free>;
} // namespace

static Memory zeroed(uint64_t bytes) {
  bytes = (bytes + 64) / 64 * 64;
  auto *memory = static_cast<char *>(std::aligned_alloc(64, bytes));
  if (!memory)
    llvm::report_bad_alloc_error("cria verify: out of memory");
  std::memset(memory, 0, bytes);
  return Memory(memory);
}

//===----------------------------------------------------------------------===//
// Program
//===----------------------------------------------------------------------===//

std::vector<int32_t> Trial::tables() const {
  std::vector<int32_t> tables(pages());
  for (int64_t s = 0; s < sequences; ++s)
    for (int64_t p = 0; p < pagesPerSequence; ++p)
      tables[s * pagesPerSequence + p] =
          static_cast<int32_t>(pages() - 1 - (p * sequences + s));
  return tables;
}

Program::Program() = default;
Program::~Program() = default;

llvm::Expected<std::unique_ptr<Program>>
Program::reference(mlir::OwningOpRef<mlir::ModuleOp> module,
                   const Target &target) {
  std::unique_ptr<Program> program(new Program());
  mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> kept =
      lowerToReference(*module);
  if (mlir::failed(kept))
    return llvm::createStringError(
        "the module cannot be lowered to run by the reference");
  program->kernels = std::move(*kept);
  program->hasPairs = !target.dot2Isa.empty();
  Target simple = target;
  simple.isa = simple.dot2I16Isa = "generic";
  if (llvm::Error error = program->load(*module, simple, /*plain=*/true))
    return error;
  return program;
}

llvm::Expected<std::unique_ptr<Program>>
Program::native(mlir::OwningOpRef<mlir::ModuleOp> module,
                const Target &target) {
  std::unique_ptr<Program> program(new Program());
  if (llvm::Error error = program->load(*module, target, /*plain=*/false))
    return error;
  return program;
}

llvm::Error Program::load(mlir::ModuleOp module, const Target &target,
                          bool plain) {
  mlir::PassManager passes(module.getContext());
  buildLlvmPipeline(passes, {{target}, 0, "model_"});
  passes.enableVerifier(false);
  if (mlir::failed(passes.run(module)) || mlir::failed(mlir::verify(module)))
    return llvm::createStringError("the llvm stage failed");
  CodegenOptions options;
  options.target = target;
  options.plain = plain;
  options.runsOnce = kernels.get() != nullptr; // the reference does the work
  llvm::Expected<Codegen> code = Codegen::create(module, options);
  if (!code)
    return code.takeError();
  if (llvm::Error error = code->optimize())
    return error;
  llvm::SmallVector<char, 0> object;
  if (llvm::Error error = code->emitObject(object))
    return error;

  llvm::Expected<std::unique_ptr<llvm::orc::LLJIT>> made =
      llvm::orc::LLJITBuilder().create();
  if (!made)
    return made.takeError();
  jit = std::move(*made);
  llvm::orc::JITDylib &library = jit->getMainJITDylib();
  auto symbol = [](auto *function) {
    return llvm::orc::ExecutorSymbolDef(
        llvm::orc::ExecutorAddr::fromPtr(function),
        llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable);
  };
  if (llvm::Error error = library.define(llvm::orc::absoluteSymbols(
          {{jit->mangleAndIntern("malloc"), symbol(&allocate)},
           {jit->mangleAndIntern("free"), symbol(&release)}})))
    return error;
  auto process = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      jit->getDataLayout().getGlobalPrefix());
  if (!process)
    return process.takeError();
  library.addGenerator(std::move(*process));
  if (llvm::Error error =
          jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(
              llvm::StringRef(object.data(), object.size()), "model.o")))
    return error;
  auto get = jit->lookup("model_get");
  if (!get)
    return get.takeError();
  model = get->toPtr<cria_model_fn>()();
  return llvm::Error::success();
}

llvm::Expected<Logits> Program::run(const Trial &trial,
                                    const SafetensorsFile &weights,
                                    int64_t threads) const {
  std::vector<const void *> arrays;
  std::vector<Memory> copies;
  for (int64_t i = 0; i < model->n_weights; ++i) {
    const cria_weight_info &info = model->weights[i];
    const SafetensorsTensor *tensor = weights.find(info.name);
    if (!tensor || tensor->bytes.size() != info.bytes)
      return llvm::createStringError(
          "the code wants %llu bytes of %s, and the weights have %llu",
          static_cast<unsigned long long>(info.bytes), info.name,
          static_cast<unsigned long long>(tensor ? tensor->bytes.size() : 0));
    const void *data = tensor->bytes.data();
    if (reinterpret_cast<uintptr_t>(data) % 64) {
      copies.push_back(zeroed(info.bytes));
      std::memcpy(copies.back().get(), data, info.bytes);
      data = copies.back().get();
    }
    arrays.push_back(data);
  }
  uint64_t cacheBytes =
      model->kv_bytes_per_token / 2 * CRIA_PAGE_TOKENS * trial.pages();
  Memory keys = zeroed(cacheBytes), values = zeroed(cacheBytes);
  Memory arena =
      zeroed(model->arena_bytes + threads * model->thread_arena_bytes);
  std::vector<int32_t> tables = trial.tables();

  resetReferenceKernels(hasPairs);
  Logits all;
  all.columns = model->vocab;
  for (const Batch &batch : trial.batches) {
    uint64_t count = batch.outputs.size() * model->vocab;
    Memory logits = zeroed(count * sizeof(float));
    cria_forward_args args = {};
    args.tokens = batch.tokens.data();
    args.positions = batch.positions.data();
    args.sequences = batch.sequences.data();
    args.slots = batch.slots.data();
    args.outputs = batch.outputs.data();
    args.tables = tables.data();
    args.n = static_cast<int64_t>(batch.tokens.size());
    args.n_outputs = static_cast<int64_t>(batch.outputs.size());
    args.n_sequences = trial.sequences;
    args.table_stride = trial.pagesPerSequence;
    args.keys = keys.get();
    args.values = values.get();
    args.pages = trial.pages();
    args.weights = arrays.data();
    args.arena = arena.get();
    args.logits = reinterpret_cast<float *>(logits.get());
    Pool pool;
    runtime::Barrier barrier;
    barrier.init(static_cast<uint32_t>(threads), /*SpinCount=*/20);
    args.barrier = [](void *context) {
      static_cast<runtime::Barrier *>(context)->wait();
    };
    args.barrier_context = &barrier;
    std::vector<std::thread> others;
    for (int64_t i = 1; i < threads; ++i)
      others.emplace_back(
          [&, i] { model->clones[0].forward(&args, i, threads); });
    model->clones[0].forward(&args, 0, threads);
    for (std::thread &other : others)
      other.join();
    all.values.insert(all.values.end(), args.logits, args.logits + count);
  }
  return all;
}
