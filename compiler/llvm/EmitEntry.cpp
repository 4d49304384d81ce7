// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/llvm/ModelInfo.h"
#include "compiler/target/Tiles.h"
#include "dialect/CriaOps.h"
#include "runtime/include/cria/abi.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

#include <array>
#include <cstddef>

namespace cria {
#define GEN_PASS_DEF_EMITENTRY
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace cria;
using namespace mlir;

namespace {

//===----------------------------------------------------------------------===//
// The structs of abi.h
//===----------------------------------------------------------------------===//

// The code below spells cria_model as an LLVM struct without padding holes
// that differ from C's; a field added to abi.h must fail here first.
static_assert(CRIA_ABI_VERSION == 2);
static_assert(sizeof(cria_forward_args) == 18 * 8);
static_assert(sizeof(cria_model) == 28 * 8);
static_assert(sizeof(cria_profile_op) == 11 * 8);
static_assert(sizeof(cria_profile_counter) == 2 * 8);
static_assert(offsetof(cria_model, vocab) == 4 * 8);
static_assert(offsetof(cria_model, weights_bytes) == 15 * 8);
static_assert(offsetof(cria_model, weights) == 19 * 8);
static_assert(offsetof(cria_model, clones) == 21 * 8);
static_assert(sizeof(cria_clone) == 3 * 8);
static_assert(offsetof(cria_model, n_profile_ops) == 22 * 8);
static_assert(offsetof(cria_model, n_gpu_clones) == 25 * 8);
static_assert(sizeof(cria_gpu_clone) == 12 * 8);
static_assert(offsetof(cria_model, gpu_shared_bytes) == 27 * 8);
static_assert(sizeof(cria_weight_info) == 16);

/// A field of cria_forward_args, by its offset.
#define FIELD(name) static_cast<int64_t>(offsetof(cria_forward_args, name))

/// How a memref argument with a certain `cria.arg` is made: the field with its
/// address, and the fields with its dynamic sizes in order.
struct ArgumentRule {
  llvm::StringLiteral role;
  int64_t pointer;
  std::array<int64_t, 2> sizes; // -1: none
};
constexpr ArgumentRule kArgumentRules[] = {
    {"tokens", FIELD(tokens), {FIELD(n), -1}},
    {"positions", FIELD(positions), {FIELD(n), -1}},
    {"sequences", FIELD(sequences), {FIELD(n), -1}},
    {"slots", FIELD(slots), {FIELD(n), -1}},
    {"outputs", FIELD(outputs), {FIELD(n_outputs), -1}},
    {"tables", FIELD(tables), {FIELD(n_sequences), FIELD(table_stride)}},
    {"keys", FIELD(keys), {FIELD(pages), -1}},
    {"values", FIELD(values), {FIELD(pages), -1}},
    {"logits", FIELD(logits), {FIELD(n_outputs), -1}},
};

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

struct EmitEntry : cria::impl::EmitEntryBase<EmitEntry> {
  using EmitEntryBase::EmitEntryBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    FailureOr<ModelInfo> read = ModelInfo::get(module);
    if (failed(read))
      return signalPassFailure();
    info = std::move(*read);
    if (prefix.empty() || llvm::isDigit(prefix[0]) ||
        !llvm::all_of(prefix,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; })) {
      module.emitError() << "symbol prefix \"" << prefix
                         << "\" cannot begin a C name";
      return signalPassFailure();
    }
    if (failed(readClones()))
      return signalPassFailure();
    symbols.emplace(module);
    if (failed(reserveNames()) || failed(lowerThreads()) ||
        failed(emitForward()))
      return signalPassFailure();
    if (hasProfile())
      emitUnprofiled();
    if (describe)
      emitGet();
    // Their arrays are arguments now.
    for (auto param : llvm::make_early_inc_range(module.getOps<ParamOp>()))
      param.erase();
  }

private:
  struct Clone {
    std::string target;
    uint64_t features;
  };

  ModelInfo info;
  SmallVector<Clone> allClones;
  std::optional<SymbolTable> symbols;
  LLVM::LLVMFuncOp forward, profiled;

  bool hasProfile() const { return !info.profile.empty(); }
  /// (thread, threads, args), and with a profile the thread's counters.
  unsigned contextSize() const { return hasProfile() ? 4 : 3; }

