// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/bufferize/BufferRoots.h"
#include "compiler/target/Tiles.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"
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
/// No machine has more, and no sum over a function's allocations overflows.
constexpr int64_t kMaxBytes = int64_t(1) << 46;

/// An allocation, the time it is needed and the place it gets.
struct Slot {
  memref::AllocOp alloc;
  int64_t bytes = 0;
  int64_t first = 0, last = 0; // inclusive, in epochs (shared) or op indices
  /// Needed at the end of a loop body or at its begin, where one iteration of
  /// a loop meets the next.
  bool wraps = false;
  int64_t offset = 0;
};

/// When shared buffers are needed. Threads are anywhere between two barriers,
/// so the unit is the epoch: the least number of barriers that every way
/// through the function has passed. A branch or a loop that may not run counts
/// its barriers inside, but after it only those that all ways have in common;
/// what its ops use is then needed until there (`until`).
class Epochs {
public:
  explicit Epochs(func::FuncOp func) { number(func.getBody().front(), 0); }

  struct Range {
    int64_t first, last;
  };
  Range of(Operation *op) const { return ranges.lookup(op); }
  /// Of an op and all that it holds.
  Range within(Operation *op) const {
    Range range = of(op);
    op->walk([&](Operation *nested) {
      Range inner = of(nested);
      range = {std::min(range.first, inner.first),
               std::max(range.last, inner.last)};
    });
    return range;
  }
  int64_t begin(scf::ForOp loop) const { return of(loop).first; }
  int64_t end(scf::ForOp loop) const {
    return of(loop.getBody()->getTerminator()).first;
  }

private:
  /// Numbers the ops of a block that starts in `epoch`; returns its last.
  int64_t number(Block &block, int64_t epoch) {
    for (Operation &op : block) {
      if (isa<BarrierOp>(op))
        ++epoch;
      ranges[&op] = {epoch, epoch};
      if (op.getNumRegions() == 0)
        continue;
      std::optional<int64_t> exit;
      // A region that may be skipped passes no barrier.
      auto loop = dyn_cast<scf::ForOp>(op);
      auto branch = dyn_cast<scf::IfOp>(op);
      if ((loop && !runsOnce(loop)) || (branch && !branch.elseBlock()))
        exit = epoch;
      for (Region &region : op.getRegions())
        for (Block &nested : region) {
          int64_t end = number(nested, epoch);
          exit = std::min(exit.value_or(end), end);
        }
      epoch = exit.value_or(epoch);
      // Whatever passed more barriers in there than count out here is needed
      // by slower threads until here.
      op.walk([&](Operation *nested) {
        Range &range = ranges[nested];
        if (nested != &op)
          range.first = std::min(range.first, epoch);
      });
    }
    return epoch;
  }

  static bool runsOnce(scf::ForOp loop) {
    std::optional<int64_t> lower = getConstantIntValue(loop.getLowerBound()),
                           upper = getConstantIntValue(loop.getUpperBound());
    return lower && upper && *lower < *upper;
  }

  llvm::DenseMap<Operation *, Range> ranges;
};

/// True where two allocations are in different regions of one branch, so that
/// no iteration needs both.
bool areAlternatives(Operation *a, Operation *b) {
  for (Region *region = a->getParentRegion(); region;
       region = region->getParentRegion()) {
    Operation *parent = region->getParentOp();
    if (!isa<scf::IfOp, scf::IndexSwitchOp>(parent) ||
        !parent->isProperAncestor(b))
      continue;
    return !region->isAncestor(b->getParentRegion());
  }
  return false;
}

