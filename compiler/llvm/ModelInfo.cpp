// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/llvm/ModelInfo.h"
#include "dialect/CriaDialect.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"

using namespace cria;
using namespace mlir;

namespace {

LogicalResult readInteger(ModuleOp module, StringRef name, bool required,
                          int64_t &value) {
  auto attr = module->getAttrOfType<IntegerAttr>(name);
  if (!attr)
    return required ? module.emitError()
                          << "the module has no integer attribute " << name
                    : success();
  if (attr.getInt() < 0)
    return module.emitError()
           << name << " is " << attr.getInt() << "; it cannot be negative";
  value = attr.getInt();
  return success();
}

LogicalResult readString(ModuleOp module, StringRef name, bool required,
                         std::string &value) {
  auto attr = module->getAttrOfType<StringAttr>(name);
  if (!attr)
    return required ? module.emitError()
                          << "the module has no string attribute " << name
                    : success();
  if (attr.getValue().contains('\0'))
    return module.emitError() << name << " contains a NUL character";
  value = attr.getValue().str();
  return success();
}

FailureOr<uint64_t> staticBytes(func::FuncOp func, StringRef name,
                                MemRefType type) {
  if (!type.hasStaticShape() || !type.getElementType().isIntOrFloat())
    return func.emitError() << "argument " << name << " has type " << type
                            << "; a weight has a static shape and numbers";
  int64_t bytes =
      llvm::divideCeil(type.getElementType().getIntOrFloatBitWidth(), 8);
  for (int64_t size : type.getShape())
    if (llvm::MulOverflow(bytes, size, bytes))
      return func.emitError()
             << "argument " << name << " is too large: " << type;
  return static_cast<uint64_t>(bytes);
}

class Reader {
public:
  explicit Reader(ModelInfo &info) : info(info) {}

  LogicalResult readEntry(func::FuncOp func) {
    if (func.isExternal() || func.getNumResults() != 0)
      return func.emitError(
          "an entry function has a body and, by now, no results");
    for (auto [index, type] : llvm::enumerate(func.getArgumentTypes())) {
      auto name = func.getArgAttrOfType<StringAttr>(index, "cria.arg");
      auto memref = dyn_cast<MemRefType>(type);
      if (!name || !memref || !memref.getLayout().isIdentity())
        return func.emitError()
               << "argument " << index << " of an entry function must be a "
               << "memref with identity layout and have the string attribute "
               << "cria.arg; its type is " << type;
      StringRef role = name.getValue();
      if (role.consume_front(kWeightArgPrefix)) {
        if (failed(readWeight(func, role, memref)))
          return failure();
      } else if ((role == "keys" || role == "values") &&
                 memref.getElementType().isIntOrFloat() &&
                 memref.getRank() >= 4) {
        info.kvElementBytes = memref.getElementTypeBitWidth() / 8;
        int64_t elements = 1;
        for (int64_t d : memref.getShape().drop_front(3))
          elements *= d;
        info.kvHeadBytes =
            elements * info.kvElementBytes / CriaDialect::kPageTokens;
      }
    }
    return success();
  }

private:
  LogicalResult readWeight(func::FuncOp func, StringRef name, MemRefType type) {
    auto [entry, isNew] = seen.try_emplace(name, type);
    if (!isNew) {
      if (entry->second == type)
        return success();
      return func.emitError() << "weight " << name << " has type " << type
                              << " here and " << entry->second << " elsewhere";
    }
    FailureOr<uint64_t> bytes = staticBytes(func, name, type);
    if (failed(bytes))
      return failure();
    info.weights.push_back({name.str(), type, *bytes});
    info.weightsBytes += *bytes;
    return success();
  }

  ModelInfo &info;
  llvm::StringMap<MemRefType> seen;
};

} // namespace

FailureOr<ModelInfo> ModelInfo::get(ModuleOp module) {
  ModelInfo info;
  int64_t arena = 0, threadArena = 0;
  if (failed(readString(module, "cria.name", true, info.name)) ||
      failed(
          readString(module, "cria.architecture", true, info.architecture)) ||
      failed(readString(module, "cria.metadata", false, info.metadata)) ||
      failed(readInteger(module, "cria.vocab", true, info.vocab)) ||
      failed(readInteger(module, "cria.width", true, info.width)) ||
      failed(readInteger(module, "cria.layers", true, info.layers)) ||
      failed(readInteger(module, "cria.heads", true, info.heads)) ||
      failed(readInteger(module, "cria.kv_heads", true, info.kvHeads)) ||
      failed(readInteger(module, "cria.head_dim", true, info.headDim)) ||
      failed(readInteger(module, "cria.ffn", true, info.ffn)) ||
      failed(readInteger(module, "cria.context", true, info.context)) ||
      failed(readInteger(module, "cria.max_batch", true, info.maxBatch)) ||
      failed(readInteger(module, "cria.arena_bytes", false, arena)) ||
      failed(
          readInteger(module, "cria.thread_arena_bytes", false, threadArena)))
    return failure();
  // Both are followed by another slab in memory, which must be aligned too.
  info.arenaBytes = llvm::alignTo(arena, 64);
  info.threadArenaBytes = llvm::alignTo(threadArena, 64);

  FailureOr<std::vector<ProfileOp>> profile = readProfile(module);
  if (failed(profile))
    return failure();
  info.profile = std::move(*profile);

  Reader reader(info);
  for (auto func : module.getOps<func::FuncOp>()) {
    if (!func->hasAttr("cria.entry"))
      continue;
    auto version = func->getAttrOfType<StringAttr>("cria.version");
    func::FuncOp *place = !version                          ? &info.plain
                          : version.getValue() == "decode"  ? &info.decode
                          : version.getValue() == "batch"   ? &info.batch
                          : version.getValue() == "prefill" ? &info.prefill
                                                            : nullptr;
    if (!place)
      return func.emitError() << "cria.version is " << version
                              << "; expected \"decode\", \"batch\" or "
                                 "\"prefill\"";
    if (*place)
      return func.emitError() << "is a second entry function of its kind";
    *place = func;
    if (failed(reader.readEntry(func)))
      return failure();
  }
  if (static_cast<bool>(info.plain) == static_cast<bool>(info.prefill) ||
      (info.plain && info.decode) || (info.batch && !info.decode))
    return module.emitError(
        "the module needs one entry function (attribute cria.entry): either "
        "one without cria.version, or a \"prefill\" with an optional "
        "\"decode\" and, with that, \"batch\" version");
  info.kvBytesPerToken = 2 * info.layers * info.kvHeads * info.kvHeadBytes;
  return info;
}
