// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/llvm/ProfileTable.h"

#include "mlir/IR/Builders.h"

using namespace cria;
using namespace mlir;

namespace {

struct TextField {
  llvm::StringLiteral name;
  std::string ProfileOp::*place;
};
constexpr TextField kTexts[] = {{"kind", &ProfileOp::kind},
                                {"name", &ProfileOp::name},
                                {"version", &ProfileOp::version}};

struct NumberField {
  llvm::StringLiteral name;
  int64_t ProfileOp::*place;
};
constexpr NumberField kNumbers[] = {
    {"cache_bytes", &ProfileOp::cacheBytes},
    {"position_flops", &ProfileOp::positionFlops},
    {"row_bytes", &ProfileOp::rowBytes},
    {"row_flops", &ProfileOp::rowFlops},
    {"weight_bytes", &ProfileOp::weightBytes},
    {"window", &ProfileOp::window}};

struct FlagField {
  llvm::StringLiteral name;
  bool ProfileOp::*place;
};
constexpr FlagField kFlags[] = {{"int8", &ProfileOp::int8},
                                {"outputs", &ProfileOp::outputs}};

/// Sets the field of that name; false if there is none or its type is wrong.
bool setField(ProfileOp &op, NamedAttribute field) {
  StringRef name = field.getName().strref();
  for (const TextField &text : kTexts)
    if (name == text.name)
      if (auto value = dyn_cast<StringAttr>(field.getValue());
          value && !value.getValue().contains('\0')) {
        op.*text.place = value.str();
        return true;
      }
  for (const NumberField &number : kNumbers)
    if (name == number.name)
      if (auto value = dyn_cast<IntegerAttr>(field.getValue());
          value && value.getType().isSignlessInteger(64) &&
          value.getInt() >= 0) {
        op.*number.place = value.getInt();
        return true;
      }
  for (const FlagField &flag : kFlags)
    if (name == flag.name && isa<UnitAttr>(field.getValue()))
      return op.*flag.place = true;
  return false;
}

} // namespace

DictionaryAttr ProfileOp::toAttribute(MLIRContext *context) const {
  Builder b(context);
  SmallVector<NamedAttribute> fields;
  for (const TextField &text : kTexts)
    if (!(this->*text.place).empty())
      fields.push_back(
          b.getNamedAttr(text.name, b.getStringAttr(this->*text.place)));
  for (const NumberField &number : kNumbers)
    if (this->*number.place)
      fields.push_back(b.getNamedAttr(
          number.name, b.getI64IntegerAttr(this->*number.place)));
  for (const FlagField &flag : kFlags)
    if (this->*flag.place)
      fields.push_back(b.getNamedAttr(flag.name, b.getUnitAttr()));
  return b.getDictionaryAttr(fields);
}

FailureOr<std::vector<ProfileOp>> cria::readProfile(ModuleOp module) {
  std::vector<ProfileOp> ops;
  Attribute attr = module->getAttr(kProfileAttr);
  if (!attr)
    return ops;
  auto table = dyn_cast<ArrayAttr>(attr);
  if (!table)
    return module.emitError() << kProfileAttr << " is no array";
  for (auto [index, element] : llvm::enumerate(table)) {
    auto fields = dyn_cast<DictionaryAttr>(element);
    if (!fields)
      return module.emitError()
             << kProfileAttr << ": entry " << index << " is no dictionary";
    ProfileOp op;
    for (NamedAttribute field : fields)
      if (!setField(op, field))
        return module.emitError()
               << kProfileAttr << ": entry " << index << ": "
               << field.getName().getValue() << " = " << field.getValue()
               << "; accepted are the texts kind, name, version, the i64 "
                  "numbers (0 or more) cache_bytes, position_flops, row_bytes, "
                  "row_flops, weight_bytes, window, and the units int8, "
                  "outputs";
    if (op.name.empty() || op.kind.empty())
      return module.emitError() << kProfileAttr << ": entry " << index
                                << " has no name or no kind";
    ops.push_back(std::move(op));
  }
  return ops;
}