struct Arena : cria::impl::ArenaBase<Arena> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto maxBatch = module->getAttrOfType<IntegerAttr>("cria.max_batch");
    int64_t sharedBytes = 0, threadBytes = 0;
    for (auto func : module.getOps<func::FuncOp>()) {
      if (!func->hasAttr("cria.entry") || func.isExternal())
        continue;
      if (!maxBatch) {
        module.emitError(
            "needs the attribute cria.max_batch (tokens a call may have)");
        return signalPassFailure();
      }
      if (maxBatch.getInt() < 1) {
        module.emitError("cria.max_batch is ")
            << maxBatch.getInt() << "; accepted: 1 or more";
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
    module->setAttr("cria.thread_arena_bytes",
                    b.getI64IntegerAttr(threadBytes));
  }

private:
  int64_t batch = 0;

  /// Most bytes that an allocation can have: dynamic sizes are token counts,
  /// read off a batch argument.
  FailureOr<int64_t> capacity(memref::AllocOp alloc) {
    MemRefType type = alloc.getType();
    int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    bool overflow = false;
    for (int64_t d : type.getShape())
      overflow |=
          llvm::MulOverflow(bytes, ShapedType::isDynamic(d) ? 1 : d, bytes);
    for (Value size : alloc.getDynamicSizes()) {
      auto dim = size.getDefiningOp<memref::DimOp>();
      if (!dim || !isa<BlockArgument>(bufferRoot(dim.getSource())) ||
          dim.getConstantIndex() != 0)
        return alloc.emitOpError(
            "has a size that is not the number of tokens of a batch; the "
            "arena needs a bound");
      overflow |= llvm::MulOverflow(bytes, batch, bytes);
    }
    // The sum of all must not overflow either.
    if (overflow || bytes > kMaxBytes)
      return alloc.emitOpError() << "needs more than " << kMaxBytes
                                 << " bytes with " << batch << " tokens";
    return static_cast<int64_t>(llvm::alignTo(bytes, kAlignment));
  }

  /// Every op that touches each allocation or a view of it.
  llvm::MapVector<Operation *, SmallVector<Operation *>>
  usersOfAllocations(func::FuncOp func) {
    llvm::MapVector<Operation *, SmallVector<Operation *>> users;
    func.walk([&](memref::AllocOp alloc) { users[alloc]; });
    func.walk([&](Operation *op) {
      for (Value operand : op->getOperands())
        if (isa<BaseMemRefType>(operand.getType()))
          if (auto alloc = bufferRoot(operand).getDefiningOp<memref::AllocOp>())
            users[alloc].push_back(op);
    });
    return users;
  }

  LogicalResult place(func::FuncOp func, int64_t &sharedBytes,
                      int64_t &threadBytes) {
    Epochs epochs(func);
    // A thread's own buffers live in op order.
    llvm::DenseMap<Operation *, int64_t> indices;
    func.walk<WalkOrder::PreOrder>([&](Operation *op) {
      int64_t index = indices.size();
      indices[op] = index;
    });
    auto rangeOf = [&](Operation *op, bool isPrivate) -> Epochs::Range {
      if (!isPrivate)
        return epochs.within(op);
      int64_t first = indices.lookup(op), last = first;
      op->walk([&](Operation *nested) {
        last = std::max(last, indices.lookup(nested));
      });
      return {first, last};
    };

    SmallVector<Slot> shared, own;
    for (auto &[op, users] : usersOfAllocations(func)) {
      auto alloc = cast<memref::AllocOp>(op);
      FailureOr<int64_t> bytes = capacity(alloc);
      if (failed(bytes))
        return failure();
      bool isPrivate = alloc->hasAttr("cria.private");
      Slot slot{alloc, *bytes};
      slot.first = std::numeric_limits<int64_t>::max();
      slot.last = -1;
      auto need = [&](Epochs::Range range) {
        slot.first = std::min(slot.first, range.first);
        slot.last = std::max(slot.last, range.last);
      };
      for (Operation *user : users) {
        need(rangeOf(user, isPrivate));
        // Used inside a loop that it outlives: needed in every iteration.
        for (auto loop = user->getParentOfType<scf::ForOp>(); loop;
             loop = loop->getParentOfType<scf::ForOp>())
          if (!loop->isAncestor(alloc))
            need(rangeOf(loop, isPrivate));
      }
      // The last epoch of a loop runs into the first of its next iteration.
      if (!isPrivate)
        for (auto loop = alloc->getParentOfType<scf::ForOp>(); loop;
             loop = loop->getParentOfType<scf::ForOp>())
          slot.wraps |=
              slot.first <= epochs.begin(loop) || slot.last >= epochs.end(loop);
      (isPrivate ? own : shared).push_back(slot);
    }

    sharedBytes = std::max(sharedBytes, assign(shared));
    threadBytes = std::max(threadBytes, assign(own));
    replace(func, shared, "arena");
    replace(func, own, "thread_arena");
    return success();
  }

  static bool conflict(const Slot &a, const Slot &b) {
    if (a.wraps && b.wraps)
      return true;
    return a.first <= b.last && b.first <= a.last &&
           !areAlternatives(a.alloc, b.alloc);
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
        if (conflict(*slot, *other))
          neighbours.push_back(other);
      llvm::sort(neighbours,
                 [](Slot *a, Slot *b) { return a->offset < b->offset; });
      int64_t offset = 0;
      for (Slot *other : neighbours) {
        if (offset + slot->bytes <= other->offset)
          break;
        offset = std::max(offset, other->offset + other->bytes);
      }
      slot->offset = offset;
      placed.push_back(slot);
      total = std::max(total, offset + slot->bytes);
      LLVM_DEBUG(llvm::dbgs()
                 << offset << "+" << slot->bytes << " [" << slot->first << ","
                 << slot->last << "] " << slot->alloc << "\n");
    }
    return total;
  }

  void replace(func::FuncOp func, MutableArrayRef<Slot> slots, StringRef name) {
    Builder attrs(&getContext());
    unsigned at = func.getNumArguments();
    auto type = MemRefType::get({ShapedType::kDynamic}, attrs.getI8Type());
    auto arg = DictionaryAttr::get(
        &getContext(),
        attrs.getNamedAttr("cria.arg", attrs.getStringAttr(name)));
    (void)func.insertArgument(at, type, arg, func.getLoc());
    Value arena = func.getArgument(at);
    for (Slot &slot : slots) {
      OpBuilder b(slot.alloc);
      Value offset =
          arith::ConstantIndexOp::create(b, slot.alloc.getLoc(), slot.offset);
      auto view =
          memref::ViewOp::create(b, slot.alloc.getLoc(), slot.alloc.getType(),
                                 arena, offset, slot.alloc.getDynamicSizes());
      slot.alloc->replaceAllUsesWith(view);
      slot.alloc->erase();
    }
  }
};
} // namespace
