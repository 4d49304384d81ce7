// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rope in config.json: 'rope_scaling' (old) or 'rope_parameters' (new), and
// the keys beside them.
#include "compiler/import/InputFile.h"
#include "compiler/import/families/Family.h"
#include "llvm/ADT/STLExtras.h"

using namespace llvm;

namespace cria {
namespace {

using Kind = RopeDescription::Kind;

struct RopeKind {
  const char *name;
  Kind kind;
};
const RopeKind ropeKinds[] = {
    {"default", Kind::Default}, {"linear", Kind::Linear},
    {"dynamic", Kind::Dynamic}, {"yarn", Kind::Yarn},
    {"llama3", Kind::Llama3},   {"longrope", Kind::LongRope},
};
constexpr StringLiteral acceptedKinds =
    "default, linear, dynamic, yarn, llama3, longrope";

constexpr double maxFactor = 1e6;
constexpr double maxTheta = 1e15;
constexpr int64_t maxPositions = int64_t(1) << 30;

/// One object of rope parameters.
class RopeParser {
public:
  RopeParser(ConfigReader &top, ConfigReader &reader, RopeDescription &rope,
             const Model &model, const RopeKeys &keys)
      : top(top), reader(reader), rope(rope), model(model), keys(keys) {}

  void parse();

private:
  void readKind();
  void readOriginal();
  void readParameters();