  Type pointer() { return LLVM::LLVMPointerType::get(&getContext()); }

  LogicalResult readClones() {
    for (StringRef text : clones) {
      auto [name, bits] = text.rsplit('=');
      uint64_t number;
      if (name.empty() || bits.getAsInteger(10, number))
        return getOperation().emitError()
               << "clone \"" << text << "\" is not TARGET=FEATURES";
      allClones.push_back({name.str(), number});
    }
    if (allClones.empty())
      allClones.push_back({target.getValue(), features.getValue()});
    if (llvm::none_of(allClones, [&](const Clone &c) {
          return c.target == target.getValue();
        }))
      return getOperation().emitError() << "target \"" << target.getValue()
                                        << "\" is not among the clones";
    return success();
  }

  const Clone &ownClone() const {
    return *llvm::find_if(allClones, [&](const Clone &c) {
      return c.target == target.getValue();
    });
  }

  /// The function that runs a clone. A single one needs no name of its own.
  std::string forwardName(const Clone &clone, bool counting) const {
    std::string name = prefix.getValue() + "forward";
    if (allClones.size() > 1) {
      name += "_";
      for (char c : clone.target)
        name.push_back(llvm::isAlnum(c) ? c : '_');
    }
    return counting ? name + "_profiled" : name;
  }

  /// Internal functions make way for those that have a name to keep.
  LogicalResult reserveNames() {
    SmallVector<std::string> names{prefix + "get"};
    for (const Clone &clone : allClones)
      for (bool counting : {false, true})
        names.push_back(forwardName(clone, counting));
    for (StringRef name : names)
      if (Operation *taken = symbols->lookup(name))
        if (failed(symbols->renameToUnique(taken, {})))
          return taken->emitError("cannot be renamed");
    return success();
  }

  //===--------------------------------------------------------------------===//
  // cria.thread_id, cria.num_threads, cria.barrier, cria.stamp
  //===--------------------------------------------------------------------===//

