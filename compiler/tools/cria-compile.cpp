// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cria compile: a model in, a folder with code, header and weights out.

#include "compiler/Passes.h"
#include "compiler/bufferize/BufferizationModels.h"
#include "compiler/emit/Codegen.h"
#include "compiler/emit/Header.h"
#include "compiler/emit/Linker.h"
#include "compiler/emit/Proportions.h"
#include "compiler/halide/HalideKernels.h"
#include "compiler/import/PoolKvHeads.h"
#include "compiler/import/QuantizeReport.h"
#include "compiler/llvm/LlvmPipeline.h"
#include "compiler/plain/PlainPipeline.h"
#include "compiler/tile/Schedule.h"
#include "compiler/tile/TuningSpace.h"
#include "compiler/tools/Driver.h"
#include "dialect/CriaOps.h"
#include "runtime/include/cria/abi.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Parallel.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

using namespace cria;
namespace cl = llvm::cl;

namespace {

constexpr Stage kStages[] = {Stage::import, Stage::dialect,   Stage::fuse,
                             Stage::tile,   Stage::bufferize, Stage::vector,
                             Stage::llvm,   Stage::emit};

llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(message);
}

std::string printModule(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  stream << "\n";
  return text;
}

} // namespace

Driver::Driver(Options &options, std::string toolPath)
    : options(&options), toolPath(std::move(toolPath)),
      progress(std::size(kStages) + 1, options.quiet) {}

/// The module is as after the stage tile.
llvm::Error Driver::writeTuningSpace() {
  const Target &target = targets.front();
  llvm::Expected<std::string> halide = findHalideGenerator(toolPath);
  bool hasHalide = halide && halideRefusal(target).empty();
  llvm::consumeError(halide.takeError());
  llvm::json::Value space = tuningSpace(
      *model.module, lineFor(target),
      {targetNames, target.vectorBits, options->tuningThreads, hasHalide});
  std::error_code cause;
  llvm::raw_fd_ostream file(options->tuningSpace, cause);
  if (!cause) {
    file << llvm::formatv("{0:2}\n", space);
    file.close();
    cause = file.error();
  }
  if (cause)
    return failure("--tuning-space " + options->tuningSpace + ": " +
                   cause.message());
  return llvm::Error::success();
}

llvm::Error Driver::loadModule(const std::string &file, Stage stage) {
  if (options->kvHeads.getNumOccurrences())
    return failure(file + ": --kv-heads is for models; this is a module");
  if (options->ropeLength.getNumOccurrences())
    return failure(file + ": --rope-length is for models; this is a module");
  mlir::ParserConfig config(context.get());
  model.module = mlir::parseSourceFile<mlir::ModuleOp>(file, config);
  if (!model.module)
    return failure(file + ": cannot be read as a module");
  start = stage;
  codeOnly = true;
  return llvm::Error::success();
}

llvm::Error Driver::load() {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registerCriaDialect(registry);
  registerBufferizationModels(registry);
  context = std::make_unique<mlir::MLIRContext>(registry);
  context->getDiagEngine().registerHandler([this](
                                               mlir::Diagnostic &diagnostic) {
    const char *kind = "error";
    if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Warning)
      kind = "warning";
    else if (diagnostic.getSeverity() != mlir::DiagnosticSeverity::Error)
      kind = "note";
    llvm::errs() << "cria: " << kind << ": ";
    if (auto place =
            diagnostic.getLocation()->findInstanceOf<mlir::FileLineColLoc>())
      llvm::errs() << place.getFilename().getValue() << ":" << place.getLine()
                   << ":" << place.getColumn() << ": ";
    else
      llvm::errs() << options->modelPath << ": ";
    llvm::errs() << diagnostic << "\n";
    for (mlir::Diagnostic &note : diagnostic.getNotes())
      llvm::errs() << "cria: note: " << note << "\n";
  });

  if (start)
    return loadModule(options->modelPath, *start);
  if (options->plainLine && llvm::sys::fs::is_directory(options->modelPath)) {
    llvm::SmallString<256> file(options->modelPath);
    llvm::sys::path::append(file, "model.mlir");
    if (llvm::sys::fs::exists(file) && options->quantize.getNumOccurrences())
      return failure(options->modelPath + ": --quantize is for models; this "
                                          "one is compiled already");
    if (llvm::sys::fs::exists(file))
      return loadModule(file.str().str(), Stage::dialect);
  }
  ImportOptions imports;
  if (options->contextSize.getNumOccurrences())
    imports.context = options->contextSize;
  if (options->batchSize.getNumOccurrences())
    imports.batch = options->batchSize;
  if (options->seedValue.getNumOccurrences())
    imports.seed = options->seedValue;
  if (options->kvHeads.getNumOccurrences())
    imports.kvHeads = options->kvHeads;
  if (options->ropeLength.getNumOccurrences())
    imports.ropeLength = options->ropeLength;
  imports.quantizes = options->quantize.getNumOccurrences();
  llvm::Expected<ImportedModel> imported =
      importModel(options->modelPath, *context, imports);
  if (!imported)
    return imported.takeError();
  model = std::move(*imported);
  for (const std::string &note : model.notes)
    llvm::errs() << "cria: remark: " << options->modelPath << ": " << note
                 << "\n";
  return llvm::Error::success();
}

