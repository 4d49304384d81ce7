// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/verify/VerifyMain.h"

#include "compiler/Passes.h"
#include "compiler/QuantizeSpec.h"
#include "compiler/bufferize/BufferizationModels.h"
#include "compiler/target/TargetList.h"
#include "compiler/tools/Progress.h"
#include "compiler/verify/Layers.h"
#include "compiler/verify/Reducer.h"
#include "compiler/verify/Verifier.h"
#include "dialect/CriaOps.h"
#include "runtime/include/cria/text.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

using namespace cria;
namespace cl = llvm::cl;

namespace {

cl::OptionCategory category("Options of cria verify");

/// Made in verifyMain: LLVM's library has options of some of these names.
struct Options {
  cl::opt<std::string> model{
      cl::Positional, cl::Required, cl::value_desc("DIR|MODEL"),
      cl::cat(category),
      cl::desc("DIR|MODEL: a GGUF file, a Hugging Face folder, a .mlir "
               "description, a folder that cria compile wrote, or a reproducer "
               "that cria verify wrote")};
  cl::opt<std::string> stage{
      "stage", cl::value_desc("STAGE"), cl::cat(category),
      cl::desc("Only dialect, fuse, tile, bufferize, vector or llvm")};
  cl::opt<double> tolerance{
      "tolerance", cl::init(0.002), cl::value_desc("X"), cl::cat(category),
      cl::desc("Relative error of a row of logits after a pass that only "
               "reorders f32 (default: 0.002)")};
  cl::opt<std::string> text{
      "text", cl::value_desc("FILE"), cl::cat(category),
      cl::desc("The text whose tokens are run (default: a sample)")};
  cl::opt<std::string> quantize{
      "quantize", cl::value_desc("SPEC"), cl::cat(category),
      cl::desc("Convert weights, as cria compile does")};
  cl::opt<std::string> kvType{
      "kv-type", cl::init("f16"), cl::value_desc("TYPE"), cl::cat(category),
      cl::desc("f16, bf16, f32, i8 or i16: elements of the KV cache")};
  cl::opt<std::string> numerics{"numerics", cl::init("exact"),
                                cl::value_desc("HOW"), cl::cat(category),
                                cl::desc("exact or fast, as of cria compile")};
  cl::opt<std::string> dot2Isa{
      "dot2-isa", cl::ReallyHidden, cl::value_desc("ISA"), cl::cat(category),
      cl::desc("With --numerics fast: by this isa of cria-lower-dot2")};
  cl::opt<int64_t> threads{
      "threads", cl::init(1), cl::value_desc("N"), cl::cat(category),
      cl::desc("Threads of the machine code (default: 1); what it is compared "
               "with has one")};
  cl::alias threadsShort{"t", cl::aliasopt(threads), cl::cat(category),
                         cl::desc("The same")};
  cl::opt<std::string> target{
      "target", cl::init("native"), cl::value_desc("T"), cl::cat(category),
      cl::desc("As of cria compile; the machine must be able to run its code")};
  cl::opt<uint64_t> seed{"seed", cl::value_desc("S"), cl::cat(category),
                         cl::desc("Random weights for a model without")};
  cl::opt<std::string> reproducer{
      "reproducer", cl::value_desc("FILE"), cl::cat(category),
      cl::desc("Where a reproducer goes (default: cria-verify-PASS.mlir)")};
  cl::alias reproducerShort{"o", cl::aliasopt(reproducer), cl::cat(category),
                            cl::desc("The same")};
  cl::opt<std::string> pass{
      "pass", cl::value_desc("PIPELINE"), cl::cat(category),
      cl::desc("MODEL is a reproducer: compare it before and after these "
               "passes; empty: with its machine code")};
  cl::opt<int64_t> tokens{"tokens", cl::init(5), cl::value_desc("N"),
                          cl::cat(category),
                          cl::desc("With --pass: tokens of the call")};
  cl::opt<bool> json{"json", cl::cat(category), cl::desc("Print JSON")};
};

Options *options = nullptr;

llvm::Error failure(const llvm::Twine &message) {
  return llvm::createStringError(message);
}

constexpr llvm::StringLiteral kSample =
    "The old lighthouse keeper counted 17 ships before noon, wrote their names "
    "into a blue notebook, and asked himself whether any of them would come "
    "back before the winter storms.";

class Tool {
public:
  explicit Tool(const AfterPass &afterPass) : afterPass(afterPass) {}
  llvm::Error run();
  ~Tool() {
    if (!scratch.empty())
      (void)llvm::sys::fs::remove_directories(scratch);
  }
  bool diverges() const { return hasDivergence; }

private:
  llvm::Error checkOptions();
  llvm::Error prepare();
  llvm::Error load();
  llvm::Error checkReproducer();
  llvm::Error reproduce(Verifier &verifier);
  llvm::Expected<std::vector<int32_t>> tokens() const;
  llvm::StringMap<std::string> namesAt(const Verifier &verifier) const;
  void printTable(const Verifier &verifier) const;
  void printVerdict(const Verifier &verifier) const;
  void printJson(const Verifier &verifier) const;

