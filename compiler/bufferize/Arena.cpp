// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/bufferize/BufferRoots.h"
#include "compiler/target/Tiles.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/Support/Debug.h"
#include "llvm/Support/MathExtras.h"

#define DEBUG_TYPE "cria-arena"

namespace cria {
#define GEN_PASS_DEF_ARENA
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

constexpr int64_t kAlignment = 64; // one vector, one cache line

/// An allocation, the time it is needed and the place it gets.
struct Slot {
  memref::AllocOp alloc;
  int64_t bytes = 0;
  int64_t first = 0, last = 0; // inclusive, in epochs (shared) or op indices
  int64_t offset = 0;
};

struct Arena : cria::impl::ArenaBase<Arena> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto maxBatch = module->getAttrOfType<IntegerAttr>("cria.max_batch");
    int64_t sharedBytes = 0, threadBytes = 0;
    for (auto func : module.getOps<func::FuncOp>()) {
      if (!func->hasAttr("cria.entry"))
        continue;
      if (!maxBatch) {
        module.emitError("needs the attribute cria.max_batch (tokens a call may have)");
        return signalPassFailure();
      }
      auto version = func->getAttrOfType<StringAttr>("cria.version");
      batch = version && version.getValue() == "decode"
                  ? std::min<int64_t>(kDecodeTokens, maxBatch.getInt())
                  : maxBatch.getInt();
      if (failed(place(func, sharedBytes, threadBytes)))
        return signalPassFailure();
    }
    Builder b(&getContext());
    module->setAttr("cria.arena_bytes", b.getI64IntegerAttr(sharedBytes));
    module->setAttr("cria.thread_arena_bytes", b.getI64IntegerAttr(threadBytes));
  }

