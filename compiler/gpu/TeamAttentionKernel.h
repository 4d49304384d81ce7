// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The loops of one attention of a team. VectorizeTeamAttention.cpp has tokens
// and tiles, TeamAttentionStep.cpp what a warp does with some positions.

#ifndef CRIA_COMPILER_GPU_TEAMATTENTIONKERNEL_H
#define CRIA_COMPILER_GPU_TEAMATTENTIONKERNEL_H

#include "compiler/gpu/AttentionTiles.h"
#include "compiler/vector/AttentionBuilder.h"

namespace cria {

/// Writes the loops of one op.
class TeamAttentionKernel : AttentionBuilder {
public:
  template <typename OpTy>
  explicit TeamAttentionKernel(OpTy op)
      : AttentionBuilder(op, op.getHeadDim(), op.getWindow()), noThread(b),
        q(op.getQ()), keys(op.getKeys()), values(op.getValues()),
        positions(op.getPositions()), sequences(op.getSequences()),
        tables(op.getTables()), slopes(op.getSlopes()), bias(op.getBias()),
        layer(op.getLayer()), init(op.getInit()), kvHeads(op.getKvHeads()),
        ratio(op.getHeads() / op.getKvHeads()),
        scale(op.getScale().convertToDouble()),
        isBf16(llvm::cast<mlir::MemRefType>(op.getKeys().getType())
                   .getElementType()
                   .isBF16()),
        step(tiles::stepPositions(headDim)) {
    if (op.getSoftcap())
      softcap = op.getSoftcap()->convertToDouble();
    if constexpr (std::is_same_v<OpTy, AttentionPartialsOp>)
      first = op.getFirst();
    else
      sinks = op.getSinks();
    f32Type = b.getF32Type();
    i32Type = b.getI32Type();
  }

  void emitTokens();
  void emitPartials();

private:
  static constexpr int64_t kChunk = CriaDialect::kChunkTokens;

  /// Of the two rows that a thread has accumulators of.
  struct Row {
    Value exists;   ///< else it is a copy of the last one
    Value token;    ///< of the batch
    Value head;     ///< among the kv head's
    Value position; ///< i32
    Value lowest;   ///< i32, where there is a window
  };
  /// What is carried through a chunk or all chunks: of 2 rows a maximum and a
  /// sum (of a chunk: the thread's own), then 4 accumulators for each 8
  /// columns.
  using State = Values;

  Value i32(int64_t v) { return team->i32(v); }
  Value word(Value index) { return team->word(index); }
  Value number(double v) { return f32(v, f32Type); }
  Value select(Value condition, Value x, Value y) {
    return mlir::arith::SelectOp::create(b, condition, x, y);
  }
  Value both(Value x, Value y) { return mlir::arith::AndIOp::create(b, x, y); }
  Value bitcast(Type type, Value x) {
    return mlir::arith::BitcastOp::create(b, type, x);
  }
  Value max(Value x, Value y) {
    return mlir::arith::MaxNumFOp::create(b, x, y);
  }
  // Of an index or of i32, which is what positions, steps and places are: half
  // the registers.
  Value like(Value x, int64_t v) {
    return x.getType().isIndex() ? idx(v) : i32(v);
  }
  Value add(Value x, Value y) { return AttentionBuilder::add(x, y); }
  Value add(Value x, int64_t y) { return y ? add(x, like(x, y)) : x; }
  Value mul(Value x, int64_t y) {
    return y == 1 ? x : Value(mlir::arith::MulIOp::create(b, x, like(x, y)));
  }
  Value div(Value x, int64_t y) {
    return mlir::arith::DivUIOp::create(b, x, like(x, y));
  }
  Value rem(Value x, int64_t y) {
    return mlir::arith::RemUIOp::create(b, x, like(x, y));
  }
  Value lowest(Value position) {
    if (!window)
      return like(position, 0);
    return maxIndex(add(position, 1 - window), like(position, 0));
  }
  /// f32 or i32 of the lane of the group whose number differs by `bits`.
  Value fromLane(Value x, int64_t bits) { return team->shuffleXor(x, bits); }
  Values when(Value condition, mlir::TypeRange types,
              llvm::function_ref<Values()> yes,
              llvm::function_ref<Values()> no);
  void when(Value condition, llvm::function_ref<void()> f) {
    auto branch =
        mlir::scf::IfOp::create(b, condition, /*withElseRegion=*/false);
    mlir::OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    f();
  }

