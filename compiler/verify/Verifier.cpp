// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/Verifier.h"

#include "compiler/verify/Layers.h"
#include "dialect/CriaOps.h"

#include "llvm/Support/raw_ostream.h"

using namespace cria;
using namespace mlir;

Verifier::Verifier(ImportedModel model, std::unique_ptr<SafetensorsFile> packed,
                   Trial trial, Options options, std::string scratchFolder)
    : model(std::move(model)), packed(std::move(packed)),
      trial(std::move(trial)), options(std::move(options)),
      weights(std::move(scratchFolder), this->model.weights.get(),
              std::nullopt) {}

void Verifier::report(llvm::StringRef what) {
  if (options.progress)
    options.progress(what);
}

llvm::Expected<const SafetensorsFile *> Verifier::weightsOf(ModuleOp module) {
  if (packed)
    return packed.get();
  return weights.of(module);
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
  return (*program)->run(trial, **file, options.threads);
}

/// Rounding to int8 is left out as long as rows and linears run by the
/// reference; after that a last bit may become another code.
static constexpr double kInt8Error = 0.3, kInt8Kl = 0.03;

/// Nor is rounding to bf16, and f16 is none of the reference's. Where a last
/// bit rounds another way, 2^-9 of a number follows.
static constexpr double kHalfError = 0.05, kHalfKl = 0.003;

Tolerance Verifier::toleranceOf(size_t step) const {
  constexpr double any = std::numeric_limits<double>::infinity();
  llvm::StringRef pass = allSteps[step].pass;
  if (pass == "cria-quantize")
    return {any, any, "other weights"};
  if (pass == "cria-set-kv-type")
    return {0.03, 0.001, "KV cache of 16 bits"};
  if (step == codesFrom)
    return options.line.kvType == "i8"
               ? Tolerance{0.1, 0.01, "KV cache of 8 bits"}
               : Tolerance{0.03, 0.001, "KV cache of 16-bit codes"};
  const char *attention = options.line.kvType == "i16" ? "attention in integers"
                                                       : "attention in f16";
  const char *reason = step == quantisedFrom ? "activations of int8"
                       : step == pairsFrom   ? "activations of bf16"
                       : step == halvesFrom  ? attention
                                             : nullptr;
  if (step >= quantisedFrom)
    return {kInt8Error, kInt8Kl, reason};
  if (step >= std::min(pairsFrom, halvesFrom))
    return {kHalfError, kHalfKl, reason};
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

/// How far apart before and after the culprit are when the model ends after
/// `count` layers.
llvm::Expected<Distance> Verifier::distanceOfLayers(int64_t count) {
  Logits results[2];
  for (bool isAfter : {false, true}) {
    ModuleOp module = *allSteps[isAfter ? found->after : found->before].module;
    llvm::Expected<const SafetensorsFile *> file = weightsOf(module);
    if (!file)
      return file.takeError();
    OwningOpRef<ModuleOp> cut = module.clone();
    keepLayers(*cut, count);
    bool isNative = isAfter && found->isNative;
    llvm::Expected<std::unique_ptr<Program>> program =
        isNative ? Program::native(std::move(cut), options.target)
                 : Program::reference(std::move(cut), options.target);
    if (!program)
      return program.takeError();
    llvm::Expected<Logits> logits =
        (*program)->run(trial, **file, isNative ? options.threads : 1);
    if (!logits)
      return logits.takeError();
    results[isAfter] = std::move(*logits);
  }
  return distance(results[0], results[1]);
}

/// All layers of a kind run the same code, on their own numbers.
llvm::Error Verifier::findLayer() {
  int64_t layers = countLayers(*allSteps[found->before].module);
  if (layers == 0 || layers != countLayers(*allSteps[found->after].module))
    return llvm::Error::success();
  int64_t good = -1, bad = layers;
  while (bad - good > 1) {
    // Outside of layers comes first.
    int64_t count = good < 0 ? 0 : good + (bad - good) / 2;
    report("layer " + std::to_string(count));
    llvm::Expected<Distance> apart = distanceOfLayers(count);
    if (!apart)
      return apart.takeError();
    (found->tolerance.accepts(*apart) ? good : bad) = count;
  }
  if (bad > 0)
    foundLayer = bad - 1;
  return llvm::Error::success();
}

static bool appendsCodes(ModuleOp module) {
  bool found = false;
  module.walk([&](KvAppendOp append) {
    auto cache = cast<RankedTensorType>(append.getCache().getType());
    found |= cache.getElementType().isInteger();
  });
  return found;
}

/// An append of codes has no plain form until cria-fuse-kv-append gives it one:
/// up to there the line runs with a cache of f16.
llvm::Error Verifier::replaceCodeCaches(ModuleOp module) {
  std::vector<Step> halves(1);
  PipelineOptions line = options.line;
  line.kvType = "f16";
  if (failed(tracePasses(module, packed ? Stage::fuse : Stage::dialect, line,
                         options.afterPass, halves)))
    return llvm::createStringError("the pipeline failed");
  for (size_t i = 1; i < allSteps.size(); ++i) {
    if (!appendsCodes(*allSteps[i].module)) {
      if (!appendsCodes(*allSteps[i - 1].module))
        continue;
      codesFrom = i;
      break;
    }
    if (i >= halves.size() || halves[i].pass != allSteps[i].pass)
      return llvm::createStringError("after " + allSteps[i].pass +
                                     ": a cache of " + options.line.kvType +
                                     " has no line of f16 to stand for it");
  }
  for (size_t i = 1; i < codesFrom && i < halves.size(); ++i)
    if (appendsCodes(*allSteps[i].module))
      allSteps[i].module = std::move(halves[i].module);
  return llvm::Error::success();
}

llvm::Error Verifier::run() {
  Step first;
  first.stage = packed ? Stage::dialect : Stage::import;
  first.module = model.module->clone();
  allSteps.push_back(std::move(first));
  OwningOpRef<ModuleOp> again;
  bool hasCodes = options.line.kvType == "i8" || options.line.kvType == "i16";
  if (hasCodes)
    again = model.module->clone();
  if (failed(tracePasses(*model.module, packed ? Stage::fuse : Stage::dialect,
                         options.line, options.afterPass, allSteps)))
    return llvm::createStringError("the pipeline failed");

  codesFrom = allSteps.size();
  if (again)
    if (llvm::Error error = replaceCodeCaches(*again))
      return error;
  quantisedFrom = allSteps.size();
  bool isQuantised = false;
  for (auto param : allSteps.back().module->getOps<ParamOp>())
    if (auto weight = dyn_cast<WeightType>(param.getType()))
      isQuantised |= weight.isQuantized();
  pairsFrom = halvesFrom = allSteps.size();
  for (size_t i = 0; i < allSteps.size(); ++i) {
    if (allSteps[i].pass == "cria-vectorize-attention" &&
        (options.line.attentionHalves || options.line.kvType == "i16"))
      halvesFrom = i;
    if (allSteps[i].pass == "cria-vectorize-rows") {
      if (isQuantised)
        quantisedFrom = i;
      if (options.line.linearDot2)
        pairsFrom = i;
    }
  }

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
    if (each.agrees() || found)
      continue;
    if (llvm::Error error = bisect(each))
      return error;
    if (llvm::Error error = findLayer())
      return error;
  }
  return llvm::Error::success();
}
