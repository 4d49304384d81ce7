// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/vector/WeightStream.h"

#include "compiler/vector/LinearOperands.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace cria;

namespace {

/// A linear whose tiles are rows `row(iv)` and on of whole weights.
struct Entry {
  FusedLinearOp op;
  scf::ForOp loop;
  affine::AffineApplyOp row;
  SmallVector<LoadOp> loads; // by weight
};

/// Ranges that are empty for a thread and followed past, at most: keys and
/// values behind queries, and one more.
constexpr int kMostSkipped = 3;

class Streams {
public:
  Streams(ArrayRef<FusedLinearOp> ops, int64_t bytes) : bytes(bytes) {
    for (FusedLinearOp op : ops)
      if (std::optional<Entry> entry = analyse(op))
        entries.insert({entry->loop, *entry});
  }

  llvm::DenseMap<Operation *, WeightStream> compute();

private:
  static std::optional<Entry> analyse(FusedLinearOp op);
  Value here(Value value, IRMapping &moved);
  SmallVector<Value> addresses(Entry to, Value layer, size_t count);
  SmallVector<Value> following(Operation *from, Value layer, size_t count,
                               int skipped);
  SmallVector<Value> from(Operation *first, Value layer, size_t count,
                          int skipped);
  WeightStream stream(Entry entry);

  Value add(Value x, Value y) { return b->createOrFold<arith::AddIOp>(x, y); }

  int64_t bytes;
  llvm::MapVector<Operation *, Entry> entries; // by loop
  std::optional<ImplicitLocOpBuilder> b;       // in front of a loop
  /// Of the loop over layers that is gone around, the induction variable.
  Value layerIv;
};

} // namespace

std::optional<Entry> Streams::analyse(FusedLinearOp op) {
  Entry entry;
  entry.op = op;
  entry.loop = dyn_cast<scf::ForOp>(op->getParentOp());
  if (!entry.loop || ShapedType::isDynamic(op.getN()) ||
      op.getN() % kLanes != 0 || entry.loop.getNumResults() != 0 ||
      getConstantIntValue(entry.loop.getStep()) != 1)
    return std::nullopt;
  for (Value weight : op.getWeights()) {
    auto slice = weight.getDefiningOp<WeightSliceOp>();
    auto load = slice ? slice->getOperand(0).getDefiningOp<LoadOp>() : LoadOp();
    auto row = slice
                   ? slice->getOperand(1).getDefiningOp<affine::AffineApplyOp>()
                   : affine::AffineApplyOp();
    if (!load || !row || (entry.row && entry.row != row) ||
        row.getMapOperands().size() != 1 ||
        row.getMapOperands()[0] != entry.loop.getInductionVar())
      return std::nullopt;
    entry.row = row;
    entry.loads.push_back(load);
  }
  return entry;
}

/// `value` where `b` is; null where that takes more than arithmetic.
Value Streams::here(Value value, IRMapping &moved) {
  if (Value known = moved.lookupOrNull(value))
    return known;
  Operation *def = value.getDefiningOp();
  Operation *place = &*b->getInsertionPoint();
  if (!def) {
    Operation *owner = value.getParentBlock()->getParentOp();
    return owner->isProperAncestor(place) ? value : Value();
  }
  if (DominanceInfo().properlyDominates(value, place))
    return value;
  if (!isMemoryEffectFree(def) || def->getNumRegions() != 0)
    return {};
  for (Value operand : def->getOperands()) {
    Value copy = here(operand, moved);
    if (!copy)
      return {};
    moved.map(operand, copy);
  }
  return b->clone(*def, moved)
      ->getResult(cast<OpResult>(value).getResultNumber());
}

/// Where the group of a row of a weight begins, in its codes or elements.
static Value addressOfGroup(ImplicitLocOpBuilder &b, const LinearWeight &weight,
                            Value row) {
  Value group = arith::DivUIOp::create(b, row, constIndex(b, kLanes));
  return addressOfRow(b, weight.body(), group);
}

/// Where a thread begins to read an entry's weights, `count` addresses; none
/// if that is not known where `b` is.
SmallVector<Value> Streams::addresses(Entry to, Value layer, size_t count) {
  IRMapping moved;
  Value lower = here(to.loop.getLowerBound(), moved);
  if (!lower)
    return {};
  Value row =
      affine::AffineApplyOp::create(*b, to.row.getMap(), ValueRange{lower});
  SmallVector<Value> list;
  for (size_t i = 0; i < count; ++i) {
    size_t weight = std::min(i, to.loads.size() - 1);
    IRMapping map;
    LoadOp load = to.loads[weight];
    for (Value operand : load->getOperands()) {
      Value known = layer && operand == layerIv ? layer : here(operand, map);
      if (!known)
        return {};
      map.map(operand, known);
    }
    LinearWeight copy(*b, b->clone(*load, map)->getResult(0));
    list.push_back(add(addressOfGroup(*b, copy, row),
                       constIndex(*b, (i - weight) * bytes)));
  }
  return list;
}

