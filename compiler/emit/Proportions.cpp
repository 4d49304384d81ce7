// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/emit/Proportions.h"

#include "dialect/CriaOps.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace cria;
using namespace mlir;

static int64_t elements(Type type) {
  return llvm::TypeSwitch<Type, int64_t>(type)
      .Case<WeightType>([](WeightType weight) {
        int64_t count = 1;
        for (int64_t size : weight.getShape())
          count *= size;
        return count;
      })
      .Case<ShapedType>([](ShapedType shaped) {
        return shaped.hasStaticShape() ? shaped.getNumElements() : 0;
      })
      .Default([](Type) { return 0; });
}

llvm::json::Object cria::proportions(ModuleOp module) {
  int64_t parameters = 0, multiplied = 0;
  llvm::StringMap<int64_t> sizes;
  for (auto param : module.getOps<ParamOp>()) {
    sizes[param.getSymName()] = elements(param.getType());
    parameters += sizes[param.getSymName()];
  }
  llvm::StringSet<> looked, readWhole;
  bool gated = false;
  module.walk([&](Operation *op) {
    gated |= isa<GluOp>(op);
    auto load = dyn_cast<LoadOp>(op);
    if (!load)
      return;
    for (Operation *user : load->getUsers()) {
      if (isa<EmbedOp, PositionOp>(user)) {
        looked.insert(load.getParam());
        continue;
      }
      readWhole.insert(load.getParam());
      if (isa<LinearOp>(user))
        multiplied += sizes.lookup(load.getParam());
    }
  });
  llvm::json::Array lookups;
  for (auto param : module.getOps<ParamOp>())
    if (looked.contains(param.getSymName()) &&
        !readWhole.contains(param.getSymName()))
      lookups.push_back(param.getSymName());
  return llvm::json::Object{{"parameters", parameters},
                            {"matmul_parameters", multiplied},
                            {"row_lookups", std::move(lookups)},
                            {"gated", gated}};
}
