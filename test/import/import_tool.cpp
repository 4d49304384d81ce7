// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Import by itself, for the tests of this folder: prints the module, and
// packs the weights where asked to. With --each it reads the paths of models
// from stdin, and answers each line by "CODE BYTES BYTES", the module and the
// error: starting takes longer than importing.
#include "compiler/import/Import.h"
#include "compiler/import/PackWeights.h"
#include "dialect/CriaOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

#include <iostream>
#include <string>

using namespace llvm;

static cl::opt<std::string> input(cl::Positional, cl::desc("MODEL"));
static cl::opt<bool> each("each",
                          cl::desc("models from stdin, see the source"));
static cl::opt<std::string> pack("pack", cl::desc("write the weights here"));
static cl::opt<std::string> tokenizer("tokenizer",
                                      cl::desc("write tokenizer.json here"));
static cl::opt<bool> lanes("lanes",
                           cl::desc("give weights their CPU layouts, and "
                                    "permute attn_q and attn_k to "
                                    "interleaved pairs"));
static cl::opt<bool> floats("floats", cl::desc("make all weights f32 rows"));
static cl::opt<bool> noModule("no-module", cl::desc("do not print the module"));
static cl::opt<bool> report("report", cl::desc("print bytes packed"));
static cl::opt<int64_t> contextLength("context", cl::desc("positions"));
static cl::opt<int64_t> batch("batch", cl::desc("tokens a call may have"));
static cl::opt<uint64_t> seed("seed", cl::desc("of random weights"));

static mlir::Type lanesType(mlir::Type of) {
  auto type = dyn_cast<cria::WeightType>(of);
  if (!type)
    return of;
  using cria::OffsetKind;
  using cria::WeightLayout;
  OffsetKind offset = type.getOffset();
  if (type.isQuantized() && offset == OffsetKind::none)
    offset = OffsetKind::zero_point;
  WeightLayout layout = type.isQuantized() ? WeightLayout::n16k4
                        : type.getElement() == cria::ElementKind::bf16
                            ? WeightLayout::n16k2
                            : WeightLayout::n16;
  return cria::WeightType::get(type.getContext(), type.getShape(),
                               type.getElement(), type.getBlock(), offset,
                               layout);
}

static void permuteHeads(mlir::ModuleOp module) {
  auto headDim = module->getAttrOfType<mlir::IntegerAttr>("cria.head_dim");
  for (auto param : module.getOps<cria::ParamOp>()) {
    StringRef name = param.getSymName();
    if (headDim && (name.starts_with("attn_q") || name.starts_with("attn_k"))) {
      param.setPermuteHeadsAttr(headDim);
      param.setPermuteDimsAttr(headDim);
    }
  }
}

static void changeTypes(mlir::ModuleOp module,
                        mlir::Type (&change)(mlir::Type)) {
  for (auto param : module.getOps<cria::ParamOp>())
    param.setType(change(param.getType()));
  module.walk([&](cria::LoadOp load) {
    load.getResult().setType(change(load.getType()));
  });
}

static mlir::Type floatType(mlir::Type of) {
  auto type = dyn_cast<cria::WeightType>(of);
  if (!type)
    return of;
  return cria::WeightType::get(
      type.getContext(), type.getShape(), cria::ElementKind::f32, 0,
      cria::OffsetKind::none, cria::WeightLayout::rows);
}

static int importEach() {
  for (std::string path; std::getline(std::cin, path);) {
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    std::string module, error;
    context.getDiagEngine().registerHandler([&](mlir::Diagnostic &diagnostic) {
      error += diagnostic.str() + "\n";
    });
    Expected<cria::ImportedModel> model =
        cria::importModel(path, context, cria::ImportOptions());
    if (model) {
      raw_string_ostream stream(module);
      model->module->print(stream);
    } else {
      error += "error: " + toString(model.takeError()) + "\n";
    }
    outs() << (module.empty() ? 1 : 0) << " " << module.size() << " "
           << error.size() << "\n"
           << module << error;
    outs().flush();
  }
  return 0;
}

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv);
  if (each)
    return importEach();
  ExitOnError check("error: ");
  mlir::MLIRContext context;
  cria::ImportOptions options;
  if (contextLength.getNumOccurrences())
    options.context = contextLength;
  if (batch.getNumOccurrences())
    options.batch = batch;
  if (seed.getNumOccurrences())
    options.seed = seed;
  cria::ImportedModel model = check(cria::importModel(input, context, options));
  if (lanes) {
    permuteHeads(*model.module);
    changeTypes(*model.module, lanesType);
  }
  if (floats)
    changeTypes(*model.module, floatType);
  if (!noModule) {
    model.module->print(outs());
  }
  if (!tokenizer.empty()) {
    std::error_code error;
    raw_fd_ostream out(tokenizer, error);
    out << model.tokenizerJson;
  }
  if (!pack.empty()) {
    uint64_t packed = 0;
    check(cria::packWeights(
        *model.module, model.weights.get(), std::nullopt, pack,
        [&](uint64_t done, uint64_t) { packed = done; },
        {{"cria.source_hash",
          model.weights ? model.weights->contentHash() : "none"}}));
    if (report)
      outs() << "packed " << packed << " bytes\n";
  }
  return 0;
}
