// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What options of cria compile exclude each other, and what they accept.

#include "compiler/QuantizeSpec.h"
#include "compiler/halide/HalideKernels.h"
#include "compiler/target/TargetList.h"
#include "compiler/tile/Schedule.h"
#include "compiler/tools/Driver.h"

#include "llvm/ADT/StringExtras.h"

using namespace cria;

static llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(message);
}

llvm::Error Driver::checkOptions() {
  if (!options->stopAfter.empty()) {
    stop = stageByName(options->stopAfter);
    if (!stop || *stop == Stage::emit)
      return failure("--stop-after " + options->stopAfter +
                     ": no such stage; accepted are import, dialect, fuse, "
                     "tile, bufferize, vector, llvm");
  }
  if (!options->startAfter.empty()) {
    start = stageByName(options->startAfter);
    if (!start || *start >= Stage::llvm)
      return failure("--start-after " + options->startAfter +
                     ": no such stage; accepted are import, dialect, fuse, "
                     "tile, bufferize, vector");
    codeOnly = true;
  }
  if (options->profileOps && options->plainLine)
    return failure("--profile and --plain exclude each other: the plain "
                   "lowering has no fused ops to measure");
  if (options->profileOps && start && *start >= Stage::bufferize)
    return failure("--profile and --start-after " + options->startAfter +
                   " exclude each other: time stamps are placed in the stage "
                   "bufferize");
  if (options->outputPath.empty() && !stop &&
      !options->tuningSpace.getNumOccurrences())
    return failure("-o DIR is missing: where the outputs go");
  if (options->kvType != "f16" && options->kvType != "bf16" &&
      options->kvType != "f32" && options->kvType != "i8" &&
      options->kvType != "i16")
    return failure("--kv-type " + options->kvType +
                   ": accepted are f16, bf16, f32, i8, i16");
  if (options->numerics != "exact" && options->numerics != "fast")
    return failure("--numerics " + options->numerics +
                   ": accepted are exact, fast");
  isFast = options->numerics == "fast";
  if (isFast && options->plainLine)
    return failure("--numerics fast and --plain exclude each other");
  if (isFast && start && *start >= Stage::tile)
    return failure("--numerics fast and --start-after " + options->startAfter +
                   " exclude each other: the stage tile says what is rounded");
  for (const std::string &fusion : options->disabledFusions)
    if (!llvm::is_contained(kFusions, llvm::StringRef(fusion)))
      return failure("--disable-fusion " + fusion + ": accepted are " +
                     llvm::join(llvm::ArrayRef(kFusions), ", "));
  if (options->contextSize.getNumOccurrences() && options->contextSize < 1)
    return failure("--context " + llvm::Twine(options->contextSize) +
                   ": must be at least 1");
  if (options->batchSize.getNumOccurrences() && options->batchSize < 1)
    return failure("--batch " + llvm::Twine(options->batchSize) +
                   ": must be at least 1");
  if (options->symbolPrefix.empty() ||
      llvm::isDigit(options->symbolPrefix[0]) ||
      !llvm::all_of(options->symbolPrefix,
                    [](char c) { return llvm::isAlnum(c) || c == '_'; }))
    return failure("--symbol-prefix " + options->symbolPrefix +
                   ": cannot begin a C name; letters, digits and _ are "
                   "accepted, no digit first");
  outputs.insert(options->emitKinds.begin(), options->emitKinds.end());
  if (outputs.empty())
    outputs = options->plainLine ? std::set<Output>{Output::so}
                                 : std::set<Output>{Output::obj, Output::so};
  if (start && wants(Output::mlir))
    return failure("--emit mlir and --start-after exclude each other; use "
                   "--stop-after");
  llvm::Expected<std::string> cpuNames = gpu.takeTargets(options->targetName);
  if (!cpuNames)
    return failure("--target: " + llvm::toString(cpuNames.takeError()));
  if (!gpu.empty() && options->plainLine)
    return failure("--plain and --target " + options->targetName +
                   " exclude each other: the plain lowering is for CPUs");
  if (!gpu.empty() && options->kvType == "i16")
    return failure("--kv-type i16 and --target " + options->targetName +
                   " exclude each other: products of 16-bit integers are for "
                   "CPUs; for both, accepted are f16, bf16, f32, i8");
  if (!gpu.empty() && start && *start >= Stage::tile)
    return failure("--start-after " + options->startAfter + " and --target " +
                   options->targetName +
                   " exclude each other: code for GPUs is tiled by itself");
  llvm::Expected<TargetList> found = TargetList::get(*cpuNames, isFast);
  if (!found)
    return failure("--target: " + llvm::toString(found.takeError()));
  targetNames = found->text();
  for (const GpuTarget *each : gpu.targets())
    targetNames += ", " + each->name.str();
  targets = std::move(found->targets);
  // Tests a kernel that is made for tiles on a CPU without.
  if (options->tileIsa.getNumOccurrences())
    for (Target &target : targets)
      target.tileIsa = options->tileIsa;
  if (isFast && options->dot2Isa.getNumOccurrences())
    for (Target &target : targets)
      target.forceBf16(options->dot2Isa);
  for (const std::string &remark : found->remarks)
    llvm::errs() << "cria: remark: --target: " << remark << "\n";
  bool isSplit = stop && ((*stop >= Stage::vector && targets.size() > 1) ||
                          (*stop >= Stage::tile && !gpu.empty()));
  if (isSplit && options->outputPath.empty())
    return failure("--stop-after " + options->stopAfter +
                   " with several targets writes a file for each; -o DIR says "
                   "where");
  if (llvm::Error error = checkTuning())
    return error;
  return checkQuantize();
}

llvm::Error Driver::checkTuning() {
  if (options->tune.empty() && options->tuningSpace.empty())
    return llvm::Error::success();
  if (options->plainLine)
    return failure("--tune and --plain exclude each other: the plain lowering "
                   "has no fused ops");
  if (targets.size() > 1)
    return failure("--tune is for one --target, the one that was measured; "
                   "given are " +
                   targetNames);
  if (start && *start >= Stage::tile)
    return failure("--tune and --start-after " + options->startAfter +
                   " exclude each other: the stage tile reads the record");
  if (options->tune.empty())
    return llvm::Error::success();
  llvm::Expected<TuningRecord> record = TuningRecord::read(options->tune);
  if (!record)
    return failure("--tune: " + llvm::toString(record.takeError()));
  if (record->target != targetNames)
    return failure("--tune: " + options->tune + " was measured for " +
                   record->target + ", and the --target is " + targetNames +
                   "; run `cria tune` there");
  if (record->needsHalide())
    if (llvm::Error error = findHalideGenerator(toolPath).takeError())
      return failure("--tune: " + options->tune + " names Halide's kernels: " +
                     llvm::toString(std::move(error)));
  return llvm::Error::success();
}

llvm::Error Driver::checkQuantize() {
  bool asked = options->quantize.getNumOccurrences();
  if (asked) {
    if (llvm::Error error = QuantizeSpec::parse(options->quantize).takeError())
      return failure("--quantize: " + llvm::toString(std::move(error)));
    if (start)
      return failure("--quantize and --start-after exclude each other: the "
                     "weights have been written with other types");
  }
  if (!options->quantizeReport.getNumOccurrences())
    return llvm::Error::success();
  if (stop || outputs == std::set<Output>{Output::mlir})
    return failure("--quantize-report " + options->quantizeReport +
                   ": no weights are written with --stop-after or with "
                   "--emit mlir alone");
  return llvm::Error::success();
}