/// What a thread reads from `first` on, an op of its block.
SmallVector<Value> Streams::from(Operation *first, Value layer, size_t count,
                                 int skipped) {
  for (Operation *op = first; op; op = op->getNextNode()) {
    if (auto place = entries.find(op); place != entries.end()) {
      Entry entry = place->second;
      SmallVector<Value> list = addresses(entry, layer, count);
      if (list.empty() || skipped == kMostSkipped)
        return list;
      SmallVector<Value> later = following(op, layer, count, skipped + 1);
      if (later.empty())
        return list;
      IRMapping moved;
      Value lower = here(entry.loop.getLowerBound(), moved),
            upper = here(entry.loop.getUpperBound(), moved);
      if (!upper)
        return list;
      Value isEmpty =
          arith::CmpIOp::create(*b, arith::CmpIPredicate::uge, lower, upper);
      for (auto [value, other] : llvm::zip_equal(list, later))
        value = arith::SelectOp::create(*b, isEmpty, other, value);
      return list;
    }
    // A linear that is not an entry, or one of several branches.
    if (op->walk([](FusedLinearOp) {
            return WalkResult::interrupt();
          }).wasInterrupted())
      return {};
  }
  return {};
}

/// What a thread reads after `loop`.
SmallVector<Value> Streams::following(Operation *loop, Value layer,
                                      size_t count, int skipped) {
  bool isLast = true;
  for (Operation *op = loop->getNextNode(); op && isLast;
       op = op->getNextNode())
    isLast = !op->walk([](FusedLinearOp) {
                  return WalkResult::interrupt();
                }).wasInterrupted();
  if (!isLast)
    return from(loop->getNextNode(), layer, count, skipped);
  // Around the loop over layers, or out of it. Once is enough.
  auto layers = dyn_cast<scf::ForOp>(loop->getParentOp());
  if (!layers || layer)
    return {};
  layerIv = layers.getInductionVar();
  Value next = add(layerIv, layers.getStep());
  SmallVector<Value> around =
      from(&layers.getBody()->front(), next, count, skipped);
  SmallVector<Value> after = from(layers->getNextNode(), {}, count, skipped);
  if (around.empty() || after.empty())
    return around;
  Value isLayer = arith::CmpIOp::create(*b, arith::CmpIPredicate::slt, next,
                                        layers.getUpperBound());
  for (auto [value, other] : llvm::zip_equal(around, after))
    value = arith::SelectOp::create(*b, isLayer, value, other);
  return around;
}

WeightStream Streams::stream(Entry entry) {
  WeightStream stream;
  b.emplace(entry.op.getLoc(), entry.loop);
  layerIv = {};
  size_t count = entry.loads.size();
  SmallVector<Value> targets = following(entry.loop, {}, count, 0);
  Value upper = entry.loop.getUpperBound();
  Value end =
      affine::AffineApplyOp::create(*b, entry.row.getMap(), ValueRange{upper});
  for (size_t i = 0; i < count; ++i) {
    LinearWeight weight(*b, entry.loads[i]->getResult(0));
    Value jump = constIndex(*b, -bytes);
    if (!targets.empty())
      jump = arith::SubIOp::create(*b, targets[i],
                                   addressOfGroup(*b, weight, end));
    stream.jumps.push_back(jump);
  }
  b.emplace(entry.op.getLoc(), entry.op);
  Value rows = arith::SubIOp::create(*b, end, entry.row);
  stream.groups = arith::DivUIOp::create(*b, rows, constIndex(*b, kLanes));
  return stream;
}

llvm::DenseMap<Operation *, WeightStream> Streams::compute() {
  llvm::DenseMap<Operation *, WeightStream> streams;
  for (auto &[loop, entry] : entries)
    if (entry.op.getWeightType().isQuantized())
      streams[entry.op] = stream(entry);
  return streams;
}

llvm::DenseMap<Operation *, WeightStream>
cria::streamWeights(ArrayRef<FusedLinearOp> ops, int64_t bytes) {
  return Streams(ops, bytes).compute();
}