std::string Driver::suffix(size_t clone) const {
  return targets.size() > 1 ? "-" + targets[clone].name : "";
}

llvm::Error Driver::writeStage(Stage stage, OutputFolder &files) {
  unsigned number = static_cast<unsigned>(stage) + 1;
  std::string name = (llvm::Twine(number < 10 ? "0" : "") +
                      llvm::Twine(number) + "-" + stageName(stage))
                         .str();
  for (const GpuClones::Code &code : gpu.codes())
    if (llvm::Error error =
            files.write((name + "-" + code.name() + ".mlir").str(),
                        printModule(*code.module)))
      return error;
  if (clones.empty())
    return files.write(name + ".mlir", printModule(*model.module));
  for (auto [i, clone] : llvm::enumerate(clones))
    if (llvm::Error error =
            files.write(name + suffix(i) + ".mlir", printModule(*clone)))
      return error;
  return llvm::Error::success();
}

/// What comes before is the same for every target.
void Driver::split() {
  for (size_t i = 1; i < targets.size(); ++i)
    clones.push_back(model.module->clone());
  clones.insert(clones.begin(), std::move(model.module));
}

/// All clones have one description: they agree on what they are given.
llvm::Error Driver::readInfo() {
  std::vector<ModelInfo> read;
  uint64_t arena = 0, threadArena = 0;
  for (auto &clone : clones) {
    mlir::FailureOr<ModelInfo> one = ModelInfo::get(*clone);
    if (mlir::failed(one))
      return failure(options->modelPath + ": the module is not ready for code");
    if (!read.empty() && one->weights != read.front().weights)
      return failure("the clones for " + targetNames +
                     " read different weights; compile them one by one");
    if ((*clone)->getAttr(kProfileAttr) !=
        (*clones.front())->getAttr(kProfileAttr))
      return failure("the clones for " + targetNames +
                     " count different ops; compile them one by one");
    arena = std::max(arena, one->arenaBytes);
    threadArena = std::max(threadArena, one->threadArenaBytes);
    read.push_back(std::move(*one));
  }
  info = std::move(read.front());
  if (clones.size() == 1)
    return llvm::Error::success();
  mlir::Builder builder(context.get());
  for (auto &clone : clones) {
    clone.get()->setAttr("cria.arena_bytes", builder.getI64IntegerAttr(arena));
    clone.get()->setAttr("cria.thread_arena_bytes",
                         builder.getI64IntegerAttr(threadArena));
  }
  info.arenaBytes = arena;
  info.threadArenaBytes = threadArena;
  return llvm::Error::success();
}

/// Code for GPUs goes the same way from the tile stage on, and is text before
/// the description of the model is made.
llvm::Error Driver::runGpuPasses(Stage stage) {
  if (stage == Stage::tile)
    gpu.split(*model.module, isFast);
  if (stage == Stage::llvm)
    if (llvm::Error error = gpu.check(info))
      return error;
  for (const GpuClones::Code &code : gpu.codes())
    if (llvm::Error error = runPasses(stage, *code.module, 0, &code))
      return error;
  if (stage != Stage::llvm)
    return llvm::Error::success();
  return gpu.emit(*clones.front(), options->symbolPrefix, info);
}

PipelineOptions Driver::lineFor(const Target &target) const {
  PipelineOptions line;
  line.kvType = options->kvType;
  line.quantize = options->quantize;
  line.fit(target, targets);
  line.narrowCodes = isFast;
  line.disabledFusions = options->disabledFusions;
  line.profile = options->profileOps;
  line.tuningRecord = options->tune;
  return line;
}

