// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attention by Halide: a kernel for a chunk of 256 positions and consecutive
// tokens of one sequence that read the same pages, and kernels that merge
// chunks. Which tokens go together, and over what chunks, is decided here, as
// in compiler/vector/VectorizeAttention.cpp.

#include "compiler/halide/BindHalide.h"
#include "compiler/halide/HalideUtils.h"
#include "compiler/target/Tiles.h"
#include "compiler/vector/KernelUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>

using namespace mlir;
using namespace cria;

namespace {

constexpr int64_t kPage = CriaDialect::kPageTokens;
constexpr int64_t kChunk = CriaDialect::kChunkTokens;
constexpr int64_t kChunkPages = kChunk / kPage, kPageBlocks = kPage / kLanes;
/// Of a row of partials, behind the elements of a head: 16 sums, the maximum,
/// and 15 that are nothing.
constexpr int64_t kRowTail = 2 * kLanes;
/// See VectorizeAttention.cpp: rows of a tile, and of tiles that share a page.
constexpr int64_t kTileRows = 6, kGroupRows = 48;
/// Elements of heads that a kernel's output on the stack may have.
constexpr int64_t kGroupElements = 4096;
/// Heads beyond these would not have their sums in registers.
constexpr int64_t kMostHeads = 16;

/// What the kernels of all three ops need.
class HalideAttention {
public:
  HalideAttention(ImplicitLocOpBuilder &b, Operation *op, int64_t heads,
                  int64_t headDim)
      : b(b), op(op), heads(heads), headDim(headDim) {}

protected:
  Value index(int64_t value) { return constIndex(b, value); }
  Value add(Value x, Value y) { return b.createOrFold<arith::AddIOp>(x, y); }
  Value sub(Value x, Value y) { return b.createOrFold<arith::SubIOp>(x, y); }
  Value mul(Value x, int64_t y) {
    return b.createOrFold<arith::MulIOp>(x, index(y));
  }
  Value div(Value x, int64_t y) {
    return b.createOrFold<arith::DivUIOp>(x, index(y));
  }
  Value min(Value x, Value y) { return b.createOrFold<arith::MinUIOp>(x, y); }
  Value load(Value memref, ValueRange at) {
    return arith::IndexCastOp::create(b, b.getIndexType(),
                                      memref::LoadOp::create(b, memref, at));
  }
  void loop(Value from, Value to, function_ref<void(Value)> body) {
    buildLoop(b, from, to, 1, {}, [&](Value i, ValueRange) {
      body(i);
      return SmallVector<Value>();
    });
  }
  static SliceDim part(Value first, Value size) {
    return {{}, getAsOpFoldResult(first), getAsOpFoldResult(size)};
  }
  SliceDim part(int64_t first, int64_t size) {
    return {{}, b.getIndexAttr(first), b.getIndexAttr(size)};
  }

  /// Scratch of the function.
  Value allocate(ArrayRef<int64_t> shape) {
    OpBuilder::InsertionGuard guard(b);
    auto function = op->getParentOfType<FunctionOpInterface>();
    b.setInsertionPointToStart(&function.getFunctionBody().front());
    auto type = MemRefType::get(shape, b.getF32Type());
    return memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
  }
  /// Merges `chunk`, tokens x heads x row, into `running`, unless that has none
  /// yet (`number` is 0).
  void emitStep(Value chunk, Value running, Value number) {
    emitHalideCall(b, sized("attention_step"),
                   {chunk, running, number, running});
  }
  void emitResult(Value running, Value result) {
    emitHalideCall(b, sized("attention_result"), {running, result});
  }
  HalideKernel sized(StringRef generator) {
    HalideKernel kernel = {generator, {}, {}};
    kernel.contract = false;
    HalideParams params(b, kernel);
    params.add("heads", heads);
    params.add("head_dim", headDim);
    return kernel;
  }

  ImplicitLocOpBuilder &b;
  Operation *op;
  int64_t heads, headDim; ///< heads of a call
};

/// fused_attention and attention_partials.
class HalideChunks : HalideAttention {
public:
  template <typename OpTy>
  HalideChunks(ImplicitLocOpBuilder &b, OpTy op)
      : HalideAttention(b, op, op.getHeads() / op.getKvHeads(),
                        op.getHeadDim()),
        kvHeads(op.getKvHeads()), scale(op.getScale()), q(op.getQ()),
        keys(op.getKeys()), values(op.getValues()),
        positions(op.getPositions()), sequences(op.getSequences()),
        tables(op.getTables()), layer(op.getLayer()), init(op.getInit()) {}

