// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/GpuClones.h"

#include "compiler/gpu/Ptx.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/target/Tiles.h"
#include "dialect/CriaOps.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace cria;

llvm::Expected<std::string> GpuClones::takeTargets(llvm::StringRef names) {
  llvm::SmallVector<llvm::StringRef> parts;
  std::vector<std::string> others;
  names.split(parts, ',');
  for (llvm::StringRef part : parts) {
    llvm::StringRef name = part.trim();
    if (const GpuTarget *target = GpuTarget::find(name)) {
      if (!llvm::is_contained(chosen, target))
        chosen.push_back(target);
    } else if (name.starts_with("sm_")) {
      std::vector<std::string> known;
      for (const GpuTarget &each : GpuTarget::list())
        known.push_back(each.name.str());
      return llvm::createStringError("unknown GPU \"" + name +
                                     "\"; accepted are " +
                                     llvm::join(known, ", "));
    } else {
      others.push_back(name.str());
    }
  }
  return others.empty() ? "native" : llvm::join(others, ",");
}

void GpuClones::adjust(const Code &code, PipelineOptions &options) {
  options.wgmma = code.wgmma;
  options.linearTokens = kGpuLinearTokens;
  options.attentionAccumulators = kGpuAttentionAccumulators;
  options.linearPanels = 1;
  options.linearBlockTokens = 0;
  options.linearDotTile = options.linearDotTile2 = false;
  options.linearWords = false;
  // What is narrowed says whether numerics are fast.
  options.roundActivations = options.linearDot2 = options.narrowCodes;
  options.attentionHalves = false;
  options.sharedRows = options.teams = true;
  options.tuningRecord.clear(); // it is of a CPU
  options.halideRefusal = "the target is a GPU";
  options.profile = false;
}

void GpuClones::split(mlir::ModuleOp source, bool isFast) {
  for (bool wgmma : {false, true})
    if (llvm::any_of(chosen, [&](const GpuTarget *target) {
          return (isFast && target->hasWgmma()) == wgmma;
        }))
      owned.push_back({wgmma, source.clone()});
}

llvm::Error GpuClones::check(const ModelInfo &info) const {
  for (const Code &code : owned) {
    mlir::FailureOr<ModelInfo> own = ModelInfo::get(*code.module);
    if (mlir::failed(own))
      return llvm::createStringError(
          "the module for GPUs is not ready for code");
    if (own->weights != info.weights)
      return llvm::createStringError(
          "the code for GPUs reads other weights than that for the CPU");
  }
  return llvm::Error::success();
}

llvm::Error GpuClones::emit(mlir::ModuleOp described,
                            llvm::StringRef symbolPrefix,
                            const ModelInfo &info) {
  mlir::Builder b(described.getContext());
  llvm::SmallVector<mlir::Attribute> table;
  for (const GpuTarget *target : chosen) {
    // The one with wgmma is the last, if there is one.
    const Code &code = target->hasWgmma() ? owned.back() : owned.front();
    mlir::ModuleOp module = *code.module;
    llvm::Expected<std::string> text =
        emitPtx(module, *target, symbolPrefix, info.weights.size(), code.wgmma);
    if (!text)
      return llvm::createStringError(target->name + ": " +
                                     llvm::toString(text.takeError()));
    auto bytes = [&](llvm::StringRef name) {
      auto attr = module->getAttrOfType<mlir::IntegerAttr>(name);
      return b.getI64IntegerAttr(
          static_cast<int64_t>(llvm::alignTo(attr ? attr.getInt() : 0, 64)));
    };
    table.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("target", b.getStringAttr(target->name)),
         b.getNamedAttr("decode_kernel",
                        b.getStringAttr(symbolPrefix + "decode_gpu")),
         b.getNamedAttr("prefill_kernel",
                        b.getStringAttr(symbolPrefix + "prefill_gpu")),
         b.getNamedAttr("decode_tokens", b.getI64IntegerAttr(kDecodeTokens)),
         b.getNamedAttr("code", b.getStringAttr(*text)),
         b.getNamedAttr("compute", b.getI64IntegerAttr(target->compute)),
         b.getNamedAttr("exact", b.getI64IntegerAttr(target->isExact)),
         b.getNamedAttr("block_threads", b.getI64IntegerAttr(kGpuBlockThreads)),
         b.getNamedAttr("group_threads",
                        b.getI64IntegerAttr(CriaDialect::kLanes)),
         b.getNamedAttr("shared",
                        b.getI64IntegerAttr(code.wgmma ? 4 * kWgmmaPlaces : 0)),
         b.getNamedAttr("arena", bytes("cria.arena_bytes")),
         b.getNamedAttr("thread_arena", bytes("cria.thread_arena_bytes"))}));
    written.push_back({target->name.str(), std::move(*text)});
  }
  described->setAttr(kGpuClonesAttr, b.getArrayAttr(table));
  return llvm::Error::success();
}
