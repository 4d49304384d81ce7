// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/Verifier.h"

#include "compiler/import/PackWeights.h"
#include "dialect/CriaOps.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace cria;
using namespace mlir;

Verifier::Verifier(ImportedModel model, std::unique_ptr<SafetensorsFile> packed,
                   Trial trial, Options options, std::string scratchFolder)
    : model(std::move(model)), packed(std::move(packed)),
      trial(std::move(trial)), options(std::move(options)),
      scratch(std::move(scratchFolder)) {}

void Verifier::report(llvm::StringRef what) {
  if (options.progress)
    options.progress(what);
}

llvm::Expected<const SafetensorsFile *> Verifier::weightsOf(ModuleOp module) {
  if (packed)
    return packed.get();
  std::string key;
  llvm::raw_string_ostream stream(key);
  for (auto param : module.getOps<ParamOp>())
    stream << param << "\n";
  std::unique_ptr<SafetensorsFile> &file = weights[key];
  if (file)
    return file.get();
  llvm::SmallString<256> path(scratch);
  llvm::sys::path::append(path,
                          std::to_string(weights.size()) + ".safetensors");
  report("packing weights");
  if (llvm::Error error = packWeights(module, model.weights.get(), std::nullopt,
                                      path, [](uint64_t, uint64_t) {}, {}))
    return error;
  llvm::Expected<std::unique_ptr<SafetensorsFile>> opened =
      SafetensorsFile::open(path);
  if (!opened)
    return opened.takeError();
  file = std::move(*opened);
  return file.get();
}

llvm::Expected<const Logits *> Verifier::logits(size_t step) {
  auto [entry, isNew] = known.try_emplace(step);
  if (!isNew)
    return &entry->second;
  ModuleOp module = *allSteps[step].module;
  llvm::Expected<const SafetensorsFile *> file = weightsOf(module);
  if (!file)
    return file.takeError();
  const std::string &pass = allSteps[step].pass;
  report("after " + (pass.empty() ? "import" : pass));
  llvm::Expected<std::unique_ptr<Program>> program =
      Program::reference(module.clone(), options.target);
  if (!program)
    return llvm::createStringError("after " + pass + ": " +
                                   llvm::toString(program.takeError()));
  llvm::Expected<Logits> result = (*program)->run(trial, **file);
  if (!result)
    return result.takeError();
  entry->second = std::move(*result);
  return &entry->second;
}

llvm::Expected<Logits> Verifier::nativeLogits() {
  ModuleOp module = *allSteps.back().module;
  llvm::Expected<const SafetensorsFile *> file = weightsOf(module);
  if (!file)
    return file.takeError();
  report("machine code");
  llvm::Expected<std::unique_ptr<Program>> program =
      Program::native(module.clone(), options.target);
  if (!program)
    return program.takeError();
  return (*program)->run(trial, **file);
}

/// Rounding to int8 is left out as long as rows and linears run by the
/// reference; after that a last bit may become another code.
static constexpr double kInt8Error = 0.3, kInt8Kl = 0.03;

Tolerance Verifier::toleranceOf(size_t step) const {
  constexpr double any = std::numeric_limits<double>::infinity();
  llvm::StringRef pass = allSteps[step].pass;
  if (pass == "cria-quantize")
    return {any, any, "other weights"};
  if (pass == "cria-set-kv-type")
    return {0.03, 0.001, "KV cache of 16 bits"};
  if (step == quantisedFrom)
    return {kInt8Error, kInt8Kl, "activations of int8"};
  if (step > quantisedFrom)
    return {kInt8Error, kInt8Kl, nullptr};
  return {options.tolerance, options.tolerance, nullptr};
}

/// The end of each stage, and both sides of each pass that changes arithmetic:
/// what is between may be compared closely.
std::vector<Comparison> Verifier::plan() const {
  std::vector<Comparison> plan;
  size_t last = 0;
  auto add = [&](size_t after) {
    if (after == last)
      return;
    Comparison next;
    next.before = last;
    next.after = after;
    next.tolerance = toleranceOf(after);
    // The pass in question stands alone.
    if (next.tolerance.reason && after != last + 1)
      next.tolerance = {options.tolerance, options.tolerance, nullptr};
    plan.push_back(next);
    last = after;
  };
  for (size_t i = 1; i < allSteps.size(); ++i) {
    if (toleranceOf(i).reason) {
      add(i - 1);
      add(i);
    }
    if (i + 1 == allSteps.size() || allSteps[i + 1].stage != allSteps[i].stage)
      add(i);
  }
  Comparison native;
  native.before = native.after = last;
  native.isNative = true;
  native.tolerance = toleranceOf(last);
  plan.push_back(native);
  if (options.stage)
    llvm::erase_if(plan, [&](const Comparison &each) {
      return (each.isNative ? Stage::llvm : allSteps[each.after].stage) !=
             *options.stage;
    });
  return plan;
}

llvm::Error Verifier::bisect(const Comparison &coarse) {
  Comparison fine = coarse;
  if (coarse.isNative) {
    found = fine;
    return llvm::Error::success();
  }
  llvm::Expected<const Logits *> base = logits(coarse.before);
  if (!base)
    return base.takeError();
  size_t good = coarse.before;
  while (fine.after - good > 1) {
    size_t middle = good + (fine.after - good) / 2;
    llvm::Expected<const Logits *> other = logits(middle);
    if (!other)
      return other.takeError();
    Distance apart = distance(**base, **other);
    if (coarse.tolerance.accepts(apart)) {
      good = middle;
    } else {
      fine.after = middle;
      fine.distance = apart;
    }
  }
  fine.before = fine.after - 1;
  found = fine;
  return llvm::Error::success();
}

llvm::Error Verifier::run() {
  Step first;
  first.stage = packed ? Stage::dialect : Stage::import;
  first.module = model.module->clone();
  allSteps.push_back(std::move(first));
  if (failed(tracePasses(*model.module, packed ? Stage::fuse : Stage::dialect,
                         options.line, options.afterPass, allSteps)))
    return llvm::createStringError("the pipeline failed");

  quantisedFrom = allSteps.size();
  bool isQuantised = false;
  for (auto param : allSteps.back().module->getOps<ParamOp>())
    if (auto weight = dyn_cast<WeightType>(param.getType()))
      isQuantised |= weight.isQuantized();
  for (size_t i = 0; isQuantised && i < allSteps.size(); ++i)
    if (allSteps[i].pass == "cria-vectorize-rows")
      quantisedFrom = i;

  std::vector<Comparison> wanted = plan();
  for (Comparison &each : wanted) {
    llvm::Expected<const Logits *> before = logits(each.before);
    if (!before)
      return before.takeError();
    if (each.isNative) {
      llvm::Expected<Logits> after = nativeLogits();
      if (!after)
        return after.takeError();
      each.distance = distance(**before, *after);
    } else {
      llvm::Expected<const Logits *> after = logits(each.after);
      if (!after)
        return after.takeError();
      each.distance = distance(**before, **after);
    }
    compared.push_back(each);
    if (!each.agrees() && !found)
      if (llvm::Error error = bisect(each))
        return error;
  }
  return llvm::Error::success();
}