  const AfterPass &afterPass;
  std::optional<Stage> stage;
  Target target;
  std::string scratch;                    // a folder
  Progress progress{16, /*quiet=*/false}; // about as many as there are
  std::unique_ptr<mlir::MLIRContext> context;
  ImportedModel model;
  std::unique_ptr<SafetensorsFile> packed;
  // Tensors of the file by param: one, or one a layer.
  llvm::StringMap<std::vector<std::string>> sources;
  std::vector<int32_t> ids; // of the text
  std::string op, reproducerPath;
  bool hasDivergence = false;
};

constexpr Stage kStages[] = {Stage::dialect,   Stage::fuse,   Stage::tile,
                             Stage::bufferize, Stage::vector, Stage::llvm};

llvm::Error Tool::checkOptions() {
  if (!options->stage.empty()) {
    stage = stageByName(options->stage);
    if (!stage || !llvm::is_contained(kStages, *stage)) {
      std::vector<std::string> names;
      for (Stage each : kStages)
        names.push_back(stageName(each).str());
      return failure("--stage " + options->stage +
                     ": no such stage; accepted are " +
                     llvm::join(names, ", "));
    }
  }
  if (!(options->tolerance > 0))
    return failure("--tolerance " + std::to_string(options->tolerance) +
                   ": must be a number above 0");
  if (options->kvType != "f16" && options->kvType != "bf16" &&
      options->kvType != "f32" && options->kvType != "i8" &&
      options->kvType != "i16")
    return failure("--kv-type " + options->kvType +
                   ": accepted are f16, bf16, f32, i8, i16");
  bool isFast = options->numerics == "fast";
  if (!isFast && options->numerics != "exact")
    return failure("--numerics " + options->numerics +
                   ": accepted are exact, fast");
  if (options->threads < 1 || options->threads > 64)
    return failure("--threads " + std::to_string(options->threads) +
                   ": accepted are 1 to 64");
  if (!options->quantize.empty())
    if (llvm::Error error = QuantizeSpec::parse(options->quantize).takeError())
      return failure("--quantize: " + llvm::toString(std::move(error)));
  llvm::Expected<TargetList> found = TargetList::get(options->target, isFast);
  if (!found)
    return failure("--target: " + llvm::toString(found.takeError()));
  if (found->targets.size() != 1)
    return failure("--target " + options->target +
                   ": one target at a time is verified");
  target = found->targets.front();
  if (isFast && options->dot2Isa.getNumOccurrences())
    target.forceBf16(options->dot2Isa);
  return llvm::Error::success();
}

llvm::Error Tool::prepare() {
  llvm::SmallString<128> folder;
  if (std::error_code cause =
          llvm::sys::fs::createUniqueDirectory("cria-verify", folder))
    return failure("cannot make a temporary folder: " + cause.message());
  scratch = folder.str().str();
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registerCriaDialect(registry);
  registerBufferizationModels(registry);
  context = std::make_unique<mlir::MLIRContext>(
      registry, mlir::MLIRContext::Threading::DISABLED);
  context->getDiagEngine().registerHandler([](mlir::Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error)
      llvm::errs() << "cria: error: " << diagnostic << "\n";
  });

  return llvm::Error::success();
}

/// A reproducer's own check.
llvm::Error Tool::checkReproducer() {
  if (options->tokens < 1 || options->tokens > 64)
    return failure("--tokens " + std::to_string(options->tokens) +
                   ": accepted are 1 to 64");
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::parseSourceFile<mlir::ModuleOp>(options->model, context.get());
  if (!module)
    return failure(options->model + ": cannot be read as a module");
  PassCheck check(options->pass, target, afterPass, scratch);
  llvm::Expected<Distance> apart = check.compare(*module, options->tokens);
  if (!apart)
    return apart.takeError();
  hasDivergence = apart->error > options->tolerance;
  llvm::outs() << options->model << ": "
               << (options->pass.empty() ? "machine code"
                                         : options->pass.getValue())
               << (hasDivergence ? " DIVERGES" : " agrees") << ": error "
               << llvm::format("%.2e", apart->error) << ", tolerated "
               << llvm::format("%.2e", options->tolerance.getValue()) << "\n";
  return llvm::Error::success();
}

