// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/bufferize/BufferRoots.h"
#include "compiler/llvm/ProfileTable.h"
#include "dialect/CriaOps.h"
#include "runtime/include/cria/abi.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

namespace cria {
#define GEN_PASS_DEF_PROFILE
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

// Operations for an element of a row, estimates: these ops are bound by
// memory. An RMS norm squares, adds and multiplies twice, a layer norm takes
// mean and bias as well; quantising takes a maximum, a product and a sum.
constexpr int64_t kRmsNormFlops = 4;
constexpr int64_t kLayerNormFlops = 7;
constexpr int64_t kRopeFlops = 3;
constexpr int64_t kQuantizeFlops = 3;

bool isKernel(Operation *op) {
  return isa<DestinationStyleOpInterface>(op) &&
         isa<CriaDialect, linalg::LinalgDialect>(op->getDialect());
}

int64_t countKernels(Operation *op) {
  int64_t count = 0;
  op->walk([&](Operation *nested) { count += isKernel(nested); });
  return count;
}

bool holdsBarrier(Operation *op) {
  return op->walk([](BarrierOp) { return WalkResult::interrupt(); })
      .wasInterrupted();
}

/// The `cria.arg` of the function argument that a buffer is, or "".
StringRef argumentRole(Value root) {
  auto arg = dyn_cast<BlockArgument>(root);
  auto func =
      arg ? dyn_cast<func::FuncOp>(arg.getOwner()->getParentOp()) : nullptr;
  auto role =
      func ? func.getArgAttrOfType<StringAttr>(arg.getArgNumber(), "cria.arg")
           : StringAttr();
  return role ? role.getValue() : StringRef();
}

bool isCache(Value root) {
  StringRef role = argumentRole(root);
  return role.starts_with("key") || role.starts_with("value");
}

/// Bytes of the dimensions from `first` on; 0 where one is dynamic.
int64_t innerBytes(MemRefType type, int64_t first) {
  if (type.getRank() < first || !type.getElementType().isIntOrFloat())
    return 0;
  int64_t count = 1;
  for (int64_t size : type.getShape().drop_front(first))
    count *= ShapedType::isDynamic(size) ? 0 : size;
  return count * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

WeightType wholeWeight(Value weight) {
  while (auto slice = weight.getDefiningOp<WeightSliceOp>())
    weight = slice.getSource();
  return cast<WeightType>(weight.getType());
}

int64_t storedBytes(WeightType weight) {
  int64_t bytes = 0;
  for (const WeightType::Component &component : weight.getStorage())
    bytes += innerBytes(component.type, 0);
  return bytes;
}

/// Names of the params that reach `value`, "" where it is none.
StringRef paramName(Value value) {
  while (auto slice = value.getDefiningOp<WeightSliceOp>())
    value = slice.getSource();
  if (isa<BaseMemRefType>(value.getType()))
    value = bufferRoot(value);
  if (auto buffer = value.getDefiningOp<bufferization::ToBufferOp>())
    value = buffer.getTensor();
  auto load = value.getDefiningOp<LoadOp>();
  return load ? load.getParam() : StringRef();
}

std::string joinedParams(ValueRange values) {
  SmallVector<StringRef> names;
  for (Value value : values)
    if (StringRef name = paramName(value); !name.empty())
      names.push_back(name);
  return llvm::join(names, "+");
}

/// Whether the buffer has a row for each output rather than for each token.
bool hasOutputRows(Value root) {
  auto alloc = root.getDefiningOp<memref::AllocOp>();
  if (!alloc || alloc.getDynamicSizes().empty())
    return argumentRole(root) == "logits";
  auto dim = alloc.getDynamicSizes().front().getDefiningOp<memref::DimOp>();
  if (!dim)
    return false;
  StringRef role = argumentRole(bufferRoot(dim.getSource()));
  return role == "outputs" || role == "logits";
}

/// What every kernel's operands say: params, rows and the KV cache.
void addOperands(Operation *op, ProfileOp &entry) {
  auto inits = cast<DestinationStyleOpInterface>(op).getDpsInits();
  for (Value operand : op->getOperands()) {
    if (!isa<MemRefType>(operand.getType()))
      continue;
    Value root = bufferRoot(operand);
    auto type = cast<MemRefType>(root.getType());
    bool isInit = llvm::is_contained(inits, operand);
    if (isCache(root)) {
      if (!isInit)
        entry.cacheBytes += innerBytes(type, 2) / CRIA_PAGE_TOKENS;
      continue;
    }
    if (root.getDefiningOp<bufferization::ToBufferOp>()) {
      // A token's own row of a table, or all of a param.
      auto part = cast<MemRefType>(operand.getType());
      if (part.getRank() < type.getRank() && part.hasStaticShape())
        entry.rowBytes += innerBytes(part, 0);
      else
        entry.weightBytes += innerBytes(type, 0);
      continue;
    }
    // Of rank 4 are the partial results of KV chunks: room for all that a
    // context has, of which few may be in use.
    if (type.getRank() > 0 && type.getRank() < 4 && type.isDynamicDim(0))
      entry.rowBytes += innerBytes(type, 1);
    if (isInit)
      entry.outputs |= hasOutputRows(root);
  }
}

void describeLinear(FusedLinearOp linear, ProfileOp &entry) {
  entry.kind = "linear";
  entry.name = joinedParams(linear.getWeights());
  WeightType weight = wholeWeight(linear.getWeights().front());
  int64_t n = weight.getN(), k = weight.getK();
  for (Value each : linear.getWeights())
    entry.weightBytes += storedBytes(wholeWeight(each));
  entry.int8 = weight.isQuantized();
  entry.rowFlops = 2 * n * k * static_cast<int64_t>(linear.getWeights().size());
  // Codes of 16 bits are two bytes, each with a product of its own.
  auto codes = cast<MemRefType>(linear.getActs().front().getType());
  if (entry.int8 && codes.getDimSize(1) > (k + 31) / 32 * 8)
    entry.rowFlops *= 2;
  auto init = cast<MemRefType>(linear.getInit().getType());
  if (linear.getOut() != OutKind::rows)
    entry.rowBytes += n * init.getElementTypeBitWidth() / 8;
  else if (linear.getAccumulate())
    entry.rowBytes +=
        innerBytes(cast<MemRefType>(bufferRoot(linear.getInit()).getType()), 1);
}

/// Whatever reads the cache, with the queries first.
void describeAttention(Operation *attention, ProfileOp &entry) {
  entry.kind = "attention";
  entry.name = isa<FusedAttentionOp>(attention)
                   ? "attention"
                   : attention->getName().stripDialect().str();
  auto q = cast<MemRefType>(bufferRoot(attention->getOperand(0)).getType());
  // Q times K and probabilities times V, all heads.
  entry.positionFlops = 4 * innerBytes(q, 1) / sizeof(float);
  // An instruction has half as many products of 16-bit codes as of bytes.
  auto keys = cast<MemRefType>(bufferRoot(attention->getOperand(1)).getType());
  if (keys.getElementType().isInteger(16)) {
    entry.int8 = true;
    entry.positionFlops *= 2;
  }
  if (auto window = attention->getAttrOfType<IntegerAttr>("window"))
    entry.window = window.getInt();
}

void describeRows(RowsOp rows, ProfileOp &entry) {
  entry.kind = "rows";
  entry.name = joinedParams(rows.getParams());
  int64_t k = cast<MemRefType>(rows.getX().getType()).getDimSize(1);
  if (NormOp norm = rows.getNorm())
    entry.rowFlops += k * (norm.getKind() == NormKind::layer ? kLayerNormFlops
                                                             : kRmsNormFlops);
  if (rows.isQuantized())
    entry.rowFlops += k * kQuantizeFlops;
}

void describeHeadRows(HeadRowsOp heads, ProfileOp &entry) {
  entry.kind = "rows";
  entry.name = heads.getWeight() ? joinedParams(heads.getWeight()) : "heads";
  int64_t k =
      cast<MemRefType>(bufferRoot(heads.getX()).getType()).getDimSize(1);
  if (heads.getWeight())
    entry.rowFlops += k * (heads.getCenter() ? kLayerNormFlops : kRmsNormFlops);
  if (heads.getRope())
    entry.rowFlops += k * kRopeFlops;
}

void describeEmbed(EmbedRowsOp embed, ProfileOp &entry) {
  entry.kind = "embed";
  entry.name = "embed";
  WeightType weight = wholeWeight(embed.getWeight());
  entry.rowBytes += storedBytes(weight) / weight.getN();
  // A code times its scale.
  entry.rowFlops = weight.isQuantized() ? weight.getK() : 0;
}

ProfileOp describe(Operation *kernel) {
  ProfileOp entry;
  addOperands(kernel, entry);
  if (auto linear = dyn_cast<FusedLinearOp>(kernel)) {
    describeLinear(linear, entry);
  } else if (entry.cacheBytes) {
    describeAttention(kernel, entry);
  } else if (auto rows = dyn_cast<RowsOp>(kernel)) {
    describeRows(rows, entry);
  } else if (auto heads = dyn_cast<HeadRowsOp>(kernel)) {
    describeHeadRows(heads, entry);
  } else if (auto embed = dyn_cast<EmbedRowsOp>(kernel)) {
    describeEmbed(embed, entry);
  } else if (isa<RopeTableOp>(kernel)) {
    entry.kind = "rope_table";
    entry.name = "rope_table";
  } else {
    entry.kind = "other";
    // What has no kernel of its own is known by the op that it came from.
    auto name = isa<linalg::LinalgOp>(kernel)
                    ? kernel->getLoc()->findInstanceOf<NameLoc>()
                    : NameLoc();
    entry.name =
        name ? name.getName().str() : kernel->getName().stripDialect().str();
  }
  return entry;
}

struct Profile : cria::impl::ProfileBase<Profile> {
  struct Mark {
    Operation *after;
    ProfileOp entry;
  };

  /// In program order.
  void collect(Block &block, SmallVectorImpl<Mark> &marks) {
    for (Operation &op : block) {
      if (isa<BarrierOp>(op)) {
        marks.push_back({&op, {}});
        marks.back().entry.kind = "barrier";
        continue;
      }
      int64_t kernels = countKernels(&op);
      if (!holdsBarrier(&op) && kernels == 0)
        continue;
      // A thread's range of one kernel counts as a whole; around several,
      // there is time to tell them apart.
      if (!isKernel(&op) && (kernels != 1 || holdsBarrier(&op))) {
        for (Region &region : op.getRegions())
          for (Block &nested : region)
            collect(nested, marks);
        continue;
      }
      Operation *kernel = nullptr;
      op.walk([&](Operation *nested) {
        if (isKernel(nested))
          kernel = nested;
      });
      marks.push_back({&op, describe(kernel)});
    }
  }

  /// Rows without a param prepare the next linear; a barrier is known by what
  /// it holds up.
  static void name(MutableArrayRef<Mark> marks, StringRef version) {
    std::string linear, next;
    for (Mark &mark : llvm::reverse(marks)) {
      ProfileOp &entry = mark.entry;
      entry.version = version;
      if (entry.kind == "linear")
        linear = entry.name;
      if (entry.kind == "barrier")
        entry.name = next.empty() ? "at the end" : "before " + next;
      else if (entry.name.empty())
        entry.name = entry.kind == "rows" && !linear.empty() ? "rows " + linear
                                                             : entry.kind;
      if (entry.kind != "barrier")
        next = entry.name;
    }
    llvm::StringSet<> taken;
    for (Mark &mark : marks) {
      std::string base = mark.entry.name;
      for (int64_t i = 2; !taken.insert(mark.entry.name).second; ++i)
        mark.entry.name = (base + " " + llvm::Twine(i)).str();
    }
  }

  void runOnOperation() override {
    SmallVector<Attribute> table;
    SmallVector<func::FuncOp> entries;
    SmallVector<StampOp> starts;
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (!func->hasAttr("cria.entry") || func.isExternal())
        continue;
      auto version = func->getAttrOfType<StringAttr>("cria.version");
      SmallVector<Mark> marks;
      collect(func.getBody().front(), marks);
      name(marks, version ? version.getValue() : StringRef());
      auto start = OpBuilder::atBlockBegin(&func.getBody().front());
      starts.push_back(StampOp::create(start, func.getLoc(), 0));
      for (const Mark &mark : marks) {
        OpBuilder b(&getContext());
        b.setInsertionPointAfter(mark.after);
        StampOp::create(b, mark.after->getLoc(),
                        static_cast<int64_t>(table.size()));
        table.push_back(mark.entry.toAttribute(&getContext()));
      }
    }
    // Past the last entry: nothing is counted before a thread has begun.
    for (StampOp start : starts)
      start.setOp(static_cast<uint64_t>(table.size()));
    getOperation()->setAttr(kProfileAttr, ArrayAttr::get(&getContext(), table));
  }
};

} // namespace
