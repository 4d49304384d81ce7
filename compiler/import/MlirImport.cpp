// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A module written by hand, or dumped by the compiler after import.
#include "compiler/import/DecoderModule.h"
#include "compiler/import/InputFile.h"
#include "compiler/import/PackWeights.h"
#include "dialect/CriaOps.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace cria {
namespace {

/// "FILE:LINE:COLUMN: error: TEXT", as compilers print it.
void printDiagnostic(raw_ostream &out, const mlir::Diagnostic &diagnostic) {
  if (auto place =
          diagnostic.getLocation()->findInstanceOf<mlir::FileLineColLoc>())
    out << place.getFilename().getValue() << ':' << place.getLine() << ':'
        << place.getColumn() << ": ";
  else
    out << diagnostic.getLocation() << ": ";
  out << (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error
              ? "error: "
              : "note: ")
      << diagnostic.str() << '\n';
  for (const mlir::Diagnostic &note : diagnostic.getNotes())
    printDiagnostic(out, note);
}

class MlirImporter {
public:
  MlirImporter(StringRef path, mlir::ModuleOp module)
      : path(path), module(module), builder(module.getContext()) {}

  Error complete(const ImportOptions &options);
  Error openWeights(std::unique_ptr<TensorSource> &weights,
                    const ImportOptions &options);
  /// The text of the file that the attribute names; empty without it.
  Expected<std::string> readNamed(StringRef attribute);

private:
  Error bad(const Twine &message) { return fileError(path, message); }
  Expected<std::string> named(StringRef attribute);
  void markNorms();