  void emitFused();
  void emitPartials(Value first);

private:
  /// What a kernel may have, and its scratch.
  struct Group {
    int64_t tokens, tile;
  };
  Group planGroup();
  void emitGroup(const Group &group, Value kvHead, Value token, Value count);
  Value emitRun(const Group &group, Value token, Value tokens);
  void emitChunk(const Group &group, Value kvHead, Value token, Value count,
                 Value chunk, Value output, Value sums, Value highest);
  Value cachePart(Value cache, Value kvHead);
  Value addressOf(Value memref);
  void allocateScores(int64_t tokens);
  bool isQuantized() {
    return cast<MemRefType>(keys.getType()).getElementType().isInteger();
  }

  int64_t kvHeads;
  APFloat scale;
  Value q, keys, values, positions, sequences, tables, layer, init;
  Value scores, weighted, chunkRows, running;
};

} // namespace

/// Tokens by powers of two, as many as their rows allow.
HalideChunks::Group HalideChunks::planGroup() {
  int64_t known = cast<MemRefType>(q.getType()).getDimSize(0);
  int64_t most = ShapedType::isDynamic(known)
                     ? kAttentionTokenTile
                     : std::min(known, kAttentionTokenTile);
  Group group = {1, 1};
  while (2 * group.tile * heads <= kTileRows && 2 * group.tile <= most)
    group.tile *= 2;
  group.tokens = group.tile;
  while (2 * group.tokens * heads <= kGroupRows && 2 * group.tokens <= most &&
         2 * group.tokens * heads * headDim <= kGroupElements)
    group.tokens *= 2;
  return group;
}

/// Pages of one kv head: the cache without its layer and heads.
Value HalideChunks::cachePart(Value cache, Value kvHead) {
  SmallVector<SliceDim> dims(cast<MemRefType>(cache.getType()).getRank());
  dims[0].index = layer;
  dims[2].index = kvHead;
  return slice(b, cache, dims);
}

/// Of a memref's first element, as i64.
Value HalideChunks::addressOf(Value memref) {
  auto data = memref::ExtractStridedMetadataOp::create(b, memref);
  auto element = cast<MemRefType>(memref.getType()).getElementTypeBitWidth();
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  address = add(address, mul(data.getOffset(), element / 8));
  return arith::IndexCastOp::create(b, b.getI64Type(), address);
}

void HalideChunks::emitChunk(const Group &group, Value kvHead, Value token,
                             Value count, Value chunk, Value output, Value sums,
                             Value highest) {
  HalideKernel kernel = sized("attention_chunk");
  HalideParams params(b, kernel);
  params.add("scale", scale);
  params.add("element", cast<MemRefType>(keys.getType()).getElementType());
  params.add("tokens", group.tokens);
  params.add("tile", group.tile);
  // A token on its own waits for memory.
  bool ahead = group.tokens == 1 && !isQuantized();
  params.add("ahead", ahead);
  Value queries = slice(b, q,
                        {part(token, count), part(mul(kvHead, heads * headDim),
                                                  index(heads * headDim))});
  Value table = slice(b, tables, {{load(sequences, token)}, {}});
  Value keyPages = cachePart(keys, kvHead);
  Value valuePages = cachePart(values, kvHead);
  SmallVector<Value> operands{
      queries, keyPages, valuePages, table, load(positions, token), chunk};
  if (ahead)
    operands.append({addressOf(keyPages), addressOf(valuePages)});
  // Their scales are among the bytes.
  if (isQuantized())
    operands.append({keyPages, valuePages});
  auto scratch = [&](Value memory) {
    return slice(b, memory,
                 {part(index(0), count), {}, part(0, kChunkPages), {}, {}});
  };
  operands.append({scratch(scores), scratch(scores), output, sums, highest});
  if (isQuantized())
    operands.push_back(scratch(weighted));
  emitHalideCall(b, kernel, operands);
}