llvm::Error Driver::runPasses(Stage stage, mlir::ModuleOp module, size_t clone,
                              const GpuClones::Code *gpuCode) {
  mlir::PassManager passes(context.get());
  if (mlir::failed(mlir::applyPassManagerCLOptions(passes)))
    return failure("the options of the pass manager are wrong");
  if (gpuCode && stage == Stage::llvm) {
    buildGpuLlvmPipeline(passes, options->symbolPrefix);
  } else if (stage == Stage::llvm) {
    buildLlvmPipeline(passes, {targets, clone, options->symbolPrefix});
  } else if (options->plainLine && stage > Stage::dialect) {
    // One pipeline goes all the way; it counts as the vector stage.
    if (stage == Stage::vector)
      buildPlainPipeline(passes);
  } else {
    PipelineOptions line = lineFor(targets[clone]);
    if (gpuCode)
      gpu.adjust(*gpuCode, line);
    buildStage(passes, stage, line);
  }
  // Once a stage: after every pass it would take a quarter of the time.
  passes.enableVerifier(false);
  if (mlir::failed(passes.run(module)) || mlir::failed(mlir::verify(module)))
    return failure(options->modelPath + ": the stage " + stageName(stage) +
                   " failed");
  return llvm::Error::success();
}

llvm::Error Driver::addMetadata(llvm::json::Object added) {
  mlir::ModuleOp module = *model.module;
  if (auto text = module->getAttrOfType<mlir::StringAttr>("cria.metadata")) {
    auto parsed = llvm::json::parse(text.getValue());
    if (!parsed)
      return failure(options->modelPath +
                     ": cria.metadata: " + llvm::toString(parsed.takeError()));
    if (llvm::json::Object *object = parsed->getAsObject())
      for (auto &[key, value] : *object)
        added.try_emplace(key, std::move(value));
  }
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(std::move(added));
  module->setAttr("cria.metadata", mlir::StringAttr::get(context.get(), text));
  return llvm::Error::success();
}

/// Ties code and weights together: what the weights file will hold, from what.
llvm::Error Driver::describe() {
  mlir::ModuleOp module = *model.module;
  llvm::SHA256 hash;
  if (model.weights)
    hash.update(model.weights->contentHash());
  std::string params;
  llvm::raw_string_ostream stream(params);
  if (!model.weights)
    stream << "seed " << module->getAttr("cria.seed");
  for (auto param : module.getOps<ParamOp>())
    stream << param << "\n";
  hash.update(params);
  sourceHash = llvm::toHex(hash.final(), /*LowerCase=*/true).substr(0, 32);

  llvm::json::Object added{{"source_hash", sourceHash},
                           {"proportions", proportions(module)}};
  if (auto spec = module->getAttrOfType<mlir::StringAttr>("cria.quantize"))
    added["quantize"] = spec.getValue();
  if (llvm::Error error = addMetadata(std::move(added)))
    return error;
  description = module.clone();
  descriptionText = printModule(module);
  return llvm::Error::success();
}

llvm::Error Driver::afterStage(Stage stage) {
  if (stage == Stage::dialect && !codeOnly)
    if (llvm::Error error = describe())
      return error;
  if (dumps && (!start || stage >= *start)) {
    if (llvm::Error error = writeStage(stage, *dumps))
      return error;
    return dumps->commit(); // stays, whatever fails later
  }
  return llvm::Error::success();
}

llvm::Error Driver::runStage(Stage stage) {
  progress.begin(stageName(stage));
  if (stage == Stage::import)
    return load();
  // Not for the description, which the plain lowering has as well.
  if (stage == Stage::tile) {
    llvm::json::Object chosen;
    if (isFast)
      chosen["numerics"] = "fast";
    if (options->kvType != "f16")
      chosen["kv_type"] = options->kvType.getValue();
    if (!chosen.empty())
      if (llvm::Error error = addMetadata(std::move(chosen)))
        return error;
  }
  if (stage == Stage::vector)
    split();
  if (start && stage <= *start)
    return llvm::Error::success();
  if (stage == Stage::emit)
    return writeCode();
  if (stage == Stage::llvm)
    if (llvm::Error error = readInfo())
      return error;
  if (stage >= Stage::tile && !gpu.empty())
    if (llvm::Error error = runGpuPasses(stage))
      return error;
  if (clones.empty())
    return runPasses(stage, *model.module, 0);
  for (auto [i, clone] : llvm::enumerate(clones))
    if (llvm::Error error = runPasses(stage, *clone, i))
      return error;
  return llvm::Error::success();
}

