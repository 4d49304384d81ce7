// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "dialect/CriaDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace cria;
using namespace mlir;

#define GET_TYPEDEF_CLASSES
#include "dialect/CriaTypes.cpp.inc"

void CriaDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/CriaTypes.cpp.inc"
      >();
}

/// Elements of a weight. Padding rounds N up to 16 and K to 32, so that no
/// size or stride in bits can overflow 63 bits: 48 + 4 + 5 + 5.
static constexpr int64_t kMaxElements = int64_t(1) << 48;

template <typename Enum>
static ParseResult parseEnum(AsmParser &parser, StringRef what, Enum &value,
                             std::optional<Enum> (*symbolize)(StringRef),
                             StringRef accepted) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef keyword;
  if (parser.parseKeyword(&keyword))
    return failure();
  std::optional<Enum> parsed = symbolize(keyword);
  if (!parsed)
    return parser.emitError(loc)
           << what << " is '" << keyword << "'; expected one of: " << accepted;
  value = *parsed;
  return success();
}

int64_t WeightType::blockOf(ElementKind element) {
  if (element == ElementKind::q6)
    return CriaDialect::kQuantBlock / 2;
  bool quantized = element == ElementKind::q4 || element == ElementKind::q8;
  return quantized ? CriaDialect::kQuantBlock : 0;
}

Type WeightType::parse(AsmParser &parser) {
  SMLoc loc = parser.getCurrentLocation();
  SmallVector<int64_t> shape;
  ElementKind element = ElementKind::f32;
  int64_t block = 0;
  OffsetKind offset = OffsetKind::none;
  WeightLayout layout = WeightLayout::rows;
  if (parser.parseLess() ||
      parser.parseDimensionList(shape, /*allowDynamic=*/true,
                                /*withTrailingX=*/false) ||
      parser.parseComma() ||
      parseEnum(parser, "weight element", element, symbolizeElementKind,
                "f32, f16, bf16, q8, q6, q4") ||
      parser.parseComma())
    return {};
  if (WeightType::blockOf(element) != 0 &&
      (parser.parseKeyword("block") || parser.parseEqual() ||
       parser.parseInteger(block) || parser.parseComma() ||
       parseEnum(parser, "weight offset", offset, symbolizeOffsetKind,
                 "none, zero_point, min") ||
       parser.parseComma()))
    return {};
  if (parseEnum(parser, "weight layout", layout, symbolizeWeightLayout,
                "rows, n16, n16k2, n16k4") ||
      parser.parseGreater())
    return {};
  return parser.getChecked<WeightType>(loc, parser.getContext(),
                                       ArrayRef<int64_t>(shape), element, block,
                                       offset, layout);
}

void WeightType::print(AsmPrinter &printer) const {
  printer << "<";
  printer.printDimensionList(getShape());
  printer << ", " << stringifyElementKind(getElement());
  if (isQuantized())
    printer << ", block = " << getBlock() << ", "
            << stringifyOffsetKind(getOffset());
  printer << ", " << stringifyWeightLayout(getLayout()) << ">";
}

LogicalResult WeightType::verify(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<int64_t> shape, ElementKind element,
                                 int64_t block, OffsetKind offset,
                                 WeightLayout layout) {
  StringRef kind = stringifyElementKind(element);
  if (shape.size() != 2 && shape.size() != 3)
    return emitError() << "weight_t1: rank is " << shape.size()
                       << ", expected 2 (NxK) or 3 (LxNxK)";

  int64_t expectedBlock = blockOf(element);
  bool quantized = expectedBlock != 0;
  if (block != expectedBlock)
    return emitError() << "weight_t2: block of " << kind << " is " << block
                       << ", expected " << expectedBlock;

  bool layoutMatches = true;
  if (layout == WeightLayout::n16)
    layoutMatches = element == ElementKind::f32 || element == ElementKind::f16;
  else if (layout == WeightLayout::n16k2)
    layoutMatches = element == ElementKind::bf16;
  else if (layout == WeightLayout::n16k4)
    layoutMatches = quantized;
  if (!layoutMatches)
    return emitError() << "weight_t3: layout " << stringifyWeightLayout(layout)
                       << " does not hold " << kind;

  if (!quantized && offset != OffsetKind::none)
    return emitError() << "weight_t4: " << kind << " has no offset";
  if (quantized && offset == OffsetKind::none &&
      (element == ElementKind::q4 || layout == WeightLayout::n16k4))
    return emitError() << "weight_t4: " << kind << " "
                       << stringifyWeightLayout(layout)
                       << " needs offset zero_point or min";
  if (element == ElementKind::q6 && offset != OffsetKind::zero_point)
    return emitError() << "weight_t4: q6 needs offset zero_point";

  int64_t elements = 1;
  for (auto [index, size] : llvm::enumerate(shape)) {
    if (ShapedType::isDynamic(size)) {
      if (index + 2 != shape.size())
        return emitError() << "weight_t5: only N may be dynamic";
      continue;
    }
    if (size <= 0)
      return emitError() << "weight_t5: dimension " << index << " is " << size
                         << ", expected a positive size";
    if (llvm::MulOverflow(elements, size, elements) || elements > kMaxElements)
      return emitError() << "weight_t5: a weight has at most 2^48 elements";
  }
  return success();
}