/// A page more than a chunk has: rows of a power of two would meet in few sets
/// of L1.
void HalideChunks::allocateScores(int64_t tokens) {
  scores = allocate({tokens, heads, kChunkPages + 1, kPageBlocks, kLanes});
  if (isQuantized())
    weighted = allocate({tokens, heads, kChunkPages + 1, kPageBlocks, kLanes});
}

void HalideChunks::emitPartials(Value first) {
  allocateScores(1);
  Value tokens = dimSize(b, q, 0), chunks = dimSize(b, init, 2);
  loop(index(0), index(kvHeads), [&](Value kvHead) {
    loop(index(0), tokens, [&](Value token) {
      Value all = add(div(load(positions, token), kChunk), index(1));
      Value end = min(add(first, chunks), all);
      loop(first, end, [&](Value chunk) {
        SliceDim own = part(token, index(1));
        SliceDim group = part(mul(kvHead, heads), index(heads));
        SliceDim place = {sub(chunk, first)};
        emitChunk(
            {1, 1}, kvHead, token, index(1), chunk,
            slice(b, init, {own, group, place, part(0, headDim)}),
            slice(b, init, {own, group, place, part(headDim, kLanes)}),
            slice(b, init, {own, group, place, {index(headDim + kLanes)}}));
      });
    });
  });
}

/// How many tokens from this one on are consecutive positions of one sequence
/// in one page.
Value HalideChunks::emitRun(const Group &group, Value token, Value tokens) {
  Value position = load(positions, token), sequence = load(sequences, token);
  Value most = min(sub(tokens, token), index(group.tokens));
  return buildLoop(
      b, index(1), most, 1, index(1),
      [&](Value i, ValueRange carried) -> SmallVector<Value> {
        Value at = add(token, i), expected = add(position, i);
        auto equal = [&](Value x, Value y) -> Value {
          return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, y);
        };
        auto both = [&](Value x, Value y) -> Value {
          return arith::AndIOp::create(b, x, y);
        };
        Value fits = equal(carried[0], i);
        fits = both(fits, equal(load(positions, at), expected));
        fits = both(fits, equal(load(sequences, at), sequence));
        fits = both(fits, equal(div(expected, kPage), div(position, kPage)));
        return {arith::SelectOp::create(b, fits, add(carried[0], index(1)),
                                        carried[0])};
      })[0];
}

void HalideChunks::emitGroup(const Group &group, Value kvHead, Value token,
                             Value count) {
  SliceDim own = part(index(0), count);
  Value rows = slice(b, chunkRows, {own, {}, {}});
  Value sums = slice(b, running, {own, {}, {}});
  Value chunks = add(div(load(positions, token), kChunk), index(1));
  loop(index(0), chunks, [&](Value chunk) {
    emitChunk(group, kvHead, token, count, chunk,
              slice(b, chunkRows, {own, {}, part(0, headDim)}),
              slice(b, chunkRows, {own, {}, part(headDim, kLanes)}),
              slice(b, chunkRows, {own, {}, {index(headDim + kLanes)}}));
    emitStep(rows, sums, chunk);
  });
  emitResult(sums, slice(b, init,
                         {part(token, count), part(mul(kvHead, heads * headDim),
                                                   index(heads * headDim))}));
}

void HalideChunks::emitFused() {
  Group group = planGroup();
  allocateScores(group.tokens);
  chunkRows = allocate({group.tokens, heads, headDim + kRowTail});
  running = allocate({group.tokens, heads, headDim + kRowTail});
  Value tokens = dimSize(b, q, 0);
  loop(index(0), index(kvHeads), [&](Value kvHead) {
    auto single = [&](Value token) {
      emitGroup({1, 1}, kvHead, token, index(1));
    };
    if (group.tokens == 1)
      return loop(index(0), tokens, single);
    // Its blocks one by one, as a kernel's function goes to the module around.
    auto whileOp = scf::WhileOp::create(b, TypeRange{b.getIndexType()},
                                        ValueRange{index(0)});
    OpBuilder::InsertionGuard guard(b);
    Block *before =
        b.createBlock(&whileOp.getBefore(), {}, b.getIndexType(), b.getLoc());
    scf::ConditionOp::create(b,
                             arith::CmpIOp::create(b, arith::CmpIPredicate::slt,
                                                   before->getArgument(0),
                                                   tokens),
                             before->getArguments());
    Block *after =
        b.createBlock(&whileOp.getAfter(), {}, b.getIndexType(), b.getLoc());
    Value token = after->getArgument(0);
    Value run = emitRun(group, token, tokens);
    Value isGroup =
        arith::CmpIOp::create(b, arith::CmpIPredicate::sge, run, index(2));
    auto choice = scf::IfOp::create(b, b.getIndexType(), isGroup,
                                    /*withElseRegion=*/true);
    {
      OpBuilder::InsertionGuard inner(b);
      b.setInsertionPointToEnd(choice.thenBlock());
      emitGroup(group, kvHead, token, run);
      scf::YieldOp::create(b, add(token, run));
      b.setInsertionPointToEnd(choice.elseBlock());
      single(token);
      scf::YieldOp::create(b, add(token, index(1)));
    }
    scf::YieldOp::create(b, choice.getResults());
  });
}