llvm::Error Driver::writeCode() {
  std::vector<Codegen> parts;
  for (auto [i, clone] : llvm::enumerate(clones)) {
    llvm::Expected<Codegen> part = Codegen::create(
        *clone, {targets[i], options->symbolPrefix, options->plainLine,
                 clones.size() > 1, toolPath});
    if (!part)
      return part.takeError();
    parts.push_back(std::move(*part));
    clone = nullptr;
  }
  if (llvm::Error error = llvm::parallelForEachError(
          parts, [](Codegen &part) { return part.optimize(); }))
    return error;
  llvm::SmallVector<char, 0> bytes;
  for (auto [i, part] : llvm::enumerate(parts)) {
    if (wants(Output::llvm))
      if (llvm::Error error =
              folder->write("model" + suffix(i) + ".ll", part.emitLLVM()))
        return error;
    if (!wants(Output::assembly))
      continue;
    bytes.clear();
    if (llvm::Error error = part.emitAssembly(bytes))
      return error;
    if (llvm::Error error =
            folder->write("model" + suffix(i) + ".s",
                          llvm::StringRef(bytes.data(), bytes.size())))
      return error;
  }
  if (wants(Output::assembly))
    for (const auto &[name, text] : gpu.texts())
      if (llvm::Error error = folder->write("model-" + name + ".ptx", text))
        return error;
  if (!wants(Output::obj) && !wants(Output::so) && !wants(Output::exe))
    return llvm::Error::success();
  Codegen &code = parts.front();
  for (const Codegen &part : llvm::drop_begin(parts))
    if (llvm::Error error = code.link(part))
      return error;
  bytes.clear();
  if (llvm::Error error = code.emitObject(bytes))
    return error;
  llvm::StringRef object(bytes.data(), bytes.size());
  if (wants(Output::obj))
    if (llvm::Error error = folder->write("model.o", object))
      return error;
  if (!wants(Output::so) && !wants(Output::exe))
    return llvm::Error::success();
  llvm::Expected<std::string> input = folder->writeScratch("model.o", object);
  if (!input)
    return input.takeError();
  llvm::Triple triple(targets.front().triple);
  if (wants(Output::so))
    if (llvm::Error error =
            linkSharedObject(triple, *input, folder->reserve("model.so"),
                             code.undefinedSymbols()))
      return error;
  if (wants(Output::exe))
    if (llvm::Error error =
            linkExecutable(triple, *input, options->symbolPrefix + "get",
                           toolPath, folder->reserve("model")))
      return error;
  return llvm::Error::success();
}

llvm::Error Driver::writeWeights() {
  progress.begin("weights");
  std::set<std::string> layouts;
  std::vector<std::string> types;
  for (auto param : description->getOps<ParamOp>())
    if (auto weight = llvm::dyn_cast<WeightType>(param.getType())) {
      layouts.insert(stringifyWeightLayout(weight.getLayout()).str());
      types.push_back(param.getSymName().str() + "=" + weightTypeName(weight));
    }
  std::optional<uint64_t> seed;
  if (options->seedValue.getNumOccurrences())
    seed = options->seedValue;
  std::map<std::string, std::string> metadata = {
      {"cria.abi", llvm::utostr(CRIA_ABI_VERSION)},
      {"cria.architecture", info.architecture},
      {"cria.layout", llvm::join(layouts, ",")},
      {"cria.name", info.name},
      {"cria.source_hash", sourceHash},
      {"cria.symbol", options->symbolPrefix + "get"},
      {"cria.types", llvm::join(types, ",")}};
  bool asked = options->quantize.getNumOccurrences();
  if (asked)
    metadata["cria.quantize"] = options->quantize;
  if (isFast)
    metadata["cria.numerics"] = "fast";
  if (llvm::Error error = packWeights(
          *description, model.weights.get(), seed,
          folder->reserve("model.safetensors"),
          [&](uint64_t done, uint64_t total) { progress.bytes(done, total); },
          metadata, &packed))
    return error;
  if (!options->quantizeReport.getNumOccurrences())
    return llvm::Error::success();
  if (std::error_code cause = writeQuantizeReport(options->quantizeReport,
                                                  options->quantize, packed))
    return failure("--quantize-report " + options->quantizeReport + ": " +
                   cause.message());
  return llvm::Error::success();
}

/// All but the code, which cannot do without.
llvm::Error Driver::writeFiles() {
  std::pair<llvm::StringRef, const std::string &> files[] = {
      {"model.mlir", descriptionText},
      {"tokenizer.json", model.tokenizerJson},
      {"chat_template.jinja", model.chatTemplate}};
  for (const auto &[name, contents] : files)
    if (!contents.empty())
      if (llvm::Error error = folder->write(name, contents))
        return error;
  return writeWeights();
}

