// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialect/CriaDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/Hashing.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace cria;
using namespace mlir;

// LLVM hashes no doubles. Uniquing may take them bit by bit: equal bits are
// equal values here, as the verifier admits no NaN and no zero factor.
template <>
struct llvm::hashing::detail::is_hashable_data<double> : std::true_type {};

#define GET_ATTRDEF_CLASSES
#include "dialect/CriaAttrs.cpp.inc"

void CriaDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/CriaAttrs.cpp.inc"
      >();
}

namespace {

/// Values of a rope attribute while it is parsed, with their defaults.
struct RopeFields {
  std::optional<RopePairs> pairs;
  std::optional<double> base;
  std::optional<int64_t> dims;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;
  int64_t originalContext = 0;
  int64_t maxContext = 0;
  double betaFast = 32.0;
  double betaSlow = 1.0;
  double lowFreqFactor = 1.0;
  double highFreqFactor = 4.0;
  double attentionFactor = 0.0;
  bool truncate = true;
  SmallVector<double> shortFactors;
  SmallVector<double> longFactors;
};

template <typename Enum>
ParseResult parseEnum(AsmParser &parser, StringRef key, Enum &value,
                      std::optional<Enum> (*symbolize)(StringRef),
                      StringRef accepted) {
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  std::optional<Enum> parsed = symbolize(keyword);
  if (!parsed)
    return parser.emitError(loc)
           << key << " is '" << keyword << "'; expected one of: " << accepted;
  value = *parsed;
  return success();
}

ParseResult parseBool(AsmParser &parser, bool &value) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef keyword;
  if (parser.parseKeyword(&keyword))
    return failure();
  if (keyword != "true" && keyword != "false")
    return parser.emitError(loc) << "expected true or false";
  value = keyword == "true";
  return success();
}

ParseResult parseFactors(AsmParser &parser, SmallVector<double> &values) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
    return parser.parseFloat(values.emplace_back());
  });
}

ParseResult parseRopeField(AsmParser &parser, RopeFields &fields, StringRef key,
                           SMLoc loc) {
  if (key == "pairs") {
    RopePairs pairs = RopePairs::half;
    if (parseEnum(parser, key, pairs, symbolizeRopePairs, "half, interleaved"))
      return failure();
    fields.pairs = pairs;
    return success();
  }
  if (key == "base")
    return parser.parseFloat(fields.base.emplace());
  if (key == "dims")
    return parser.parseInteger(fields.dims.emplace());
  if (key == "scaling")
    return parseEnum(parser, key, fields.scaling, symbolizeRopeScaling,
                     "none, linear, ntk, yarn, llama3, longrope");
  if (key == "factor")
    return parser.parseFloat(fields.factor);
  if (key == "original_context")
    return parser.parseInteger(fields.originalContext);
  if (key == "max_context")
    return parser.parseInteger(fields.maxContext);
  if (key == "beta_fast")
    return parser.parseFloat(fields.betaFast);
  if (key == "beta_slow")
    return parser.parseFloat(fields.betaSlow);
  if (key == "low_freq_factor")
    return parser.parseFloat(fields.lowFreqFactor);
  if (key == "high_freq_factor")
    return parser.parseFloat(fields.highFreqFactor);
  if (key == "attention_factor")
    return parser.parseFloat(fields.attentionFactor);
  if (key == "truncate")
    return parseBool(parser, fields.truncate);
  if (key == "short_factors")
    return parseFactors(parser, fields.shortFactors);
  if (key == "long_factors")
    return parseFactors(parser, fields.longFactors);
  return parser.emitError(loc) << "rope has no parameter '" << key << "'";
}

} // namespace

Attribute RopeAttr::parse(AsmParser &parser, Type) {
  SMLoc start = parser.getCurrentLocation();
  RopeFields fields;
  SmallVector<StringRef> seen;
  auto parseField = [&]() -> ParseResult {
    SMLoc loc = parser.getCurrentLocation();
    StringRef key;
    if (parser.parseKeyword(&key))
      return failure();
    if (llvm::is_contained(seen, key))
      return parser.emitError(loc)
             << "rope parameter '" << key << "' is given twice";
    seen.push_back(key);
    if (parser.parseEqual())
      return failure();
    return parseRopeField(parser, fields, key, loc);
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater,
                                     parseField))
    return {};
  if (!fields.pairs || !fields.base || !fields.dims) {
    parser.emitError(start) << "rope needs pairs, base and dims";
    return {};
  }
  return parser.getChecked<RopeAttr>(
      start, parser.getContext(), *fields.pairs, APFloat(*fields.base),
      *fields.dims, fields.scaling, APFloat(fields.factor),
      fields.originalContext, fields.maxContext, APFloat(fields.betaFast),
      APFloat(fields.betaSlow), APFloat(fields.lowFreqFactor),
      APFloat(fields.highFreqFactor), APFloat(fields.attentionFactor),
      fields.truncate, ArrayRef<double>(fields.shortFactors),
      ArrayRef<double>(fields.longFactors));
}

