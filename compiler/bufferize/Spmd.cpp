// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/bufferize/BufferRoots.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/Support/Debug.h"

#define DEBUG_TYPE "cria-spmd"

namespace cria {
#define GEN_PASS_DEF_SPMD
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

/// Buffer accesses since the last barrier.
using Pending = SmallVector<BufferAccess>;

void merge(Pending &into, ArrayRef<BufferAccess> from) {
  for (const BufferAccess &access : from)
    if (!llvm::is_contained(into, access))
      into.push_back(access);
}

struct Spmd : cria::impl::SpmdBase<Spmd> {
  /// Buffers that parallel loops write: one for all threads. What only ops
  /// outside of them write is each thread's own.
  llvm::DenseSet<Value> shared;

  bool conflicts(const Pending &pending, ArrayRef<BufferAccess> accesses) {
    for (const BufferAccess &a : pending)
      for (const BufferAccess &b : accesses)
        if (a.root == b.root && (a.write || b.write) && shared.contains(a.root))
          return true;
    return false;
  }

  /// Puts a barrier before every op of `block` that depends on what other
  /// threads did since the last one. `pending` goes in and out.
  LogicalResult insertBarriers(Block &block, Pending &pending) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (isa<BarrierOp>(op)) {
        pending.clear();
        continue;
      }
      if (auto loop = dyn_cast<scf::ForOp>(op)) {
        // Once with what comes before the loop, once more with what an
        // iteration leaves to the next.
        for (int round = 0; round < 2; ++round) {
          Pending before = pending;
          if (failed(insertBarriers(*loop.getBody(), pending)))
            return failure();
          merge(pending, before);
        }
        continue;
      }
      if (isa<scf::IfOp, scf::IndexSwitchOp>(op)) {
        // A branch: every thread takes the same one.
        Pending before = pending, after = pending;
        for (Region &region : op.getRegions())
          for (Block &nested : region) {
            Pending branch = before;
            if (failed(insertBarriers(nested, branch)))
              return failure();
            merge(after, branch);
          }
        pending = after;
        continue;
      }
      SmallVector<BufferAccess> accesses = bufferAccesses(&op);
      if (accesses.empty())
        continue;
      if (!isa<scf::ForallOp>(op))
        for (const BufferAccess &access : accesses)
          if (access.write && shared.contains(access.root))
            return op.emitOpError(
                "writes a buffer that all threads share, outside of a "
                "parallel loop");
      if (conflicts(pending, accesses)) {
        LLVM_DEBUG(llvm::dbgs() << "barrier before " << op.getName() << " at "
                                << op.getLoc() << "\n");
        OpBuilder b(&op);
        BarrierOp::create(b, op.getLoc());
        pending.clear();
      }
      merge(pending, accesses);
    }
    return success();
  }

  struct Loop {
    scf::ForallOp forall;
    Value trip;
    int64_t cost;
  };

  static Value constant(OpBuilder &b, Location loc, int64_t v) {
    return arith::ConstantIndexOp::create(b, loc, v);
  }

  /// Iterations of the outermost dimensions, else of all.
  Value tripCount(OpBuilder &b, scf::ForallOp forall,
                  std::optional<int64_t> dims = std::nullopt) {
    Location loc = forall.getLoc();
    AffineExpr lb, ub, step;
    bindSymbols(&getContext(), lb, ub, step);
    OpFoldResult trip = b.getIndexAttr(1);
    auto lbs = forall.getMixedLowerBound(), ubs = forall.getMixedUpperBound(),
         steps = forall.getMixedStep();
    for (int64_t i = 0; i < dims.value_or(forall.getRank()); ++i) {
      OpFoldResult one = affine::makeComposedFoldedAffineApply(
          b, loc, (ub - lb).ceilDiv(step), {lbs[i], ubs[i], steps[i]});
      trip =
          affine::makeComposedFoldedAffineApply(b, loc, lb * ub, {trip, one});
    }
    return getValueOrCreateConstantIndexOp(b, loc, trip);
  }

  /// Replaces a parallel loop by a loop over [lo, hi) of its iterations.
  void replaceLoop(OpBuilder &b, scf::ForallOp forall, Value lo, Value hi,
                   Value stride) {
    Location loc = forall.getLoc();
    auto loop = scf::ForOp::create(b, loc, lo, hi, stride);
    OpBuilder inner = OpBuilder::atBlockBegin(loop.getBody());
    // The last dimension runs fastest.
    SmallVector<Value> ivs(forall.getRank());
    Value rest = loop.getInductionVar();
    auto lbs = forall.getMixedLowerBound(), ubs = forall.getMixedUpperBound(),
         steps = forall.getMixedStep();
    AffineExpr d, lb, ub, step;
    bindDims(&getContext(), d);
    bindSymbols(&getContext(), lb, ub, step);
    for (int64_t i = forall.getRank() - 1; i >= 0; --i) {
      Value index = rest;
      if (i > 0) {
        Value extent = getValueOrCreateConstantIndexOp(
            inner, loc,
            affine::makeComposedFoldedAffineApply(inner, loc,
                                                  (ub - lb).ceilDiv(step),
                                                  {lbs[i], ubs[i], steps[i]}));
        index = arith::RemUIOp::create(inner, loc, rest, extent);
        rest = arith::DivUIOp::create(inner, loc, rest, extent);
      }
      AffineExpr s0, s1;
      bindSymbols(&getContext(), s0, s1);
      ivs[i] = getValueOrCreateConstantIndexOp(
          inner, loc,
          affine::makeComposedFoldedAffineApply(
              inner, loc, d * s0 + s1,
              {OpFoldResult(index), steps[i], lbs[i]}));
    }
    Block *body = forall.getBody();
    body->getTerminator()->erase();
    loop.getBody()->getOperations().splice(
        loop.getBody()->getTerminator()->getIterator(), body->getOperations());
    for (auto [old, iv] : llvm::zip_equal(forall.getInductionVars(), ivs))
      old.replaceAllUsesWith(iv);
    forall.erase();
  }

  /// The part of a loop on its own, where it goes over several tiles of tokens:
  /// then a thread has the same tokens in every such loop. Else `shared`, its
  /// part of the group.
  std::pair<Value, Value> splitByTokens(OpBuilder &b, const Loop &loop,
                                        std::pair<Value, Value> shared,
                                        Value thread, Value threads) {
    scf::ForallOp forall = loop.forall;
    Location loc = forall.getLoc();
    Value one = constant(b, loc, 1);
    Value isSeveral =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt,
                              tripCount(b, forall, /*dims=*/1), one);
    auto part = [&](Value index, Value other) -> Value {
      Value edge = arith::DivUIOp::create(
          b, loc, arith::MulIOp::create(b, loc, loop.trip, index), threads);
      return arith::SelectOp::create(b, loc, isSeveral, edge, other);
    };
    Value next = arith::AddIOp::create(b, loc, thread, one);
    return {part(thread, shared.first), part(next, shared.second)};
  }

  /// Threads that run an iteration of a loop together (cria-form-teams).
  static int64_t teamOf(scf::ForallOp forall) {
    int64_t team = 1;
    forall.walk([&](Operation *op) {
      if (auto attr = op->getAttrOfType<IntegerAttr>("cria.team"))
        team = attr.getInt();
    });
    return team;
  }

  /// Who the loops are dealt out to: the calling thread's number and how many
  /// there are, or those of its team.
  static std::pair<Value, Value> dealers(OpBuilder &b, scf::ForallOp forall) {
    Location loc = forall.getLoc();
    Value thread = ThreadIdOp::create(b, loc),
          threads = NumThreadsOp::create(b, loc);
    int64_t team = teamOf(forall);
    if (team == 1)
      return {thread, threads};
    Value size = constant(b, loc, team);
    Value own = arith::DivUIOp::create(b, loc, thread, size);
    return {own, arith::DivUIOp::create(b, loc, threads, size)};
  }

  /// Splits loops that follow each other without a barrier as if they were
  /// one: thread t of T gets the work [W t / T, W (t + 1) / T) of all their
  /// W = sum of cost x iterations.
  void splitGroup(MutableArrayRef<Loop> group) {
    if (group.empty())
      return;
    if (teamOf(group.front().forall) > 1)
      return dealOutGroup(group);
    OpBuilder b(group.front().forall);
    Location loc = group.front().forall.getLoc();
    auto [thread, threads] = dealers(b, group.front().forall);
    Value total = constant(b, loc, 0);
    SmallVector<Value> starts;
    // Trip counts depend on shapes only, which are known before the group.
    for (Loop &loop : group) {
      loop.trip = tripCount(b, loop.forall);
      starts.push_back(total);
      Value work =
          arith::MulIOp::create(b, loc, loop.trip, constant(b, loc, loop.cost));
      total = arith::AddIOp::create(b, loc, total, work);
    }
    Value next = arith::AddIOp::create(b, loc, thread, constant(b, loc, 1));
    Value begin = arith::DivUIOp::create(
        b, loc, arith::MulIOp::create(b, loc, total, thread), threads);
    Value end = arith::DivUIOp::create(
        b, loc, arith::MulIOp::create(b, loc, total, next), threads);
    Value zero = constant(b, loc, 0), one = constant(b, loc, 1);
    SmallVector<std::pair<Value, Value>> ranges;
    for (auto [loop, start] : llvm::zip_equal(group, starts)) {
      auto bound = [&, start = start, &loop = loop](Value edge) -> Value {
        Value past = arith::SubIOp::create(b, loc, edge, start);
        past = arith::MaxSIOp::create(b, loc, past, zero);
        Value tiles = arith::CeilDivUIOp::create(b, loc, past,
                                                 constant(b, loc, loop.cost));
        return arith::MinUIOp::create(b, loc, tiles, loop.trip);
      };
      Value lo = bound(begin), hi = bound(end);
      if (loop.forall->hasAttr("cria.by_tokens"))
        std::tie(lo, hi) = splitByTokens(b, loop, {lo, hi}, thread, threads);
      ranges.push_back({lo, hi});
    }
    for (auto [loop, range] : llvm::zip_equal(group, ranges)) {
      OpBuilder at(loop.forall);
      replaceLoop(at, loop.forall, range.first, range.second, one);
    }
  }

  /// Iterations of a group's loops go to teams in turn, as if they were one
  /// loop: as even as ranges are, where all cost the same, without divisions
  /// whose results would be in registers for all of a step.
  void dealOutGroup(MutableArrayRef<Loop> group) {
    OpBuilder b(group.front().forall);
    Location loc = group.front().forall.getLoc();
    auto [team, teams] = dealers(b, group.front().forall);
    Type i32 = b.getI32Type(), index = b.getIndexType();
    Value few = arith::IndexCastUIOp::create(b, loc, i32, teams);
    auto remainder = [&](Value value) -> Value {
      value = arith::IndexCastUIOp::create(b, loc, i32, value);
      value = arith::RemUIOp::create(b, loc, value, few);
      return arith::IndexCastUIOp::create(b, loc, index, value);
    };
    Value before;
    SmallVector<Value> first;
    for (Loop &loop : group) {
      Value trip = tripCount(b, loop.forall), from = team;
      if (before) {
        // The team whose turn it is has the first iteration.
        Value past = remainder(before);
        from = arith::AddIOp::create(b, loc, team, teams);
        from = remainder(arith::SubIOp::create(b, loc, from, past));
        trip = arith::AddIOp::create(b, loc, before, trip);
      }
      first.push_back(from);
      before = trip;
    }
    for (auto [loop, from] : llvm::zip_equal(group, first)) {
      OpBuilder at(loop.forall);
      Value trip = tripCount(at, loop.forall);
      replaceLoop(at, loop.forall, from, trip, teams);
    }
  }

  void dealOut(scf::ForallOp forall) {
    OpBuilder b(forall);
    Value trip = tripCount(b, forall);
    auto [thread, threads] = dealers(b, forall);
    replaceLoop(b, forall, thread, trip, threads);
  }

  void splitLoops(Block &block) {
    SmallVector<Loop> group;
    auto close = [&] {
      splitGroup(group);
      group.clear();
    };
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (auto forall = dyn_cast<scf::ForallOp>(op)) {
        if (forall->hasAttr("cria.cyclic")) {
          close();
          dealOut(forall);
          continue;
        }
        if (!group.empty() && teamOf(group.front().forall) != teamOf(forall))
          close();
        auto cost = forall->getAttrOfType<IntegerAttr>("cria.cost");
        group.push_back({forall, Value(), cost ? cost.getInt() : 1});
        continue;
      }
      // Sizes and views between the loops of a group move in front of it,
      // where its split is computed; they depend on no loop.
      if (isMemoryEffectFree(&op) || isa<memref::AllocOp>(op)) {
        if (!group.empty() && !op.hasTrait<OpTrait::IsTerminator>())
          op.moveBefore(group.front().forall);
        continue;
      }
      close();
      for (Region &region : op.getRegions())
        for (Block &nested : region)
          splitLoops(nested);
    }
    close();
  }

  /// Refuses what insertBarriers cannot see through: a dependence that it
  /// missed would be a data race.
  LogicalResult checkAnalysable(func::FuncOp func) {
    WalkResult result = func.walk([&](Operation *op) {
      if (isa<func::FuncOp, scf::ForOp, scf::ForallOp, scf::IfOp,
              scf::IndexSwitchOp, BarrierOp>(op) ||
          isMemoryEffectFree(op))
        return WalkResult::advance();
      if (!isa<MemoryEffectOpInterface>(op)) {
        op->emitOpError("has memory effects that barriers cannot be placed "
                        "for; allowed are kernels, loads and stores inside of "
                        "scf.for, scf.forall, scf.if and scf.index_switch");
        return WalkResult::interrupt();
      }
      for (const BufferAccess &access : bufferAccesses(op))
        if (!isBufferRoot(access.root)) {
          InFlightDiagnostic error =
              op->emitOpError("uses a buffer that may be one of several");
          error.attachNote(access.root.getLoc()) << "chosen here";
          return WalkResult::interrupt();
        }
      return WalkResult::advance();
    });
    return failure(result.wasInterrupted());
  }

  /// Ops outside of parallel loops that write what all threads share become
  /// loops of one iteration: tiles that turned out to be the whole.
  void runOnOneThread(func::FuncOp func) {
    // What such an op writes besides is then shared as well: until no op is
    // left.
    SmallVector<Operation *> ops;
    do {
      ops.clear();
      func.walk<WalkOrder::PreOrder>([&](Operation *op) {
        if (isa<scf::ForallOp>(op))
          return WalkResult::skip();
        if (isa<func::FuncOp, scf::ForOp, scf::IfOp, scf::IndexSwitchOp>(op))
          return WalkResult::advance();
        if (llvm::any_of(bufferAccesses(op), [&](const BufferAccess &access) {
              return access.write && shared.contains(access.root);
            }))
          ops.push_back(op);
        return WalkResult::skip();
      });
      for (Operation *op : ops) {
        OpBuilder b(op);
        OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
        auto forall = scf::ForallOp::create(b, op->getLoc(), zero, one, one,
                                            /*outputs=*/ValueRange(),
                                            /*mapping=*/std::nullopt);
        op->moveBefore(forall.getBody()->getTerminator());
        for (const BufferAccess &access : bufferAccesses(op))
          if (access.write)
            shared.insert(access.root);
      }
    } while (!ops.empty());
  }

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    if (func.isExternal())
      return;
    // Copies of a buffer onto itself are gone by now. Any other would be made
    // by every thread at once, and the KV cache must never be copied.
    WalkResult copies = func.walk([](memref::CopyOp copy) {
      copy.emitError() << "cannot be computed in place: a copy of "
                       << copy.getSource().getType() << " would be needed";
      return WalkResult::interrupt();
    });
    if (copies.wasInterrupted() || failed(checkAnalysable(func)))
      return signalPassFailure();
    if (!carriesBuffersInPlace(func)) {
      func.emitError("a loop does not update its buffers in place");
      return signalPassFailure();
    }
    shared.clear();
    for (Value arg : func.getArguments())
      shared.insert(arg);
    func.walk([&](scf::ForallOp forall) {
      for (const BufferAccess &access : bufferAccesses(forall)) {
        auto alloc = access.root.getDefiningOp<memref::AllocOp>();
        if (access.write && !(alloc && forall->isProperAncestor(alloc)))
          shared.insert(access.root);
      }
    });
    runOnOneThread(func);
    Pending pending;
    if (failed(insertBarriers(func.getBody().front(), pending)))
      return signalPassFailure();
    // Marks for cria-arena: which allocations each thread has for itself.
    func.walk([&](memref::AllocOp alloc) {
      if (!shared.contains(alloc.getResult()))
        alloc->setAttr("cria.private", UnitAttr::get(&getContext()));
    });
    splitLoops(func.getBody().front());
  }
};
} // namespace
