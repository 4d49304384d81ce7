// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/Passes.h"
#include "compiler/tile/Schedule.h"
#include "dialect/CriaOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

namespace cria {
#define GEN_PASS_DEF_APPLYSCHEDULES
#include "compiler/Passes.h.inc"
} // namespace cria

using namespace mlir;
using namespace cria;

namespace {

struct ApplySchedules : cria::impl::ApplySchedulesBase<ApplySchedules> {
  using ApplySchedulesBase::ApplySchedulesBase;

  DictionaryAttr attributeOf(const TunedOp &tuned) {
    Builder b(&getContext());
    SmallVector<NamedAttribute> knobs;
    for (const auto &[name, value] : tuned.winner)
      knobs.push_back(b.getNamedAttr(name, b.getI64IntegerAttr(value)));
    if (tuned.provider != kCriaProvider)
      knobs.push_back(
          b.getNamedAttr(kProviderKnob, b.getStringAttr(tuned.provider)));
    return b.getDictionaryAttr(knobs);
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::Expected<TuningRecord> record = TuningRecord::read(file);
    if (!record) {
      module.emitError(llvm::toString(record.takeError()));
      return signalPassFailure();
    }
    llvm::DenseMap<const TunedOp *, std::string> otherShape;
    llvm::DenseSet<const TunedOp *> used;
    for (auto func : module.getOps<func::FuncOp>()) {
      auto version = func->getAttrOfType<StringAttr>("cria.version");
      if (!version)
        continue;
      func.walk([&](Operation *op) {
        std::string name = scheduleName(op);
        if (name.empty())
          return;
        for (const TunedOp &tuned : record->ops) {
          if (tuned.op != name || tuned.version != version.getValue())
            continue;
          if (std::string shape = scheduleShape(op); shape != tuned.shape) {
            otherShape[&tuned] = shape;
            continue;
          }
          used.insert(&tuned);
          if (DictionaryAttr knobs = attributeOf(tuned); !knobs.empty())
            op->setDiscardableAttr(kScheduleAttr, knobs);
        }
      });
    }
    if (used.empty()) {
      module.emitError() << file
                         << ": none of its ops is in this model; the record "
                            "is of another one";
      return signalPassFailure();
    }
    // In the record's order.
    for (const TunedOp &tuned : record->ops) {
      if (used.contains(&tuned))
        continue;
      InFlightDiagnostic remark = module.emitRemark()
                                  << file << ": " << tuned.op << ", "
                                  << tuned.version << ", is not used: ";
      if (auto found = otherShape.find(&tuned); found != otherShape.end())
        remark << "its shape was " << tuned.shape << ", and is "
               << found->second;
      else
        remark << "the model has no such op";
    }
  }
};

} // namespace