  /// The functions that use them, directly or through calls.
  FailureOr<llvm::SetVector<func::FuncOp>> threadedFunctions() {
    ModuleOp module = getOperation();
    llvm::SetVector<func::FuncOp> threaded;
    llvm::DenseMap<func::FuncOp, SmallVector<func::FuncOp>> callers;
    WalkResult walked = module.walk([&](Operation *op) {
      auto caller = op->getParentOfType<func::FuncOp>();
      if (isa<ThreadIdOp, NumThreadsOp, BarrierOp, StampOp>(op)) {
        if (!caller) {
          op->emitError("is outside of a func.func");
          return WalkResult::interrupt();
        }
        auto stamp = dyn_cast<StampOp>(op);
        if (stamp && stamp.getOp() > info.profile.size()) {
          stamp.emitError()
              << "stamps op " << stamp.getOp() << " of a " << kProfileAttr
              << " with " << info.profile.size() << " entries";
          return WalkResult::interrupt();
        }
        if (stamp && !hasProfile()) {
          stamp.emitError() << "is in a module without " << kProfileAttr;
          return WalkResult::interrupt();
        }
        threaded.insert(caller);
      } else if (auto call = dyn_cast<func::CallOp>(op)) {
        if (auto callee = symbols->lookup<func::FuncOp>(call.getCallee()))
          callers[callee].push_back(caller);
      }
      return WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return failure();
    for (size_t i = 0; i < threaded.size(); ++i)
      for (func::FuncOp caller : callers.lookup(threaded[i]))
        threaded.insert(caller);
    return threaded;
  }

  /// Every such function takes (thread, threads, args), with a profile
  /// (thread, threads, args, counters), at its end.
  LogicalResult lowerThreads() {
    FailureOr<llvm::SetVector<func::FuncOp>> threaded = threadedFunctions();
    if (failed(threaded))
      return failure();
    Type index = IndexType::get(&getContext());
    SmallVector<Type> types{index, index, pointer(), pointer()};
    types.truncate(contextSize());
    for (func::FuncOp func : *threaded)
      for (Type type : types)
        if (failed(func.insertArgument(func.getNumArguments(), type, {},
                                       func.getLoc())))
          return failure();
    LLVM::LLVMFuncOp barrier, stamp;
    for (func::FuncOp func : *threaded) {
      ValueRange context = func.getArguments().take_back(contextSize());
      func.walk([&](Operation *op) {
        ImplicitLocOpBuilder b(op->getLoc(), op);
        if (isa<ThreadIdOp>(op)) {
          op->replaceAllUsesWith(ValueRange(context[0]));
          op->erase();
        } else if (isa<NumThreadsOp>(op)) {
          op->replaceAllUsesWith(ValueRange(context[1]));
          op->erase();
        } else if (isa<BarrierOp>(op)) {
          if (!barrier)
            barrier = emitBarrier();
          LLVM::CallOp::create(b, barrier, ValueRange(context[2]));
          op->erase();
        } else if (auto mark = dyn_cast<StampOp>(op)) {
          if (!stamp)
            stamp = emitStamp();
          Value index = constant(b, static_cast<int64_t>(mark.getOp()));
          LLVM::CallOp::create(b, stamp, ValueRange{context[3], index});
          op->erase();
        } else if (auto call = dyn_cast<func::CallOp>(op)) {
          auto callee = symbols->lookup<func::FuncOp>(call.getCallee());
          if (callee && threaded->contains(callee))
            call.getOperandsMutable().append(context);
        }
      });
    }
    return success();
  }

  /// if (args->barrier) args->barrier(args->barrier_context);
  LLVM::LLVMFuncOp emitBarrier() {
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    auto none = LLVM::LLVMVoidType::get(&getContext());
    auto func = LLVM::LLVMFuncOp::create(
        b, "barrier", LLVM::LLVMFunctionType::get(none, {pointer()}),
        LLVM::Linkage::Internal);
    symbols->insert(func, getOperation().getBody()->end());
    Block *entry = func.addEntryBlock(b);
    Block *call = b.createBlock(&func.getBody());
    Block *exit = b.createBlock(&func.getBody());
    b.setInsertionPointToStart(entry);
    Value args = entry->getArgument(0);
    if (gpu) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(func);
      auto all = LLVM::LLVMFuncOp::create(
          b, "cria_gpu_barrier",
          LLVM::LLVMFunctionType::get(none, {pointer()}));
      b.setInsertionPointToStart(entry);
      Value count = load(b, args, FIELD(barrier_context), pointer());
      LLVM::CallOp::create(b, all, ValueRange(count));
      LLVM::ReturnOp::create(b, ValueRange());
      call->erase();
      exit->erase();
      return func;
    }
    Value callback = load(b, args, FIELD(barrier), pointer());
    Value null = LLVM::ZeroOp::create(b, pointer());
    Value isSet =
        LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::ne, callback, null);
    LLVM::CondBrOp::create(b, isSet, call, exit);
    b.setInsertionPointToStart(call);
    Value context = load(b, args, FIELD(barrier_context), pointer());
    LLVM::CallOp::create(b, LLVM::LLVMFunctionType::get(none, {pointer()}),
                         ValueRange{callback, context});
    LLVM::BrOp::create(b, exit);
    b.setInsertionPointToStart(exit);
    LLVM::ReturnOp::create(b, ValueRange());
    return func;
  }

