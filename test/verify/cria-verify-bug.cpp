// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria-verify of a compiler with the bug that CRIA_BUG names: what a pass left
// is spoilt before anything looks at it.

#include "compiler/verify/VerifyMain.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"

#include <cstdlib>

using namespace cria;
using namespace mlir;

namespace {

/// cria-fuse-glu puts another activation into the epilogue of gate and up.
void wrongActivation(Operation *op) {
  op->walk([](ActivationOp activation) {
    if (auto linear = activation->getParentOfType<FusedLinearOp>();
        linear && linear.getWeights().size() == 2)
      activation.setKind(ActivationKind::relu);
  });
}

/// The same, in the second of several kinds of layers.
void wrongActivationOfKind(Operation *op) {
  op->walk([](ActivationOp activation) {
    auto linear = activation->getParentOfType<FusedLinearOp>();
    auto load =
        linear ? linear.getWeights()[0].getDefiningOp<LoadOp>() : nullptr;
    if (load && load.getParam() == "ffn_gate_1")
      activation.setKind(ActivationKind::relu);
  });
}

/// cria-fuse-residual subtracts in the linears of attention's output.
void wrongSign(Operation *op) {
  op->walk([](FusedLinearOp linear) {
    auto load = linear.getWeights()[0].getDefiningOp<LoadOp>();
    if (!linear.getAccumulate() || !load || load.getParam() != "attn_output")
      return;
    linear.getEpilogue().walk([](arith::AddFOp add) {
      OpBuilder b(add);
      add.replaceAllUsesWith(
          arith::SubFOp::create(b, add.getLoc(), add.getLhs(), add.getRhs())
              .getResult());
      add.erase();
    });
  });
}

/// cria-vectorize-linear takes powers of 2 for those of e in activations.
void wrongBase(Operation *op) {
  op->walk([](math::ExpOp exp) {
    OpBuilder b(exp);
    exp.replaceAllUsesWith(
        math::Exp2Op::create(b, exp.getLoc(), exp.getOperand()).getResult());
    exp.erase();
  });
}

/// cria-fuse-residual takes the weights of attention's output from layer 1 in
/// all that follow.
void wrongLayer(Operation *op) {
  op->walk([](LoadOp load) {
    if (load.getParam() != "attn_output" || !load.getLayer())
      return;
    OpBuilder b(load);
    Value one = arith::ConstantIndexOp::create(b, load.getLoc(), 1);
    load.getLayerMutable().assign(
        arith::MinUIOp::create(b, load.getLoc(), load.getLayer(), one)
            .getResult());
  });
}

struct Bug {
  StringLiteral name, pass;
  void (*make)(Operation *);
};
constexpr Bug kBugs[] = {{"activation", "cria-fuse-glu", wrongActivation},
                         {"kind", "cria-fuse-glu", wrongActivationOfKind},
                         {"sign", "cria-fuse-residual", wrongSign},
                         {"layer", "cria-fuse-residual", wrongLayer},
                         {"base", "cria-vectorize-linear", wrongBase}};

} // namespace

int main(int argc, char **argv) {
  const char *wanted = std::getenv("CRIA_BUG");
  return verifyMain(argc, argv, [&](StringRef pass, Operation *op) {
    for (const Bug &bug : kBugs)
      if (wanted && bug.name == wanted && bug.pass == pass)
        bug.make(op);
  });
}
