// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/GemmResults.h"

#include "compiler/vector/LinearEpilogue.h"

using namespace mlir;
using namespace cria;

using Values = SmallVector<Value>;

void GemmResults::emit(ImplicitLocOpBuilder &b, FusedLinearOp op,
                       const LinearRows &rows, TeamBuilder &team) const {
  auto add = [&](Value p, Value q) -> Value {
    return arith::AddIOp::create(b, p, q);
  };
  auto mul = [&](Value p, int64_t q) -> Value {
    return arith::MulIOp::create(b, p, constIndex(b, q));
  };
  auto div = [&](Value p, int64_t q) -> Value {
    return arith::DivUIOp::create(b, p, constIndex(b, q));
  };
  auto rem = [&](Value p, int64_t q) -> Value {
    return arith::RemUIOp::create(b, p, constIndex(b, q));
  };
  auto below = [&](Value p, Value q) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, p, q);
  };
  auto weights = static_cast<int64_t>(op.getWeights().size());
  Value own = mul(team.warp, warpPlaces);
  Value n = dimSize(b, op.getActs()[0], 0);

  buildLoop(
      b, constIndex(b, 0), constIndex(b, tiles), 1, {},
      [&](Value tile, ValueRange) -> Values {
        // Registers have no index: the loop is for the epilogue's sake, which
        // is long.
        for (int64_t i = 0; i < tiles; ++i) {
          Value isOwn = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, tile,
                                              constIndex(b, i));
          auto branch = scf::IfOp::create(b, isOwn, /*withElseRegion=*/false);
          OpBuilder::InsertionGuard guard(b);
          b.setInsertionPointToStart(branch.thenBlock());
          put(i, own);
        }
        team.sync();
        Value item = rem(team.group, 2);
        Value first = add(firstToken, mul(tile, kTokens));
        buildLoop(b, item, constIndex(b, kTokens * groups), 2, {},
                  [&](Value item, ValueRange) -> Values {
                    Value inTile = div(item, groups), group = rem(item, groups);
                    Value token = add(first, inTile);
                    Value number = rowGroup(group);
                    Value exists = arith::AndIOp::create(
                        b, below(token, n), below(number, rows.groups));
                    auto branch =
                        scf::IfOp::create(b, exists, /*withElseRegion=*/false);
                    OpBuilder::InsertionGuard guard(b);
                    b.setInsertionPointToStart(branch.thenBlock());
                    Value lane = mul(number, cria::kLanes);
                    Value at = add(own, add(mul(inTile, stride), team.lane));
                    Values accumulators;
                    for (int64_t w = 0; w < weights; ++w)
                      accumulators.push_back(
                          team.lanes(team.get(add(at, place(w, group)))));
                    emitEpilogue(b, op, token, lane, rows.mask(b, lane),
                                 rows.count, accumulators);
                    return {};
                  });
        team.sync(); // before the next tile's sums, or the next task's stages
        return {};
      });
}
