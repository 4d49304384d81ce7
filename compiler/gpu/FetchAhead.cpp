// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/FetchAhead.h"

#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"
#include "compiler/vector/LinearOperands.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace cria;

/// The loop over tasks that `op` is in: the outermost one without a barrier.
static Operation *taskLoop(FusedLinearOp op) {
  auto hasBarrier = [](Operation *parent) {
    return parent->walk([](BarrierOp) { return WalkResult::interrupt(); })
        .wasInterrupted();
  };
  Operation *loop = op;
  while (isa<scf::ForOp>(loop->getParentOp()) &&
         !hasBarrier(loop->getParentOp()))
    loop = loop->getParentOp();
  return loop;
}

/// The load of an op's weights, where they are tiled and of one layer: else
/// null.
static LoadOp loadOf(FusedLinearOp op) {
  LoadOp first;
  for (Value weight : op.getWeights()) {
    auto slice = weight.getDefiningOp<WeightSliceOp>();
    auto load = slice ? slice->getOperand(0).getDefiningOp<LoadOp>() : LoadOp();
    if (!load || (first && load->getOperands() != first->getOperands()))
      return {};
    first = load;
  }
  return first;
}

/// Asks for the arrays of a weight's `groups` groups of rows from the
/// `first`-th on.
static void fetch(ImplicitLocOpBuilder &b, TeamBuilder &team, Value weight,
                  Value first, int64_t groups) {
  auto mul = [&](Value x, int64_t by) -> Value {
    return arith::MulIOp::create(b, x, constIndex(b, by));
  };
  auto add = [&](Value x, Value y) -> Value {
    return arith::AddIOp::create(b, x, y);
  };
  constexpr int64_t kLine = 128;
  LinearWeight arrays(b, weight);
  for (Value memref : {arrays.codes, arrays.elements, arrays.scales,
                       arrays.mins, arrays.subscales}) {
    if (!memref)
      continue;
    auto type = cast<MemRefType>(memref.getType());
    int64_t element = type.getElementTypeBitWidth() / 8, groupBytes = element;
    for (int64_t size : type.getShape().drop_front())
      groupBytes *= size;
    Value start = addressOfRow(b, memref, first);
    int64_t bytes = std::min(groups * groupBytes, kGpuFetchBytes);
    buildLoop(b, mul(team.thread, kLine), constIndex(b, bytes),
              kGpuBlockThreads * kLine, {}, [&](Value at, ValueRange) {
                team.fetch(add(start, at));
                return SmallVector<Value>();
              });
  }
}

/// Asks for the first task's weights of `next`.
static void fetchFirst(ImplicitLocOpBuilder &b, FusedLinearOp next) {
  TeamBuilder team(b);
  int64_t groups = llvm::divideCeil(next.getN(), kLanes);
  Value task =
      arith::DivUIOp::create(b, ThreadIdOp::create(b), constIndex(b, kGpuTeam));
  int64_t tasks = llvm::divideCeil(
                      cast<WeightType>(loadOf(next).getType()).getN(), kLanes) /
                  groups;
  Value hasTask = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, task,
                                        constIndex(b, tasks));
  auto branch = scf::IfOp::create(b, hasTask, /*withElseRegion=*/false);
  b.setInsertionPointToStart(branch.thenBlock());
  Value first = arith::MulIOp::create(b, task, constIndex(b, groups));
  for (Value slice : next.getWeights()) {
    Operation *load = slice.getDefiningOp()->getOperand(0).getDefiningOp();
    fetch(b, team, b.clone(*load)->getResult(0), first, groups);
  }
}

void cria::fetchNextTask(FusedLinearOp op) {
  auto loop = dyn_cast<scf::ForOp>(op->getParentOp());
  int64_t rows = op.getN();
  if (!loop || ShapedType::isDynamic(rows) || rows % kLanes != 0)
    return;
  // A task is `rows` rows, which follow those of the task before.
  for (Value weight : op.getWeights()) {
    auto slice = weight.getDefiningOp<WeightSliceOp>();
    auto apply =
        slice ? slice->getOperand(1).getDefiningOp<affine::AffineApplyOp>()
              : affine::AffineApplyOp();
    if (!apply || apply.getMapOperands().size() != 1 ||
        apply.getMapOperands()[0] != loop.getInductionVar() ||
        apply.getMap().getNumDims() != 1 ||
        apply.getMap().getResult(0) !=
            getAffineDimExpr(0, op.getContext()) * rows)
      return;
  }
  ImplicitLocOpBuilder b(op.getLoc(), op);
  TeamBuilder team(b);
  Value next = arith::AddIOp::create(b, loop.getInductionVar(), loop.getStep());
  Value isTask = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, next,
                                       loop.getUpperBound());
  auto branch = scf::IfOp::create(b, isTask, /*withElseRegion=*/false);
  b.setInsertionPointToStart(branch.thenBlock());
  int64_t groups = rows / kLanes;
  Value first = arith::MulIOp::create(b, loop.getStep(), constIndex(b, groups));
  for (Value weight : op.getWeights())
    fetch(b, team, weight, first, groups);
}

void cria::fetchAhead(ArrayRef<FusedLinearOp> ops) {
  for (size_t i = 0; i + 1 < ops.size(); ++i) {
    FusedLinearOp next = ops[i + 1];
    Operation *from = taskLoop(ops[i]), *to = taskLoop(next);
    LoadOp load = loadOf(next);
    if (!load || from->getBlock() != to->getBlock() ||
        ShapedType::isDynamic(next.getN()))
      continue;
    bool waits = false;
    for (Operation *op = from; op != to && !waits; op = op->getNextNode())
      waits = isa<BarrierOp>(op);
    // The layer must be known there.
    bool isKnown = llvm::all_of(load->getOperands(), [&](Value operand) {
      Operation *source = operand.getDefiningOp();
      return source ? source->getBlock() == from->getBlock() &&
                          source->isBeforeInBlock(from)
                    : operand.getParentBlock() == from->getBlock();
    });
    if (!waits || !isKnown)
      continue;
    ImplicitLocOpBuilder b(next.getLoc(), from->getNextNode());
    fetchFirst(b, next);
  }
}