/// Row-major strides of `shape`, dynamic from the first dynamic size outwards.
static SmallVector<int64_t> getRowMajorStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    if (ShapedType::isDynamic(stride) || ShapedType::isDynamic(shape[i]))
      stride = ShapedType::kDynamic;
    else
      stride *= shape[i];
  }
  return strides;
}

SmallVector<WeightType::Component> WeightType::getStorage() const {
  Builder builder(getContext());
  int64_t n = getN(), k = getK();
  int64_t rowGroups = ShapedType::isDynamic(n)
                          ? ShapedType::kDynamic
                          : llvm::divideCeil(n, CriaDialect::kLanes);
  int64_t blocks = llvm::divideCeil(k, CriaDialect::kQuantBlock);
  int64_t lanes = CriaDialect::kLanes;

  SmallVector<Component> components;
  auto add = [&](StringRef suffix, ArrayRef<int64_t> layerShape,
                 Type elementType) {
    SmallVector<int64_t> shape;
    if (isStacked())
      shape.push_back(getShape().front());
    shape.append(layerShape.begin(), layerShape.end());
    auto layout = StridedLayoutAttr::get(getContext(), ShapedType::kDynamic,
                                         getRowMajorStrides(shape));
    components.push_back({suffix, MemRefType::get(shape, elementType, layout)});
  };

  if (!isQuantized()) {
    Type type = builder.getF32Type();
    if (getElement() == ElementKind::f16)
      type = builder.getF16Type();
    else if (getElement() == ElementKind::bf16)
      type = builder.getBF16Type();
    if (getLayout() == WeightLayout::rows)
      add("", {n, k}, type);
    else if (getLayout() == WeightLayout::n16)
      add("", {rowGroups, k, lanes}, type);
    else
      add("", {rowGroups, int64_t(llvm::divideCeil(k, 2)), lanes, 2}, type);
    return components;
  }

  bool isRows = getLayout() == WeightLayout::rows;
  // Bytes that a row spends on a block's codes.
  int64_t codeBytes = getElement() == ElementKind::q4   ? 16
                      : getElement() == ElementKind::q6 ? 24
                                                        : 32;
  Type i8 = builder.getI8Type(), f16 = builder.getF16Type();
  if (isRows)
    add("codes", {n, blocks, codeBytes}, i8);
  else
    add("codes", {rowGroups, blocks, codeBytes / 4, lanes, 4}, i8);
  if (getElement() == ElementKind::q6) {
    int64_t supers = llvm::divideCeil(k, CriaDialect::kSuperBlock);
    int64_t halves = getScalesPerBlock();
    if (isRows) {
      add("scales", {n, supers}, f16);
      add("subscales", {n, blocks, halves}, i8);
    } else {
      add("scales", {rowGroups, supers, lanes}, f16);
      add("subscales", {rowGroups, blocks, halves, lanes}, i8);
    }
    return components;
  }
  for (StringRef suffix : {"scales", "mins"}) {
    if (suffix == "mins" && getOffset() != OffsetKind::min)
      continue;
    if (isRows)
      add(suffix, {n, blocks}, f16);
    else
      add(suffix, {rowGroups, blocks, lanes}, f16);
  }
  return components;
}

WeightType WeightType::getLayerType() const {
  return get(getContext(), getShape().take_back(2), getElement(), getBlock(),
             getOffset(), getLayout());
}

WeightType WeightType::withN(int64_t n) const {
  SmallVector<int64_t> shape(getShape());
  shape[shape.size() - 2] = n;
  return get(getContext(), shape, getElement(), getBlock(), getOffset(),
             getLayout());
}

WeightType WeightType::withLayout(WeightLayout layout) const {
  return get(getContext(), getShape(), getElement(), getBlock(), getOffset(),
             layout);
}

int64_t WeightType::getZeroPoint() const {
  if (getOffset() != OffsetKind::zero_point)
    return 0;
  return getElement() == ElementKind::q4   ? 8
         : getElement() == ElementKind::q6 ? 32
                                           : 128;
}
