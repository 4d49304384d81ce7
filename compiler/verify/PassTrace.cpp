// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/PassTrace.h"

#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassRegistry.h"

using namespace cria;
using namespace mlir;

namespace {

class Tracer : public PassInstrumentation {
public:
  Tracer(ModuleOp module, Stage stage, const AfterPass &afterPass,
         std::vector<Step> *steps)
      : module(module), stage(stage), afterPass(afterPass), steps(steps),
        last(module) {}

  void runAfterPass(Pass *pass, Operation *op) override {
    // Adaptors, which run passes on functions, have no argument.
    StringRef name = pass->getArgument();
    if (name.empty() || name == "cria-check-stage")
      return;
    if (afterPass)
      afterPass(name, op);
    if (!steps)
      return;
    OperationFingerPrint now(module);
    if (now == last)
      return;
    last = now;
    Step step;
    step.stage = stage;
    step.pass = name.str();
    llvm::raw_string_ostream text(step.pipeline);
    if (!isa<ModuleOp>(op))
      text << op->getName() << "(";
    pass->printAsTextualPipeline(text, /*pretty=*/false);
    if (!isa<ModuleOp>(op))
      text << ")";
    step.module = module.clone();
    steps->push_back(std::move(step));
  }

private:
  ModuleOp module;
  Stage stage;
  const AfterPass &afterPass;
  std::vector<Step> *steps;
  OperationFingerPrint last;
};

} // namespace

LogicalResult cria::tracePasses(ModuleOp module, Stage first,
                                const PipelineOptions &options,
                                const AfterPass &afterPass,
                                std::vector<Step> &steps) {
  for (Stage stage : {Stage::dialect, Stage::fuse, Stage::tile,
                      Stage::bufferize, Stage::vector}) {
    if (stage < first)
      continue;
    PassManager passes(module.getContext());
    buildStage(passes, stage, options);
    passes.enableVerifier(false);
    passes.addInstrumentation(
        std::make_unique<Tracer>(module, stage, afterPass, &steps));
    if (failed(passes.run(module)) || failed(verify(module)))
      return failure();
  }
  return success();
}

LogicalResult cria::runPipeline(ModuleOp module, StringRef pipeline,
                                const AfterPass &afterPass) {
  PassManager passes(module.getContext());
  if (failed(parsePassPipeline(pipeline, passes)))
    return failure();
  passes.addInstrumentation(std::make_unique<Tracer>(
      module, Stage::import, afterPass, /*steps=*/nullptr));
  return passes.run(module);
}