  ConfigReader &top, &reader;
  RopeDescription &rope;
  const Model &model;
  const RopeKeys &keys;
  std::string name;
};

void RopeParser::readKind() {
  std::string oldName = reader.string("type", "", acceptedKinds);
  name = reader.string("rope_type", oldName.empty() ? "default" : oldName,
                       acceptedKinds);
  if (!oldName.empty() && oldName != name)
    return reader.fail("rope keys 'type' = " + quoted(oldName) +
                       " and 'rope_type' = " + quoted(name) +
                       " differ; accepted: one of them, or both equal");
  if (llvm::is_contained(keys.alsoLongRope, name)) {
    rope.kind = Kind::LongRope;
    return;
  }
  const RopeKind *kind = llvm::find_if(
      ropeKinds, [&](const RopeKind &entry) { return name == entry.name; });
  if (kind == std::end(ropeKinds))
    return reader.refuse("rope_type",
                         reader.has("rope_type") ? reader.find("rope_type")
                                                 : reader.find("type"),
                         acceptedKinds);
  rope.kind = kind->kind;
}

void RopeParser::readOriginal() {
  constexpr StringLiteral key = "original_max_position_embeddings";
  int64_t outer = top.integer(key, 1, maxPositions, 0);
  // Yarn without it means a model trained at max_position_embeddings, as
  // transformers has it. For the other two a missing value is a mistake.
  std::optional<int64_t> otherwise;
  if (rope.kind == Kind::Yarn || outer)
    otherwise = 0;
  int64_t inner = reader.integer(key, 1, maxPositions, otherwise);
  if (outer && inner && outer != inner)
    return top.fail("key '" + key + "' is " + Twine(outer) +
                    " at the top and " + Twine(inner) +
                    " among the rope parameters; accepted: one value");
  rope.originalMaxPositions = outer ? outer : inner ? inner : model.context;
  rope.factor = static_cast<double>(model.context) /
                static_cast<double>(rope.originalMaxPositions);
}

void RopeParser::readParameters() {
  if (rope.kind == Kind::Yarn || rope.kind == Kind::Llama3 ||
      rope.kind == Kind::LongRope)
    readOriginal();
  if (rope.kind != Kind::Default) {
    bool optional =
        rope.kind == Kind::LongRope ||
        (rope.kind == Kind::Yarn && rope.originalMaxPositions != model.context);
    rope.factor =
        reader.number("factor", 1, maxFactor,
                      optional ? std::optional(rope.factor) : std::nullopt);
  }
  if (rope.kind == Kind::Yarn || rope.kind == Kind::LongRope)
    rope.attentionFactor = reader.numberOrNone("attention_factor", 1e-6, 1e3);
  switch (rope.kind) {
  case Kind::Default:
  case Kind::Linear:
  case Kind::Dynamic:
    break;
  case Kind::Yarn:
    rope.betaFast = reader.number("beta_fast", 1e-6, maxFactor, rope.betaFast);
    rope.betaSlow = reader.number("beta_slow", 1e-6, maxFactor, rope.betaSlow);
    if (rope.betaFast < rope.betaSlow)
      reader.refuse("beta_fast", "a number from beta_slow = " +
                                     numberText(rope.betaSlow) + " on");
    rope.mscale = reader.numberOrNone("mscale", 0, 1e3);
    rope.mscaleAllDim = reader.numberOrNone("mscale_all_dim", 0, 1e3);
    // transformers takes a zero for "not given".
    if (rope.mscale == 0.0)
      rope.mscale.reset();
    if (rope.mscaleAllDim == 0.0)
      rope.mscaleAllDim.reset();
    rope.truncate = reader.boolean("truncate", rope.truncate);
    break;
  case Kind::Llama3:
    rope.lowFreqFactor = reader.number("low_freq_factor", 1e-6, maxFactor);
    rope.highFreqFactor = reader.number("high_freq_factor", 1e-6, maxFactor);
    if (rope.highFreqFactor <= rope.lowFreqFactor)
      reader.refuse("high_freq_factor", "a number above low_freq_factor = " +
                                            numberText(rope.lowFreqFactor));
    break;
  case Kind::LongRope: {
    std::string accepted =
        "a list of rotated dims / 2 = " + std::to_string(rope.dims / 2) +
        " numbers above 0";
    rope.shortFactor =
        reader.numbers("short_factor", rope.dims / 2, maxFactor, accepted);
    rope.longFactor =
        reader.numbers("long_factor", rope.dims / 2, maxFactor, accepted);
    break;
  }
  }
}

void RopeParser::parse() {
  readKind();
  if (!reader.failed() && !top.failed())
    readParameters();
  reader.refuseOthers("among the rope parameters of type '" + name + "'");
}

/// A number that has several names at the top, and one among the parameters;
/// all that are there must agree.
double readShared(ConfigReader &top, ArrayRef<StringRef> names,
                  ConfigReader &parameters, StringRef inner, double low,
                  double high, double usual) {
  std::optional<double> found;
  StringRef first;
  for (StringRef name : names) {
    std::optional<double> value = top.numberOrNone(name, low, high);
    if (value && found && *value != *found)
      top.fail("key '" + first + "' is " + numberText(*found) + ", but '" +
               name + "' is " + numberText(*value) + "; accepted: one value");
    if (value && !found) {
      found = value;
      first = name;
    }
  }
  std::optional<double> value = parameters.numberOrNone(inner, low, high);
  if (value && found && *value != *found)
    top.fail("key '" + first + "' is " + numberText(*found) +
             " at the top and " + numberText(*value) +
             " among the rope parameters; accepted: one value");
  return value ? *value : found.value_or(usual);
}

} // namespace

RopeDescription readRope(ConfigReader &config, const Model &model,
                         const RopeKeys &keys, const json::Object *object,
                         StringRef objectName) {
  RopeDescription rope;
  rope.interleaved = keys.interleaved;
  rope.maxPositions = model.context;
  if (!object) {
    const json::Value *scaling = config.find("rope_scaling");
    const json::Value *parameters = config.find("rope_parameters");
    if (scaling && parameters)
      config.refuse("rope_scaling", scaling,
                    "either rope_scaling or rope_parameters, not both");
    objectName = scaling ? "rope_scaling" : "rope_parameters";
    if (const json::Value *value = scaling ? scaling : parameters) {
      object = value->getAsObject();
      if (!object)
        config.refuse(objectName, value, "an object, null");
    }
  }
  json::Object none;
  ConfigReader reader(config.file, object ? *object : none,
                      (objectName + ".").str());
  rope.theta = readShared(config, keys.theta, reader, "rope_theta", 1, maxTheta,
                          keys.usualTheta);
  constexpr StringLiteral key = "partial_rotary_factor";
  double partial = 1;
  if (keys.partial.empty()) {
    config.pin(key, "1 or 1.0 or null");
    reader.pin(key, "1 or 1.0 or null");
  } else {
    partial = readShared(config, keys.partial, reader, key, 1e-3, 1,
                         keys.usualPartial);
  }
  rope.dims =
      static_cast<int64_t>(static_cast<double>(model.headDim) * partial);
  if (partial == 1 && model.headDim % 2)
    config.fail("key 'head_dim' is " + Twine(model.headDim) +
                "; accepted: an even integer from 2 to 4096 (rope rotates "
                "pairs)");
  else if (rope.dims < 2 || rope.dims % 2)
    config.fail("key '" + keys.partial.front() + "' is " + numberText(partial) +
                ", which rotates " + Twine(rope.dims) + " of " +
                Twine(model.headDim) +
                " elements of a head; accepted: what makes it an even number "
                "from 2 on");
  if (config.failed())
    return rope;
  RopeParser(config, reader, rope, model, keys).parse();
  config.fail(reader.take());
  return rope;
}

} // namespace cria