llvm::Error Tool::load() {
  llvm::SmallString<256> description(options->model), weights(options->model);
  llvm::sys::path::append(description, "model.mlir");
  llvm::sys::path::append(weights, "model.safetensors");
  if (llvm::sys::fs::is_directory(options->model) &&
      llvm::sys::fs::exists(description)) {
    if (!options->quantize.empty())
      return failure(options->model + ": --quantize is for models; this one is "
                                      "compiled already");
    model.module =
        mlir::parseSourceFile<mlir::ModuleOp>(description, context.get());
    if (!model.module)
      return failure(description + ": cannot be read as a module");
    llvm::Expected<std::unique_ptr<SafetensorsFile>> file =
        SafetensorsFile::open(weights);
    if (!file)
      return file.takeError();
    packed = std::move(*file);
    llvm::SmallString<256> tokenizer(options->model);
    llvm::sys::path::append(tokenizer, "tokenizer.json");
    if (auto text = llvm::MemoryBuffer::getFile(tokenizer))
      model.tokenizerJson = (*text)->getBuffer().str();
    return llvm::Error::success();
  }
  ImportOptions imports;
  imports.quantizes = !options->quantize.empty();
  if (options->seed.getNumOccurrences())
    imports.seed = options->seed;
  llvm::Expected<ImportedModel> imported =
      importModel(options->model, *context, imports);
  if (!imported)
    return imported.takeError();
  model = std::move(*imported);
  return llvm::Error::success();
}

int64_t sizeOf(mlir::ModuleOp module, llvm::StringRef name) {
  auto attr = module->getAttrOfType<mlir::IntegerAttr>(name);
  return attr ? attr.getInt() : 1;
}

llvm::Expected<std::vector<int32_t>> Tool::tokens() const {
  int64_t vocab = sizeOf(*model.module, "cria.vocab");
  std::vector<int32_t> ids;
  std::string text = kSample.str();
  if (!options->text.empty()) {
    auto file = llvm::MemoryBuffer::getFile(options->text);
    if (!file)
      return failure("--text " + options->text + ": " +
                     file.getError().message());
    text = (*file)->getBuffer().str();
    if (model.tokenizerJson.empty())
      return failure("--text " + options->text + ": " + options->model +
                     " has no tokenizer");
  }
  if (model.tokenizerJson.empty()) {
    for (int64_t i = 0; i < 64; ++i)
      ids.push_back(static_cast<int32_t>((i * i * 7919 + 31 * i + 1) % vocab));
    return ids;
  }
  cria_error error;
  cria_tokenizer *tokenizer = nullptr;
  if (cria_tokenizer_load_json(model.tokenizerJson.data(),
                               model.tokenizerJson.size(), "tokenizer.json",
                               &tokenizer, &error) != CRIA_OK)
    return failure(error.message);
  auto guard = llvm::scope_exit([&] { cria_tokenizer_free(tokenizer); });
  size_t count = 0;
  ids.resize(text.size() + 8);
  cria_status status =
      cria_tokenizer_encode(tokenizer, text.data(), text.size(),
                            CRIA_ENCODE_ADD_SPECIAL | CRIA_ENCODE_PLAIN_TEXT,
                            ids.data(), ids.size(), &count, &error);
  if (status != CRIA_OK)
    return failure(error.message);
  ids.resize(count);
  llvm::erase_if(ids, [&](int32_t id) { return id >= vocab; });
  if (ids.empty())
    return failure("--text " + options->text + ": gives no tokens");
  return ids;
}

std::string nameOf(const Step &step) {
  return step.pass.empty() ? stageName(step.stage).str() : step.pass;
}

llvm::StringRef stageOf(const Verifier &verifier, const Comparison &of) {
  return of.isNative ? stageName(Stage::llvm)
                     : stageName(verifier.steps()[of.after].stage);
}

void Tool::printTable(const Verifier &verifier) const {
  llvm::raw_ostream &out = llvm::outs();
  out << llvm::left_justify("stage", 11) << llvm::left_justify("after", 28)
      << "     error   tolerated        KL\n";
  for (const Comparison &each : verifier.comparisons()) {
    std::string after = each.isNative ? "machine code for " + target.name
                                      : nameOf(verifier.steps()[each.after]);
    out << llvm::left_justify(stageOf(verifier, each), 11)
        << llvm::left_justify(after, 28)
        << llvm::format("%10.2e", each.distance.error);
    if (std::isfinite(each.tolerance.error))
      out << llvm::format("%12.2e", each.tolerance.error);
    else
      out << llvm::right_justify("any", 12);
    out << llvm::format("%10.1e", each.distance.kl) << "  "
        << (each.agrees() ? "agrees" : "DIVERGES");
    if (each.tolerance.reason)
      out << " (" << each.tolerance.reason << ")";
    out << "\n";
  }
  if (verifier.culprit())
    printVerdict(verifier);
}