namespace {

class HalideMerge : HalideAttention {
public:
  HalideMerge(ImplicitLocOpBuilder &b, AttentionMergeOp op)
      : HalideAttention(b, op, op.getHeads(), op.getHeadDim()), merge(op) {}

  void emit() {
    Value running = allocate({1, heads, headDim + kRowTail});
    loop(index(0), dimSize(b, merge.getInit(), 0), [&](Value token) {
      Value position = load(merge.getPositions(), token);
      SliceDim own = part(token, index(1));
      loop(index(0), add(div(position, kChunk), index(1)), [&](Value chunk) {
        emitStep(slice(b, merge.getPartials(), {own, {}, {chunk}, {}}), running,
                 chunk);
      });
      emitResult(running, slice(b, merge.getInit(), {own, {}}));
    });
  }

private:
  AttentionMergeOp merge;
};

} // namespace

static std::string shapeRefusal(int64_t heads, int64_t headDim,
                                StringRef provider) {
  if (!autoscheduler(provider).empty())
    return "its kernels have a schedule by hand only";
  if (headDim % kLanes)
    return llvm::formatv("its head_dim {0} is not a multiple of {1}", headDim,
                         kLanes)
        .str();
  if (heads > kMostHeads)
    return llvm::formatv("{0} heads share a kv head, more than {1}", heads,
                         kMostHeads)
        .str();
  return "";
}

template <typename OpTy>
static std::string refusal(OpTy op, StringRef provider) {
  if (getElementTypeOrSelf(op.getKeys()).isInteger(16))
    return "no generator multiplies codes of 16 bits";
  std::string why =
      shapeRefusal(op.getHeads() / op.getKvHeads(), op.getHeadDim(), provider);
  if (!why.empty())
    return why;
  if (op.getWindow())
    return "no generator has a window";
  if (op.getSoftcap())
    return "no generator has a soft cap";
  if (op.getSlopes() || op.getBias())
    return "no generator adds to scores by distance";
  if (op.getSinks())
    return "no generator has sinks";
  return "";
}

std::string cria::attentionRefusal(FusedAttentionOp op, StringRef provider) {
  return refusal(op, provider);
}
std::string cria::attentionRefusal(AttentionPartialsOp op, StringRef provider) {
  return refusal(op, provider);
}

std::string cria::bindAttention(ImplicitLocOpBuilder &b, FusedAttentionOp op,
                                const HalideBinding &binding) {
  std::string why = refusal(op, binding.provider);
  if (why.empty())
    HalideChunks(b, op).emitFused();
  return why;
}

std::string cria::bindAttention(ImplicitLocOpBuilder &b, AttentionPartialsOp op,
                                const HalideBinding &binding) {
  std::string why = refusal(op, binding.provider);
  if (why.empty())
    HalideChunks(b, op).emitPartials(op.getFirst());
  return why;
}

std::string cria::attentionRefusal(AttentionMergeOp op, StringRef provider) {
  if (op.getWindow())
    return "no generator has a window";
  if (op.getSinks())
    return "no generator has sinks";
  return shapeRefusal(1, op.getHeadDim(), provider);
}

std::string cria::bindAttention(ImplicitLocOpBuilder &b, AttentionMergeOp op,
                                const HalideBinding &binding) {
  std::string why = attentionRefusal(op, binding.provider);
  if (why.empty())
    HalideMerge(b, op).emit();
  return why;
}