  /// if (counters) { counters[op] += {now - last, 1}; last = now; } with the
  /// time of the last stamp in counters[n].ticks. A stamp of op n starts the
  /// clock.
  LLVM::LLVMFuncOp emitStamp() {
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    Type i64 = b.getI64Type();
    auto func = LLVM::LLVMFuncOp::create(
        b, "stamp",
        LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(&getContext()),
                                    {pointer(), i64}),
        LLVM::Linkage::Internal);
    // Out of the way: inlined, dozens of them cost the kernels registers.
    func.setNoInline(true);
    symbols->insert(func, getOperation().getBody()->end());
    Block *entry = func.addEntryBlock(b);
    Block *count = b.createBlock(&func.getBody());
    Block *exit = b.createBlock(&func.getBody());
    b.setInsertionPointToStart(entry);
    Value counters = entry->getArgument(0);
    Value null = LLVM::ZeroOp::create(b, pointer());
    Value isSet =
        LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::ne, counters, null);
    LLVM::CondBrOp::create(b, isSet, count, exit);
    b.setInsertionPointToStart(count);
    // The cycle counter of AArch64 traps in user mode; x86 has no other.
    Value now = LLVM::CallIntrinsicOp::create(
                    b, i64,
                    b.getStringAttr(steadyCounter ? "llvm.readsteadycounter"
                                                  : "llvm.readcyclecounter"),
                    ValueRange())
                    .getResults();
    int64_t size = sizeof(cria_profile_counter);
    Value clock = advance(
        b, counters,
        static_cast<int32_t>(size * static_cast<int64_t>(info.profile.size())));
    Value last = LLVM::LoadOp::create(b, i64, clock, /*alignment=*/8);
    Value offset =
        LLVM::MulOp::create(b, entry->getArgument(1), constant(b, size));
    Value place = advance(b, counters, offset);
    auto addTo = [&](size_t inside, Value amount) {
      Value field = advance(b, place, static_cast<int32_t>(inside));
      Value old = LLVM::LoadOp::create(b, i64, field, /*alignment=*/8);
      LLVM::StoreOp::create(b, LLVM::AddOp::create(b, old, amount), field,
                            /*alignment=*/8);
    };
    addTo(offsetof(cria_profile_counter, ticks),
          LLVM::SubOp::create(b, now, last));
    addTo(offsetof(cria_profile_counter, calls), constant(b, 1));
    LLVM::StoreOp::create(b, now, clock, /*alignment=*/8);
    LLVM::BrOp::create(b, exit);
    b.setInsertionPointToStart(exit);
    LLVM::ReturnOp::create(b, ValueRange());
    return func;
  }

  //===--------------------------------------------------------------------===//
  // <prefix>forward
  //===--------------------------------------------------------------------===//

  Value constant(ImplicitLocOpBuilder &b, int64_t value) {
    return LLVM::ConstantOp::create(b, b.getI64Type(),
                                    b.getI64IntegerAttr(value));
  }

  Value advance(ImplicitLocOpBuilder &b, Value base, LLVM::GEPArg bytes) {
    return LLVM::GEPOp::create(b, pointer(), b.getI8Type(), base, bytes,
                               LLVM::GEPNoWrapFlags::inbounds);
  }

  Value load(ImplicitLocOpBuilder &b, Value base, int64_t offset, Type type) {
    return LLVM::LoadOp::create(b, type,
                                advance(b, base, static_cast<int32_t>(offset)),
                                /*alignment=*/8);
  }

  /// On a GPU, what is known to lie in global memory is read faster.
  Value loadAddress(ImplicitLocOpBuilder &b, Value base, int64_t offset) {
    if (!gpu)
      return load(b, base, offset, pointer());
    Type global = LLVM::LLVMPointerType::get(&getContext(), 1);
    return LLVM::AddrSpaceCastOp::create(b, pointer(),
                                         load(b, base, offset, global));
  }

  /// The memref that argument `index` of an entry function takes.
  FailureOr<Value> makeArgument(ImplicitLocOpBuilder &b,
                                const LLVMTypeConverter &converter,
                                func::FuncOp callee, unsigned index, Value args,
                                Value thread) {
    auto type = cast<MemRefType>(callee.getArgument(index).getType());
    StringRef role =
        callee.getArgAttrOfType<StringAttr>(index, "cria.arg").getValue();
    Value address;
    SmallVector<Value> sizes;
    const ArgumentRule *rule = llvm::find_if(
        kArgumentRules, [&](const ArgumentRule &r) { return r.role == role; });
    if (rule != std::end(kArgumentRules)) {
      address = loadAddress(b, args, rule->pointer);
      for (int64_t size : rule->sizes)
        if (size >= 0)
          sizes.push_back(load(b, args, size, b.getI64Type()));
    } else if (role == "arena") {
      address = loadAddress(b, args, FIELD(arena));
      sizes.push_back(constant(b, info.arenaBytes));
    } else if (role == "thread_arena") {
      Value own =
          LLVM::MulOp::create(b, thread, constant(b, info.threadArenaBytes));
      Value offset = LLVM::AddOp::create(b, own, constant(b, info.arenaBytes));
      address = advance(b, loadAddress(b, args, FIELD(arena)), offset);
      sizes.push_back(constant(b, info.threadArenaBytes));
    } else if (role.consume_front(kWeightArgPrefix)) {
      auto weight = llvm::find_if(
          info.weights, [&](const auto &w) { return w.name == role; });
      // On a GPU they follow the arguments (abi.h).
      Value table =
          gpu ? advance(b, args,
                        static_cast<int32_t>(sizeof(cria_forward_args)))
              : load(b, args, FIELD(weights), pointer());
      address = loadAddress(b, table, 8 * (weight - info.weights.begin()));
    } else {
      return callee.emitError()
             << "argument " << index << " has the unknown cria.arg \"" << role
             << "\"";
    }
    if (type.getNumDynamicDims() != sizes.size())
      return callee.emitError()
             << "argument " << index << " (" << role << ") has "
             << type.getNumDynamicDims() << " dynamic sizes, expected "
             << sizes.size() << ": " << type;

    SmallVector<Value> allSizes, allStrides(type.getRank());
    auto dynamic = sizes.begin();
    for (int64_t size : type.getShape())
      allSizes.push_back(ShapedType::isDynamic(size) ? *dynamic++
                                                     : constant(b, size));
    Value stride = constant(b, 1);
    for (int64_t dim = type.getRank() - 1; dim >= 0; --dim) {
      allStrides[dim] = stride;
      if (dim > 0)
        stride = LLVM::MulOp::create(b, stride, allSizes[dim]);
    }
    SmallVector<Value> fields{address, address, constant(b, 0)};
    llvm::append_range(fields, allSizes);
    llvm::append_range(fields, allStrides);
    Value descriptor =
        MemRefDescriptor::pack(b, b.getLoc(), converter, type, fields);
    return UnrealizedConversionCastOp::create(b, type, descriptor).getResult(0);
  }

  LogicalResult emitCall(ImplicitLocOpBuilder &b,
                         const LLVMTypeConverter &converter,
                         func::FuncOp callee) {
    Block &entry = forward.getBody().front();
    Value args = entry.getArgument(0), thread = entry.getArgument(1),
          threads = entry.getArgument(2);
    SmallVector<Value> operands;
    unsigned count = callee.getNumArguments();
    bool threaded = count > 0 && callee.getArgumentTypes().back() == pointer();
    for (unsigned i = 0; i < count - (threaded ? contextSize() : 0); ++i) {
      FailureOr<Value> operand =
          makeArgument(b, converter, callee, i, args, thread);
      if (failed(operand))
        return failure();
      operands.push_back(*operand);
    }
    if (threaded) {
      for (Value number : {thread, threads})
        operands.push_back(
            arith::IndexCastOp::create(b, b.getIndexType(), number));
      operands.push_back(args);
      if (hasProfile())
        operands.push_back(entry.getArgument(3));
    }
    func::CallOp::create(b, callee, operands);
    // The call is the one way in.
    callee.setPrivate();
    callee->setAttr(
        "llvm.linkage",
        LLVM::LinkageAttr::get(&getContext(), LLVM::Linkage::Internal));
    LLVM::ReturnOp::create(b, ValueRange());
    return success();
  }

  LLVM::LLVMFuncOp declareForward(const Clone &clone, bool counting) {
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    Type i64 = b.getI64Type();
    SmallVector<Type> types{pointer(), i64, i64};
    if (counting)
      types.push_back(pointer());
    auto type = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(&getContext()), types);
    auto func = LLVM::LLVMFuncOp::create(b, forwardName(clone, counting), type);
    func.setVisibility_(LLVM::Visibility::Hidden);
    symbols->insert(func, getOperation().getBody()->end());
    return func;
  }

  /// Without counters, the profiled function is the plain one.
  void emitUnprofiled() {
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    profiled = forward;
    forward = declareForward(ownClone(), /*counting=*/false);
    b.setInsertionPointToStart(forward.addEntryBlock(b));
    SmallVector<Value> operands(forward.getArguments());
    operands.push_back(LLVM::ZeroOp::create(b, pointer()));
    LLVM::CallOp::create(b, profiled, operands);
    LLVM::ReturnOp::create(b, ValueRange());
  }

  LogicalResult emitForward() {
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    Type i64 = b.getI64Type();
    forward = declareForward(ownClone(), hasProfile());
    Block *entry = forward.addEntryBlock(b);
    b.setInsertionPointToStart(entry);
    LLVMTypeConverter converter(&getContext());
    if (info.prefill && !info.decode)
      return emitCall(b, converter, info.prefill);

    // Plain: thread 0 does everything. Else by the number of tokens.
    Block *first = b.createBlock(&forward.getBody());
    Block *second = b.createBlock(&forward.getBody());
    b.setInsertionPointToStart(entry);
    Value condition, n;
    if (info.plain) {
      condition = LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::eq,
                                       entry->getArgument(1), constant(b, 0));
    } else {
      n = load(b, entry->getArgument(0), FIELD(n), i64);
      condition = LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::sle, n,
                                       constant(b, kDecodeTokens));
    }
    LLVM::CondBrOp::create(b, condition, first, second);
    b.setInsertionPointToStart(first);
    if (failed(emitCall(b, converter, info.plain ? info.plain : info.decode)))
      return failure();
    b.setInsertionPointToStart(second);
    if (info.batch) {
      Block *few = b.createBlock(&forward.getBody());
      Block *many = b.createBlock(&forward.getBody());
      b.setInsertionPointToStart(second);
      condition = LLVM::ICmpOp::create(b, LLVM::ICmpPredicate::sle, n,
                                       constant(b, kBatchTokens));
      LLVM::CondBrOp::create(b, condition, few, many);
      b.setInsertionPointToStart(few);
      if (failed(emitCall(b, converter, info.batch)))
        return failure();
      b.setInsertionPointToStart(many);
    }
    if (info.prefill)
      return emitCall(b, converter, info.prefill);
    LLVM::ReturnOp::create(b, ValueRange());
    return success();
  }

  //===--------------------------------------------------------------------===//
  // <prefix>get
  //===--------------------------------------------------------------------===//

  LLVM::GlobalOp emitGlobal(Type type, StringRef name, LLVM::Linkage linkage,
                            Attribute value = {}) {
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    auto global = LLVM::GlobalOp::create(b, type, /*isConstant=*/true, linkage,
                                         name, value);
    symbols->insert(global, getOperation().getBody()->end());
    return global;
  }

  /// The address of a NUL-terminated constant.
  Value string(ImplicitLocOpBuilder &b, StringRef text) {
    std::string bytes = text.str();
    bytes.push_back('\0');
    auto type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
    LLVM::GlobalOp global = emitGlobal(type, "text", LLVM::Linkage::Private,
                                       b.getStringAttr(bytes));
    global.setUnnamedAddr(LLVM::UnnamedAddr::Global);
    return LLVM::AddressOfOp::create(b, global);
  }

  /// A struct or array of these elements.
  Value aggregate(ImplicitLocOpBuilder &b, Type type,
                  ArrayRef<Value> elements) {
    Value all = LLVM::UndefOp::create(b, type);
    for (auto [i, element] : llvm::enumerate(elements))
      all =
          LLVM::InsertValueOp::create(b, all, element, static_cast<int64_t>(i));
    return all;
  }

  LLVM::GlobalOp emitWeightTable() {
    MLIRContext *context = &getContext();
    ImplicitLocOpBuilder b(getOperation().getLoc(), context);
    auto entryType =
        LLVM::LLVMStructType::getLiteral(context, {pointer(), b.getI64Type()});
    auto type = LLVM::LLVMArrayType::get(entryType, info.weights.size());
    LLVM::GlobalOp global =
        emitGlobal(type, "weights", LLVM::Linkage::Internal);
    b.createBlock(&global.getInitializerRegion());
    SmallVector<Value> entries;
    for (const ModelInfo::Weight &weight : info.weights) {
      Value fields[] = {string(b, weight.name), constant(b, weight.bytes)};
      entries.push_back(aggregate(b, entryType, fields));
    }
    LLVM::ReturnOp::create(b, aggregate(b, type, entries));
    return global;
  }

  LLVM::GlobalOp emitCloneTable() {
    MLIRContext *context = &getContext();
    ImplicitLocOpBuilder b(getOperation().getLoc(), context);
    auto entryType = LLVM::LLVMStructType::getLiteral(
        context, {pointer(), b.getI64Type(), pointer()});
    auto type = LLVM::LLVMArrayType::get(entryType, allClones.size());
    LLVM::GlobalOp global = emitGlobal(type, "clones", LLVM::Linkage::Internal);
    b.createBlock(&global.getInitializerRegion());
    SmallVector<Value> entries;
    for (const Clone &clone : allClones) {
      LLVM::LLVMFuncOp code = clone.target == target.getValue()
                                  ? forward
                                  : declareForward(clone, false);
      Value fields[] = {string(b, clone.target),
                        constant(b, static_cast<int64_t>(clone.features)),
                        LLVM::AddressOfOp::create(b, code)};
      entries.push_back(aggregate(b, entryType, fields));
    }
    LLVM::ReturnOp::create(b, aggregate(b, type, entries));
    return global;
  }

  LLVM::GlobalOp emitProfiledTable() {
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    auto type = LLVM::LLVMArrayType::get(pointer(), allClones.size());
    LLVM::GlobalOp global =
        emitGlobal(type, "profiled", LLVM::Linkage::Internal);
    b.createBlock(&global.getInitializerRegion());
    SmallVector<Value> entries;
    for (const Clone &clone : allClones)
      entries.push_back(LLVM::AddressOfOp::create(
          b, clone.target == target.getValue() ? profiled
                                               : declareForward(clone, true)));
    LLVM::ReturnOp::create(b, aggregate(b, type, entries));
    return global;
  }

  LLVM::GlobalOp emitProfileTable() {
    MLIRContext *context = &getContext();
    ImplicitLocOpBuilder b(getOperation().getLoc(), context);
    SmallVector<Type> types(3, pointer());
    types.append(8, b.getI64Type());
    auto entryType = LLVM::LLVMStructType::getLiteral(context, types);
    auto type = LLVM::LLVMArrayType::get(entryType, info.profile.size());
    LLVM::GlobalOp global =
        emitGlobal(type, "profile_ops", LLVM::Linkage::Internal);
    b.createBlock(&global.getInitializerRegion());
    SmallVector<Value> entries;
    for (const ProfileOp &op : info.profile) {
      SmallVector<Value> fields;
      for (StringRef text : {op.name, op.kind, op.version})
        fields.push_back(string(b, text));
      for (int64_t number :
           {op.weightBytes, op.cacheBytes, op.rowBytes, op.rowFlops,
            op.positionFlops, op.window, int64_t(op.outputs), int64_t(op.int8)})
        fields.push_back(constant(b, number));
      entries.push_back(aggregate(b, entryType, fields));
    }
    LLVM::ReturnOp::create(b, aggregate(b, type, entries));
    return global;
  }

  /// The table that `cria.gpu_clones` describes, or null.
  LLVM::GlobalOp emitGpuTable(ArrayAttr gpuClones) {
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    Type i64 = b.getI64Type(), ptr = pointer();
    auto entryType = LLVM::LLVMStructType::getLiteral(
        &getContext(),
        {ptr, ptr, ptr, ptr, i64, i64, i64, i64, i64, i64, i64, i64});
    auto type = LLVM::LLVMArrayType::get(entryType, gpuClones.size());
    LLVM::GlobalOp global =
        emitGlobal(type, "gpu_clones", LLVM::Linkage::Internal);
    b.createBlock(&global.getInitializerRegion());
    SmallVector<Value> entries;
    for (auto clone : gpuClones.getAsRange<DictionaryAttr>()) {
      SmallVector<Value> fields;
      auto text = [&](StringRef name) {
        return clone.getAs<StringAttr>(name).getValue();
      };
      for (StringRef name :
           {"target", "decode_kernel", "prefill_kernel", "code"})
        fields.push_back(string(b, text(name)));
      fields.push_back(
          constant(b, static_cast<int64_t>(text("code").size() + 1)));
      for (StringRef name :
           {"compute", "exact", "decode_tokens", "block_threads",
            "group_threads", "arena", "thread_arena"})
        fields.push_back(constant(b, clone.getAs<IntegerAttr>(name).getInt()));
      entries.push_back(aggregate(b, entryType, fields));
    }
    LLVM::ReturnOp::create(b, aggregate(b, type, entries));
    return global;
  }

  LLVM::GlobalOp emitGpuShared(ArrayAttr gpuClones) {
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    auto type = LLVM::LLVMArrayType::get(b.getI64Type(), gpuClones.size());
    LLVM::GlobalOp global =
        emitGlobal(type, "gpu_shared", LLVM::Linkage::Internal);
    b.createBlock(&global.getInitializerRegion());
    SmallVector<Value> bytes;
    for (auto clone : gpuClones.getAsRange<DictionaryAttr>())
      bytes.push_back(constant(b, clone.getAs<IntegerAttr>("shared").getInt()));
    LLVM::ReturnOp::create(b, aggregate(b, type, bytes));
    return global;
  }

  LLVM::GlobalOp emitModel() {
    MLIRContext *context = &getContext();
    LLVM::GlobalOp weights = emitWeightTable(), ops, functions, gpuTable,
                   gpuShared;
    auto gpuClones = getOperation()->getAttrOfType<ArrayAttr>(kGpuClonesAttr);
    if (gpuClones) {
      gpuTable = emitGpuTable(gpuClones);
      gpuShared = emitGpuShared(gpuClones);
    }
    LLVM::GlobalOp cloneTable = emitCloneTable();
    if (hasProfile()) {
      ops = emitProfileTable();
      functions = emitProfiledTable();
    }
    ImplicitLocOpBuilder b(getOperation().getLoc(), context);
    Type i32 = b.getI32Type(), i64 = b.getI64Type(), ptr = pointer();
    SmallVector<Type> types{i32, i32, ptr, ptr, ptr};
    types.append(15, i64); // vocab .. n_weights
    types.append({ptr, i64, ptr, i64, ptr, ptr, i64, ptr, ptr});
    auto type = LLVM::LLVMStructType::getLiteral(context, types);
    LLVM::GlobalOp global =
        emitGlobal(type, "description", LLVM::Linkage::Internal);
    b.createBlock(&global.getInitializerRegion());
    SmallVector<Value> fields;
    for (int64_t word :
         {int64_t(CRIA_ABI_VERSION), static_cast<int64_t>(sizeof(cria_model))})
      fields.push_back(
          LLVM::ConstantOp::create(b, i32, b.getI32IntegerAttr(word)));
    for (StringRef text : {StringRef(info.name), StringRef(info.architecture),
                           StringRef(info.metadata)})
      fields.push_back(string(b, text));
    const int64_t numbers[] = {info.vocab,
                               info.width,
                               info.layers,
                               info.heads,
                               info.kvHeads,
                               info.headDim,
                               info.ffn,
                               info.context,
                               info.maxBatch,
                               info.kvElementBytes,
                               info.kvBytesPerToken,
                               static_cast<int64_t>(info.weightsBytes),
                               static_cast<int64_t>(info.arenaBytes),
                               static_cast<int64_t>(info.threadArenaBytes),
                               static_cast<int64_t>(info.weights.size())};
    for (int64_t number : numbers)
      fields.push_back(constant(b, number));
    fields.push_back(LLVM::AddressOfOp::create(b, weights));
    fields.push_back(constant(b, static_cast<int64_t>(allClones.size())));
    fields.push_back(LLVM::AddressOfOp::create(b, cloneTable));
    fields.push_back(constant(b, static_cast<int64_t>(info.profile.size())));
    if (hasProfile()) {
      fields.push_back(LLVM::AddressOfOp::create(b, ops));
      fields.push_back(LLVM::AddressOfOp::create(b, functions));
    } else {
      fields.append(2, LLVM::ZeroOp::create(b, ptr));
    }
    fields.push_back(
        constant(b, gpuClones ? static_cast<int64_t>(gpuClones.size()) : 0));
    for (LLVM::GlobalOp table : {gpuTable, gpuShared})
      fields.push_back(table ? Value(LLVM::AddressOfOp::create(b, table))
                             : Value(LLVM::ZeroOp::create(b, ptr)));
    LLVM::ReturnOp::create(b, aggregate(b, type, fields));
    return global;
  }

  void emitGet() {
    LLVM::GlobalOp model = emitModel();
    ImplicitLocOpBuilder b(getOperation().getLoc(), &getContext());
    auto func = LLVM::LLVMFuncOp::create(
        b, prefix + "get", LLVM::LLVMFunctionType::get(pointer(), {}));
    symbols->insert(func, getOperation().getBody()->end());
    b.setInsertionPointToStart(func.addEntryBlock(b));
    Value address = LLVM::AddressOfOp::create(b, model);
    LLVM::ReturnOp::create(b, address);
  }
};

} // namespace