  Value emitRun(Value row, Value tokens, int64_t most);
  void emitTile(tiles::Split way, Value row, Value run, Value kvHead,
                Value chunk, Value slot);
  Value firstRow() {
    return mul(div(word(team->warp), split.parts), tiles::kRows);
  }
  Value part() {
    return split.parts == 1 ? i32(0) : rem(word(team->warp), split.parts);
  }
  /// The thread's row quad or, with `which` 1, the one 8 below.
  Row rowOf(int64_t which);
  Values loadQueries(Value kvHead);
  Value swizzled(Value piece, Value row, int64_t pieces);
  static int64_t swizzledBits(int64_t pieces) {
    return std::min<int64_t>(3, llvm::countr_zero(uint64_t(pieces)));
  }
  /// Pairs of V's pieces from which on the ways to change places repeat.
  int64_t valueWays() const {
    return (int64_t(1) << swizzledBits(headDim / tiles::kPiece)) / 2;
  }
  Value readPlace(Value stage, Value piece, int64_t pieces);
  Value pageBase(Value cache, Value kvHead);
  Value physicalPage(Value stepIndex) { // i32
    return load(tables, {sequence, team->index(div(stepIndex, kPage / step))});
  }
  void copyUnit(Value cache, Value base, Value stepIndex, Value physical,
                Value stage, int64_t pieces);
  Value stageAfter(Value stage) {
    Value next = add(stage, 2 * unitWords());
    Value isEnd = cmp(mlir::arith::CmpIPredicate::eq, next,
                      i32(2 * unitWords() * stageCount));
    return select(isEnd, i32(0), next);
  }
  Value stageBefore(Value stage) {
    Value isFirst = cmp(mlir::arith::CmpIPredicate::eq, stage, i32(0));
    return select(isFirst, i32(2 * unitWords() * (stageCount - 1)),
                  add(stage, -2 * unitWords()));
  }
  int64_t unitWords() const { return step * headDim / 2; }
  /// Where the thread has one of its words of Q.
  Value keptPlace(int64_t word) {
    return add(team->thread,
               stageCount * 2 * unitWords() +
                   (word - (headDim / 4 - kept)) * kGpuBlockThreads);
  }

  State emitStep(Value start, Value stage, llvm::ArrayRef<Value> queries,
                 Value kvHead, ValueRange state);
  Values emitScores(Value stage, llvm::ArrayRef<Value> queries);
  Values adjustScores(ValueRange scores, Value start, Value kvHead);
  Values maskScores(ValueRange scores, Value start);
  Values emitSoftmax(ValueRange scores, ValueRange state);
  State addValues(Value stage, ValueRange weights, ValueRange output);
  State merge(ValueRange running, ValueRange chunk);
  Value quadSum(Value sum) {
    sum = fadd(sum, fromLane(sum, 1));
    return fadd(sum, fromLane(sum, 2));
  }
  void storeResult(ValueRange state, Value kvHead);
  void storePartials(ValueRange state, Value kvHead, Value slot);

  /// Who the calling thread is, and what of the tile at hand it has, computed
  /// anew where that is used: registers for it through all steps would make
  /// ptxas spill.
  class Fresh {
  public:
    explicit Fresh(TeamAttentionKernel &emitter)
        : emitter(emitter), team(emitter.noThread.again()),
          before(emitter.team) {
      emitter.team = &team;
    }
    ~Fresh() { emitter.team = before; }

  private:
    TeamAttentionKernel &emitter;
    TeamBuilder team, *before;
  };

  TeamBuilder noThread, *team = &noThread;
  Value q, keys, values, positions, sequences, tables, sinks, slopes, bias;
  Value layer, init;
  Value first; ///< chunk of the first partials, or null
  int64_t kvHeads, ratio;
  double scale;
  std::optional<double> softcap;
  bool isBf16;
  int64_t step;
  Type f32Type, i32Type;
  // Of the tile at hand.
  tiles::Split split;
  int64_t stageCount, kept; // kept: words of Q in shared memory
  int64_t columnTiles;      // of 8 columns, that a warp has
  Value firstToken, lastRow, sequence, firstPosition, lastPosition;
};

} // namespace cria

#endif // CRIA_COMPILER_GPU_TEAMATTENTIONKERNEL_H