llvm::Error Driver::run() {
  if (llvm::Error error = checkOptions())
    return error;
  if (!options->dumpPath.empty()) {
    auto made = OutputFolder::create(options->dumpPath);
    if (!made)
      return made.takeError();
    dumps = std::move(*made);
  }
  // Made early, so that a folder that cannot be written costs no time.
  if (!options->outputPath.empty()) {
    auto made = OutputFolder::create(options->outputPath);
    if (!made)
      return made.takeError();
    folder = std::move(*made);
  }
  bool runnable = wants(Output::obj) || wants(Output::so) || wants(Output::exe);
  bool onlyDescription = outputs == std::set<Output>{Output::mlir};
  for (Stage stage : kStages) {
    if (llvm::Error error = runStage(stage))
      return error;
    if (stage != Stage::emit)
      if (llvm::Error error = afterStage(stage))
        return error;
    if (stage == Stage::tile && !options->tuningSpace.empty()) {
      progress.end();
      return writeTuningSpace();
    }
    if (stop == stage) {
      progress.end();
      if (folder) {
        if (llvm::Error error = writeStage(stage, *folder))
          return error;
        return folder->commit();
      }
      llvm::outs() << printModule(clones.empty() ? *model.module
                                                 : *clones.front());
      return llvm::Error::success();
    }
    if (stage == Stage::dialect && onlyDescription && !stop)
      break;
  }
  if (!codeOnly && runnable) {
    if (llvm::Error error = writeFiles())
      return error;
  } else if (wants(Output::mlir)) {
    if (llvm::Error error = folder->write("model.mlir", descriptionText))
      return error;
  }
  if (runnable)
    if (llvm::Error error = folder->write(
            "model.h", makeHeader(info, options->symbolPrefix, targetNames)))
      return error;
  progress.end();
  return folder->commit();
}

/// Of the embedding a step reads a row only, where the head is another weight.
static uint64_t decodeWeightBytes(const ModelInfo &info) {
  uint64_t embedding = 0;
  bool hasHead = false;
  for (const ModelInfo::Weight &weight : info.weights) {
    hasHead |= weight.name == "output";
    if (weight.name == "token_embd")
      embedding = weight.bytes;
  }
  return info.weightsBytes - (hasHead ? embedding : 0);
}

void Driver::printResults() const {
  if (options->quiet)
    return;
  if (folder)
    for (const auto &[path, bytes] : folder->files())
      llvm::outs() << llvm::left_justify(path, 40) << " "
                   << llvm::format("%12llu bytes\n",
                                   static_cast<unsigned long long>(bytes));
  if (folder && model.pooling)
    llvm::outs() << poolingText(*model.pooling, info.kvBytesPerToken,
                                info.context, decodeWeightBytes(info));
  // Without --quantize, where a type of the source is none of cria's.
  if (options->quantize.getNumOccurrences() ||
      llvm::any_of(packed, [](const PackedTensor &tensor) {
        return tensor.sums.errors > 0;
      }))
    printQuantizeTable(llvm::outs(), packed);
  llvm::outs().flush(); // before times, which go to stderr
  if (options->showTiming)
    progress.printTimes();
}

int main(int argc, char **argv) {
  // LLVM's own are not for this tool, and --stop-after would clash.
  llvm::SmallVector<cl::Option *> foreign;
  for (const auto &entry : cl::getRegisteredOptions())
    if (!entry.first.starts_with("help") && entry.first != "h" &&
        entry.first != "version")
      foreign.push_back(entry.second);
  for (cl::Option *option : foreign)
    option->removeArgument();
  Options options;
  mlir::registerPassManagerCLOptions();
  cl::HideUnrelatedOptions(category);
  cl::SetVersionPrinter([](llvm::raw_ostream &out) {
    out << "cria " CRIA_VERSION_STRING " with LLVM " LLVM_VERSION_STRING "\n";
  });
  cl::ParseCommandLineOptions(
      argc, argv, "Compiles a model to native code and packed weights.\n");
  // Any address in this program helps to find its path.
  Driver driver(options, llvm::sys::fs::getMainExecutable(
                             argv[0], reinterpret_cast<void *>(&main)));
  if (llvm::Error error = driver.run()) {
    driver.endProgress();
    llvm::handleAllErrors(
        std::move(error), [](const llvm::ErrorInfoBase &info) {
          llvm::errs() << "cria: error: " << info.message() << "\n";
        });
    return 1;
  }
  driver.printResults();
  return 0;
}