private:
  int64_t batch = 0;

  /// Most bytes that an allocation can have: dynamic sizes are token counts,
  /// read off a batch argument.
  FailureOr<int64_t> capacity(memref::AllocOp alloc) {
    MemRefType type = alloc.getType();
    int64_t elements = 1;
    for (int64_t d : type.getShape())
      elements *= ShapedType::isDynamic(d) ? 1 : d;
    for (Value size : alloc.getDynamicSizes()) {
      auto dim = size.getDefiningOp<memref::DimOp>();
      if (!dim || !isa<BlockArgument>(bufferRoot(dim.getSource())) || dim.getConstantIndex() != 0)
        return alloc.emitOpError("has a size that is not the number of tokens of a batch; the "
                                 "arena needs a bound");
      elements *= batch;
    }
    return static_cast<int64_t>(
        llvm::alignTo(elements * llvm::divideCeil(type.getElementTypeBitWidth(), 8), kAlignment));
  }

  /// Every op that touches the buffer or a view of it.
  void users(Value buffer, SmallVectorImpl<Operation *> &ops) {
    for (Operation *user : buffer.getUsers()) {
      ops.push_back(user);
      if (auto view = dyn_cast<ViewLikeOpInterface>(user))
        for (Value result : user->getResults())
          users(result, ops);
      if (auto loop = dyn_cast<scf::ForOp>(user))
        for (OpOperand &init : loop.getInitArgsMutable())
          if (init.get() == buffer) {
            users(loop.getTiedLoopRegionIterArg(&init), ops);
            users(loop.getTiedLoopResult(&init), ops);
          }
    }
  }

  LogicalResult place(func::FuncOp func, int64_t &sharedBytes, int64_t &threadBytes) {
    // Time. Shared buffers live in epochs: the stretches between barriers,
    // in which threads are anywhere. A thread's own buffers live in op order.
    llvm::DenseMap<Operation *, int64_t> epochs, indices;
    int64_t epoch = 0, index = 0;
    func.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<BarrierOp>(op))
        ++epoch;
      epochs[op] = epoch;
      indices[op] = index++;
    });
    auto lastIn = [&](Operation *op, llvm::DenseMap<Operation *, int64_t> &time) {
      int64_t last = time[op];
      op->walk([&](Operation *nested) { last = std::max(last, time[nested]); });
      return last;
    };

    SmallVector<Slot> shared, own;
    LogicalResult result = success();
    func.walk([&](memref::AllocOp alloc) {
      FailureOr<int64_t> bytes = capacity(alloc);
      if (failed(bytes)) {
        result = failure();
        return;
      }
      bool isPrivate = alloc->hasAttr("cria.private");
      auto &time = isPrivate ? indices : epochs;
      SmallVector<Operation *> ops;
      users(alloc, ops);
      Slot slot{alloc, *bytes};
      slot.first = std::numeric_limits<int64_t>::max();
      slot.last = 0;
      for (Operation *op : ops) {
        slot.first = std::min(slot.first, time[op]);
        slot.last = std::max(slot.last, lastIn(op, time));
        // Used inside a loop that it outlives: needed in every iteration.
        for (auto loop = op->getParentOfType<scf::ForOp>(); loop;
             loop = loop->getParentOfType<scf::ForOp>())
          if (!loop->isAncestor(alloc)) {
            slot.first = std::min(slot.first, time[loop]);
            slot.last = std::max(slot.last, lastIn(loop, time));
          }
      }
      // The last epoch of a loop runs into the first of its next iteration.
      if (!isPrivate)
        for (auto loop = alloc->getParentOfType<scf::ForOp>(); loop;
             loop = loop->getParentOfType<scf::ForOp>()) {
          int64_t begin = time[loop], end = lastIn(loop, time);
          if (slot.first <= begin || slot.last >= end) {
            slot.first = std::min(slot.first, begin);
            wrap.insert(alloc);
          }
        }
      (isPrivate ? own : shared).push_back(slot);
    });
    if (failed(result))
      return failure();

    sharedBytes = std::max(sharedBytes, assign(shared));
    threadBytes = std::max(threadBytes, assign(own));
    replace(func, shared, "arena");
    replace(func, own, "thread_arena");
    return success();
  }

  /// First fit in order of size; returns the bytes needed.
  int64_t assign(MutableArrayRef<Slot> slots) {
    SmallVector<Slot *> order;
    for (Slot &slot : slots)
      order.push_back(&slot);
    // Ties keep program order, so that the layout is the same every time.
    llvm::sort(order, [&](Slot *a, Slot *b) {
      return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
    });
    SmallVector<Slot *> placed;
    int64_t total = 0;
    for (Slot *slot : order) {
      SmallVector<Slot *> neighbours;
      for (Slot *other : placed)
        if ((slot->first <= other->last && other->first <= slot->last) ||
            (wrap.contains(slot->alloc) && wrap.contains(other->alloc)))
          neighbours.push_back(other);
      llvm::sort(neighbours, [](Slot *a, Slot *b) { return a->offset < b->offset; });
      int64_t offset = 0;
      for (Slot *other : neighbours) {
        if (offset + slot->bytes <= other->offset)
          break;
        offset = std::max(offset, other->offset + other->bytes);
      }
      slot->offset = offset;
      placed.push_back(slot);
      total = std::max(total, offset + slot->bytes);
      LLVM_DEBUG(llvm::dbgs() << offset << "+" << slot->bytes << " [" << slot->first << ","
                              << slot->last << "] " << slot->alloc << "\n");
    }
    return total;
  }

  void replace(func::FuncOp func, MutableArrayRef<Slot> slots, StringRef name) {
    Builder attrs(&getContext());
    unsigned at = func.getNumArguments();
    auto type = MemRefType::get({ShapedType::kDynamic}, attrs.getI8Type());
    auto arg = DictionaryAttr::get(
        &getContext(), attrs.getNamedAttr("cria.arg", attrs.getStringAttr(name)));
    (void)func.insertArgument(at, type, arg, func.getLoc());
    Value arena = func.getArgument(at);
    for (Slot &slot : slots) {
      OpBuilder b(slot.alloc);
      Value offset = arith::ConstantIndexOp::create(b, slot.alloc.getLoc(), slot.offset);
      auto view = memref::ViewOp::create(b, slot.alloc.getLoc(), slot.alloc.getType(), arena,
                                         offset, slot.alloc.getDynamicSizes());
      slot.alloc->replaceAllUsesWith(view);
      slot.alloc->erase();
    }
  }

  llvm::DenseSet<Operation *> wrap;
};
} // namespace