void Tool::printVerdict(const Verifier &verifier) const {
  const Comparison &culprit = *verifier.culprit();
  const Step &after = verifier.steps()[culprit.after];
  llvm::raw_ostream &out = llvm::outs();
  out << "\nfirst pass   "
      << (culprit.isNative ? std::string("none: the machine code") : after.pass)
      << llvm::format(", error %.2e\n", culprit.distance.error);
  if (verifier.layer())
    out << "first layer  " << *verifier.layer() << " of 0 to "
        << countLayers(*after.module) - 1 << "\n";
  if (reproducerPath.empty()) {
    out << "first op     not found: random weights do not show it\n";
    return;
  }
  out << "first op     " << op << "\n"
      << "reproducer   " << reproducerPath << "\n";
}

void Tool::printJson(const Verifier &verifier) const {
  llvm::json::Array rows;
  auto number = [](double value) -> llvm::json::Value {
    if (std::isfinite(value))
      return value;
    return nullptr;
  };
  for (const Comparison &each : verifier.comparisons())
    rows.push_back(llvm::json::Object{
        {"stage", stageOf(verifier, each)},
        {"after", each.isNative ? std::string("code")
                                : nameOf(verifier.steps()[each.after])},
        {"error", number(each.distance.error)},
        {"tolerance", number(each.tolerance.error)},
        {"kl", number(each.distance.kl)},
        {"agrees", each.agrees()}});
  llvm::json::Object all{{"model", options->model.getValue()},
                         {"target", target.name},
                         {"agrees", !verifier.culprit()},
                         {"comparisons", std::move(rows)}};
  if (const std::optional<Comparison> &culprit = verifier.culprit())
    all["first"] = llvm::json::Object{
        {"stage", stageOf(verifier, *culprit)},
        {"pass", culprit->isNative ? std::string("code")
                                   : nameOf(verifier.steps()[culprit->after])},
        {"error", number(culprit->distance.error)},
        {"layer", verifier.layer() ? llvm::json::Value(*verifier.layer())
                                   : llvm::json::Value(nullptr)},
        {"op", op},
        {"reproducer", reproducerPath}};
  llvm::outs() << llvm::formatv("{0:2}", llvm::json::Value(std::move(all)))
               << "\n";
}

llvm::Error Tool::run() {
  if (llvm::Error error = checkOptions())
    return error;
  if (llvm::Error error = prepare())
    return error;
  if (options->pass.getNumOccurrences())
    return checkReproducer();
  if (llvm::Error error = load())
    return error;
  for (auto param : model.module->getOps<ParamOp>())
    if (std::optional<mlir::ArrayAttr> tensors = param.getSources())
      for (auto tensor : tensors->getAsRange<mlir::StringAttr>())
        sources[param.getSymName()].push_back(tensor.str());
  llvm::Expected<std::vector<int32_t>> text = tokens();
  if (!text)
    return text.takeError();
  ids = std::move(*text);
  Trial trial = makeTrial(ids, sizeOf(*model.module, "cria.context"),
                          sizeOf(*model.module, "cria.max_batch"),
                          // Rounding to f16 shows over more positions.
                          options->numerics == "fast" ? 20 : 9);
  Verifier::Options wanted;
  wanted.line.kvType = options->kvType;
  wanted.line.quantize = options->quantize;
  wanted.line.fit(target, target);
  wanted.line.narrowCodes = options->numerics == "fast";
  wanted.target = target;
  wanted.stage = stage;
  wanted.tolerance = options->tolerance;
  wanted.threads = options->threads;
  wanted.afterPass = afterPass;
  wanted.progress = [this](llvm::StringRef what) { progress.begin(what); };
  Verifier verifier(std::move(model), std::move(packed), std::move(trial),
                    std::move(wanted), scratch);
  if (llvm::Error error = verifier.run())
    return error;
  hasDivergence = verifier.culprit().has_value();
  if (hasDivergence)
    if (llvm::Error error = reproduce(verifier))
      return error;
  progress.end();
  options->json ? printJson(verifier) : printTable(verifier);
  return llvm::Error::success();
}