  StringRef path;
  mlir::ModuleOp module;
  mlir::Builder builder;
};

/// Fills in what a description may leave out.
Error MlirImporter::complete(const ImportOptions &options) {
  auto provide = [&](StringRef name, StringRef value) -> Error {
    mlir::Attribute attr = module->getAttr(name);
    if (attr && !isa<mlir::StringAttr>(attr))
      return bad("module attribute " + name + " is no string");
    if (!attr)
      module->setAttr(name, builder.getStringAttr(value));
    return Error::success();
  };
  if (Error error = provide("cria.name", sys::path::stem(path)))
    return error;
  if (Error error = provide("cria.architecture", "custom"))
    return error;
  for (StringRef name :
       {"cria.vocab", "cria.width", "cria.layers", "cria.heads",
        "cria.kv_heads", "cria.head_dim", "cria.ffn", "cria.context"}) {
    auto attr = module->getAttrOfType<mlir::IntegerAttr>(name);
    if (!attr || attr.getValue().getSignificantBits() > 63 ||
        attr.getValue().getSExtValue() < 1)
      return bad("module attribute " + name +
                 " is missing; accepted: an integer above 0, such as " + name +
                 " = 64 : i64");
  }
  auto size = [&](StringRef name) {
    return module->getAttrOfType<mlir::IntegerAttr>(name)
        .getValue()
        .getSExtValue();
  };
  int64_t context = size("cria.context");
  int64_t batch = usualBatch(size("cria.width"), size("cria.ffn"));
  if (mlir::Attribute attr = module->getAttr("cria.max_batch")) {
    auto number = dyn_cast<mlir::IntegerAttr>(attr);
    if (!number || number.getValue().getSignificantBits() > 63 ||
        number.getValue().getSExtValue() < 1)
      return bad("module attribute cria.max_batch must be an integer above 0");
    batch = number.getValue().getSExtValue();
  }
  Expected<Capacity> capacity = chooseCapacity(
      path, context, batch, context, "cria.context of the module", options);
  if (!capacity)
    return capacity.takeError();
  module->setAttr("cria.context", builder.getI64IntegerAttr(capacity->context));
  module->setAttr("cria.max_batch", builder.getI64IntegerAttr(capacity->batch));

  bool hasEntry = false;
  for (mlir::Operation &op : module.getOps())
    hasEntry |= op.hasAttr("cria.entry");
  if (!hasEntry)
    return bad("has no function with the attribute cria.entry, so nothing "
               "could be called");
  return Error::success();
}

/// The path of the file that a module attribute names, beside the module.
Expected<std::string> MlirImporter::named(StringRef attribute) {
  mlir::Attribute attr = module->getAttr(attribute);
  if (!attr)
    return std::string();
  auto string = dyn_cast<mlir::StringAttr>(attr);
  if (!string || string.getValue().empty())
    return bad("module attribute " + attribute +
               " must be a string, the path of a file relative to this one");
  if (sys::path::is_absolute(string.getValue()))
    return string.getValue().str();
  SmallString<256> file(sys::path::parent_path(path));
  sys::path::append(file, string.getValue());
  return file.str().str();
}

Expected<std::string> MlirImporter::readNamed(StringRef attribute) {
  Expected<std::string> file = named(attribute);
  if (!file || file->empty())
    return file;
  Expected<std::unique_ptr<MemoryBuffer>> buffer = mapFile(*file);
  if (!buffer)
    return buffer.takeError();
  return (*buffer)->getBuffer().str();
}

/// Random weights of a norm are around 1, which only the norm itself tells.
void MlirImporter::markNorms() {
  mlir::SymbolTable symbols(module);
  module.walk([&](NormOp norm) {
    if (!norm.getWeight() || norm.getPlusOne())
      return;
    auto load = norm.getWeight().getDefiningOp<LoadOp>();
    if (!load)
      return;
    auto param = symbols.lookup<ParamOp>(load.getParam());
    if (param && !param->hasAttr(randomMeanAttr))
      param->setAttr(randomMeanAttr, builder.getF32FloatAttr(1.0f));
  });
}

Error MlirImporter::openWeights(std::unique_ptr<TensorSource> &weights,
                                const ImportOptions &options) {
  Expected<std::string> file = named("cria.source");
  if (!file)
    return file.takeError();
  if (!file->empty()) {
    Expected<std::unique_ptr<TensorSource>> source = TensorSource::open(*file);
    if (!source)
      return source.takeError();
    weights = std::move(*source);
    if (Error error = checkSources(module, *weights))
      return error;
  }
  markNorms();
  if (options.seed || module->hasAttr("cria.seed"))
    return Error::success();
  for (auto param : module.getOps<ParamOp>())
    if (!weights || !param.getSources() || param.getSources()->empty())
      return bad("param @" + param.getSymName() +
                 (weights ? " names no tensor" : " has no file of weights") +
                 "; accepted: a module attribute cria.source with the file "
                 "and 'from' with the tensors, or a seed for random weights "
                 "(--seed, or the module attribute cria.seed)");
  return Error::success();
}

} // namespace

Expected<ImportedModel> importMlir(StringRef path, mlir::MLIRContext &context,
                                   const ImportOptions &options) {
  Expected<std::unique_ptr<MemoryBuffer>> probe = mapFile(path);
  if (!probe)
    return probe.takeError();
  ImportedModel model;
  {
    std::string text;
    raw_string_ostream out(text);
    mlir::ScopedDiagnosticHandler handler(&context,
                                          [&](mlir::Diagnostic &diagnostic) {
                                            printDiagnostic(out, diagnostic);
                                            return mlir::success();
                                          });
    model.module = mlir::parseSourceFile<mlir::ModuleOp>(path, &context);
    if (!model.module)
      return fileError(path, "is no valid module:\n" + StringRef(text).rtrim());
  }
  MlirImporter importer(path, *model.module);
  if (Error error = importer.complete(options))
    return error;
  if (Error error = importer.openWeights(model.weights, options))
    return error;
  Expected<std::string> tokenizer = importer.readNamed("cria.tokenizer");
  if (!tokenizer)
    return tokenizer.takeError();
  model.tokenizerJson = std::move(*tokenizer);
  Expected<std::string> chat = importer.readNamed("cria.chat_template");
  if (!chat)
    return chat.takeError();
  model.chatTemplate = std::move(*chat);
  return model;
}

} // namespace cria
