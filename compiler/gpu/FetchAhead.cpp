// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/FetchAhead.h"

#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/GpuTarget.h"
#include "compiler/vector/LinearOperands.h"

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

/// The load of an op's first weight, where it is tiled: else null.
static LoadOp loadOf(FusedLinearOp op) {
  auto slice = op.getWeights()[0].getDefiningOp<WeightSliceOp>();
  return slice ? slice->getOperand(0).getDefiningOp<LoadOp>() : LoadOp();
}

static void fetch(ImplicitLocOpBuilder &b, FusedLinearOp next, LoadOp load) {
  auto index = [&](Value x, int64_t by) -> Value {
    return arith::MulIOp::create(b, x, constIndex(b, by));
  };
  TeamBuilder team(b);
  LinearWeight weight(b, b.clone(*load)->getResult(0));
  Value memref = weight.codes ? weight.codes : weight.elements;
  auto type = cast<MemRefType>(memref.getType());
  int64_t groupBytes = type.getElementTypeBitWidth() / 8;
  for (int64_t size : type.getShape().drop_front())
    groupBytes *= size;
  int64_t taskGroups = llvm::divideCeil(next.getN(), kLanes);
  int64_t tasks = type.getDimSize(0) / taskGroups;
  int64_t bytes = std::min(taskGroups * groupBytes, kGpuFetchBytes);

  Value task =
      arith::DivUIOp::create(b, ThreadIdOp::create(b), constIndex(b, kGpuTeam));
  Value hasTask = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, task,
                                        constIndex(b, tasks));
  auto branch = scf::IfOp::create(b, hasTask, /*withElseRegion=*/false);
  b.setInsertionPointToStart(branch.thenBlock());
  auto layout = memref::ExtractStridedMetadataOp::create(b, memref);
  Value start = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  Value offset = index(layout.getOffset(), type.getElementTypeBitWidth() / 8);
  start = arith::AddIOp::create(b, start, offset);
  start = arith::AddIOp::create(b, start, index(task, taskGroups * groupBytes));
  constexpr int64_t kLine = 128;
  buildLoop(b, index(team.thread, kLine), constIndex(b, bytes),
            kGpuBlockThreads * kLine, {}, [&](Value at, ValueRange) {
              team.fetch(arith::AddIOp::create(b, start, at));
              return SmallVector<Value>();
            });
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
    fetch(b, next, load);
  }
}