/// Of the first layer that is wrong where that is known.
llvm::StringMap<std::string> Tool::namesAt(const Verifier &verifier) const {
  llvm::StringMap<std::string> names;
  for (const auto &[param, tensors] : sources) {
    if (tensors.empty())
      continue;
    auto count = static_cast<int64_t>(tensors.size());
    int64_t place = -1;
    if (verifier.layer() && count > 1)
      place = placeOfLayer(*verifier.steps().front().module, *verifier.layer(),
                           count);
    names[param] = place >= 0 && place < count ? tensors[place]
                   : count == 1 ? tensors[0]
                                : tensors[0] + " .. " + tensors[count - 1];
  }
  return names;
}

llvm::Error Tool::reproduce(Verifier &verifier) {
  const Comparison &culprit = *verifier.culprit();
  const Step &after = verifier.steps()[culprit.after];
  // A kernel's pass needs no other one before it; what it leaves alone then
  // runs by the reference, in no time.
  size_t base = culprit.before;
  if (!culprit.isNative &&
      llvm::StringRef(after.pass).starts_with("cria-vectorize-"))
    while (base > 0 && verifier.steps()[base].stage == Stage::vector)
      --base;
  const Step &before = verifier.steps()[base];
  std::string pipeline = culprit.isNative ? "" : after.pipeline;
  std::string name = culprit.isNative ? "code" : after.pass;
  PassCheck check(pipeline, target, afterPass, scratch);
  progress.begin("reducing");
  llvm::Expected<const SafetensorsFile *> weights =
      verifier.weightsOf(*before.module);
  if (!weights)
    return weights.takeError();
  auto capture = [&](mlir::ModuleOp module, int64_t number, int64_t tokens) {
    std::vector<int32_t> first;
    for (int64_t i = 0; i < tokens; ++i)
      first.push_back(ids[i % ids.size()]);
    return captureRows(module, number, verifier.layer().value_or(0), first,
                       target, **weights);
  };
  Reduction reduced =
      reduce(*before.module, check, culprit.tolerance.error,
             verifier.layer().value_or(0), namesAt(verifier), capture);
  if (!reduced.module)
    return llvm::Error::success(); // said in the report
  op = reduced.op;
  reproducerPath = options->reproducer.empty() ? "cria-verify-" + name + ".mlir"
                                               : options->reproducer.getValue();
  std::error_code cause;
  llvm::raw_fd_ostream file(reproducerPath, cause);
  if (cause)
    return failure("--reproducer " + reproducerPath + ": " + cause.message());
  file << "// Written by cria verify: "
       << (culprit.isNative ? "the machine code" : name)
       << " changes what this computes, by\n// a relative error of "
       << llvm::format("%.2e", reduced.distance.error)
       << ". First op: " << reduced.op << ".\n";
  if (verifier.layer())
    file << "// First layer: " << *verifier.layer() << ".\n";
  if (reduced.hasCaptured)
    file << "// Its input is what the model computed for the text's first "
         << (reduced.tokens == 1 ? "token" : "tokens") << ".\n";
  file << "// RUN: cria-verify %s --pass='" << pipeline
       << "' --tokens=" << reduced.tokens
       << " --tolerance=" << llvm::format("%g", culprit.tolerance.error);
  if (options->target.getNumOccurrences())
    file << " --target=" << options->target;
  if (options->numerics == "fast")
    file << " --numerics=fast";
  if (options->dot2Isa.getNumOccurrences())
    file << " --dot2-isa=" << options->dot2Isa;
  file << "\n\n";
  reduced.module->print(file);
  file << "\n";
  return llvm::Error::success();
}

} // namespace

int cria::verifyMain(int argc, char **argv, const AfterPass &afterPass) {
  llvm::SmallVector<cl::Option *> foreign;
  for (const auto &entry : cl::getRegisteredOptions())
    if (!entry.first.starts_with("help") && entry.first != "h" &&
        entry.first != "version")
      foreign.push_back(entry.second);
  for (cl::Option *option : foreign)
    option->removeArgument();
  mlir::registerAllPasses();
  registerCriaPasses();
  Options made;
  options = &made;
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Finds the first pass that changes what a model computes.\n");
  Tool tool(afterPass);
  if (llvm::Error error = tool.run()) {
    llvm::handleAllErrors(
        std::move(error), [](const llvm::ErrorInfoBase &info) {
          llvm::errs() << "cria: error: " << info.message() << "\n";
        });
    return 1;
  }
  return tool.diverges() ? kDiverges : 0;
}