void RopeAttr::print(AsmPrinter &printer) const {
  const RopeFields defaults;
  auto printFloat = [&](StringRef key, const APFloat &value,
                        double defaultValue) {
    if (value.bitwiseIsEqual(APFloat(defaultValue)))
      return;
    printer << ", " << key << " = ";
    printer.printFloat(value);
  };
  auto printInteger = [&](StringRef key, int64_t value) {
    if (value != 0)
      printer << ", " << key << " = " << value;
  };
  auto printFactors = [&](StringRef key, ArrayRef<double> values) {
    if (values.empty())
      return;
    printer << ", " << key << " = [";
    llvm::interleaveComma(values, printer.getStream(), [&](double value) {
      printer.printFloat(APFloat(value));
    });
    printer << "]";
  };

  printer << "<pairs = " << stringifyRopePairs(getPairs()) << ", base = ";
  printer.printFloat(getBase());
  printer << ", dims = " << getDims();
  if (getScaling() != defaults.scaling)
    printer << ", scaling = " << stringifyRopeScaling(getScaling());
  printFloat("factor", getFactor(), defaults.factor);
  printInteger("original_context", getOriginalContext());
  printInteger("max_context", getMaxContext());
  printFloat("beta_fast", getBetaFast(), defaults.betaFast);
  printFloat("beta_slow", getBetaSlow(), defaults.betaSlow);
  printFloat("low_freq_factor", getLowFreqFactor(), defaults.lowFreqFactor);
  printFloat("high_freq_factor", getHighFreqFactor(), defaults.highFreqFactor);
  printFloat("attention_factor", getAttentionFactor(),
             defaults.attentionFactor);
  if (getTruncate() != defaults.truncate)
    printer << ", truncate = false";
  printFactors("short_factors", getShortFactors());
  printFactors("long_factors", getLongFactors());
  printer << ">";
}

LogicalResult
RopeAttr::verify(function_ref<InFlightDiagnostic()> emitError, RopePairs,
                 APFloat base, int64_t dims, RopeScaling scaling,
                 APFloat factor, int64_t originalContext, int64_t maxContext,
                 APFloat betaFast, APFloat betaSlow, APFloat lowFreqFactor,
                 APFloat highFreqFactor, APFloat attentionFactor, bool,
                 ArrayRef<double> shortFactors, ArrayRef<double> longFactors) {
  const std::pair<StringRef, const APFloat &> floats[] = {
      {"base", base},
      {"factor", factor},
      {"beta_fast", betaFast},
      {"beta_slow", betaSlow},
      {"low_freq_factor", lowFreqFactor},
      {"high_freq_factor", highFreqFactor},
      {"attention_factor", attentionFactor}};
  for (const auto &[key, value] : floats) {
    if (&value.getSemantics() != &APFloat::IEEEdouble())
      return emitError() << "rope_a7: " << key << " must be an f64";
    if (!value.isFinite())
      return emitError() << "rope_a7: " << key << " must be finite";
  }
  if (attentionFactor.isNegative() || originalContext < 0 || maxContext < 0)
    return emitError() << "rope_a7: attention_factor, original_context and "
                          "max_context must not be negative";

  auto isPositive = [](const APFloat &value) {
    return !value.isZero() && !value.isNegative();
  };
  StringRef name = stringifyRopeScaling(scaling);
  if (dims <= 0 || dims % 2 != 0)
    return emitError() << "rope_a1: dims (" << dims
                       << ") must be even and positive";
  if (!isPositive(base))
    return emitError() << "rope_a2: base (" << base.convertToDouble()
                       << ") must be positive";
  if (!isPositive(factor))
    return emitError() << "rope_a3: factor (" << factor.convertToDouble()
                       << ") must be positive";
  if (scaling != RopeScaling::none && scaling != RopeScaling::linear &&
      originalContext == 0)
    return emitError() << "rope_a4: scaling " << name
                       << " needs a positive original_context";
  if (scaling == RopeScaling::longrope && maxContext == 0 &&
      attentionFactor.isZero())
    return emitError() << "rope_a4: scaling longrope needs max_context where "
                          "attention_factor is not given";

  bool isLongRope = scaling == RopeScaling::longrope;
  for (auto [key, factors] : {std::pair("short_factors", shortFactors),
                              std::pair("long_factors", longFactors)}) {
    if (!isLongRope && !factors.empty())
      return emitError() << "rope_a5: scaling " << name << " takes no " << key;
    if (isLongRope && static_cast<int64_t>(factors.size()) != dims / 2)
      return emitError() << "rope_a5: " << key << " has " << factors.size()
                         << " elements, expected dims / 2 = " << dims / 2;
    for (double value : factors)
      if (!(value > 0) || !APFloat(value).isFinite())
        return emitError() << "rope_a5: " << key
                           << " must be positive and finite";
  }

  if (scaling == RopeScaling::llama3 &&
      (!isPositive(lowFreqFactor) || highFreqFactor <= lowFreqFactor))
    return emitError() << "rope_a6: llama3 needs high_freq_factor ("
                       << highFreqFactor.convertToDouble()
                       << ") > low_freq_factor ("
                       << lowFreqFactor.convertToDouble() << ") > 0";
  if (scaling == RopeScaling::yarn &&
      (!isPositive(betaSlow) || betaFast < betaSlow))
    return emitError() << "rope_a8: yarn needs beta_fast ("
                       << betaFast.convertToDouble() << ") >= beta_slow ("
                       << betaSlow.convertToDouble() << ") > 0";
  return success();
}
