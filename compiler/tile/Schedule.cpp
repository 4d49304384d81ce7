// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/tile/Schedule.h"

#include "dialect/CriaOps.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace cria;

llvm::Error cria::checkKnob(llvm::StringRef name, int64_t value) {
  for (const Knob &knob : kKnobs) {
    if (knob.name != name)
      continue;
    if (value >= knob.least && value <= knob.most && value % knob.multiple == 0)
      return llvm::Error::success();
    std::string accepted =
        llvm::formatv("{0} to {1}", knob.least, knob.most).str();
    if (knob.multiple > 1)
      accepted += llvm::formatv(", a multiple of {0}", knob.multiple).str();
    return llvm::createStringError(
        llvm::formatv("{0} = {1}: accepted is {2}", name, value, accepted)
            .str());
  }
  std::string names = llvm::join(
      llvm::map_range(kKnobs, [](const Knob &knob) { return knob.name; }),
      ", ");
  names += (", " + kProviderKnob).str();
  return llvm::createStringError(
      llvm::formatv("{0}: no such knob; accepted are {1}", name, names).str());
}

llvm::Error cria::checkProvider(llvm::StringRef value) {
  if (llvm::is_contained(kProviders, value))
    return llvm::Error::success();
  return llvm::createStringError(
      llvm::formatv("{0} = {1}: accepted are {2}", kProviderKnob, value,
                    llvm::join(llvm::ArrayRef(kProviders), ", "))
          .str());
}

FailureOr<StringRef> cria::takeProvider(Operation *op) {
  auto schedule = op->getDiscardableAttr(kScheduleAttr);
  auto knobs = dyn_cast_or_null<DictionaryAttr>(schedule);
  Attribute value = knobs ? knobs.get(kProviderKnob) : nullptr;
  if (!value)
    return StringRef(kCriaProvider);
  auto word = dyn_cast<StringAttr>(value);
  if (!word)
    return op->emitOpError("cria.schedule: ")
           << kProviderKnob << " is " << value << ", expected a string";
  if (llvm::Error error = checkProvider(word.getValue()))
    return op->emitOpError("cria.schedule: ")
           << llvm::toString(std::move(error));
  return word.getValue();
}

LogicalResult cria::takeSchedule(Operation *op, ArrayRef<KnobValue> values) {
  Attribute attribute = op->getDiscardableAttr(kScheduleAttr);
  if (!attribute)
    return success();
  auto schedule = dyn_cast<DictionaryAttr>(attribute);
  if (!schedule)
    return op->emitOpError("cria.schedule is ")
           << attribute << ", expected a dictionary of integers";
  if (failed(takeProvider(op)))
    return failure();
  for (NamedAttribute knob : schedule) {
    if (knob.getName() == kProviderKnob)
      continue;
    auto number = dyn_cast<IntegerAttr>(knob.getValue());
    if (!number)
      return op->emitOpError("cria.schedule: ")
             << knob.getName() << " is " << knob.getValue()
             << ", expected an integer";
    if (llvm::Error error = checkKnob(knob.getName(), number.getInt()))
      return op->emitOpError("cria.schedule: ")
             << llvm::toString(std::move(error));
    for (const KnobValue &each : values)
      if (each.name == knob.getName().getValue())
        each.value = number.getInt();
  }
  return success();
}

/// The weight that `weight` is rows of.
static Value wholeWeight(Value weight) {
  while (auto slice = weight.getDefiningOp<WeightSliceOp>())
    weight = slice.getSource();
  return weight;
}

static std::string linearName(FusedLinearOp linear) {
  SmallVector<StringRef> names;
  for (Value weight : linear.getWeights())
    if (auto load = wholeWeight(weight).getDefiningOp<LoadOp>())
      names.push_back(load.getParam());
  return llvm::join(names, "+");
}

/// The parameters among `values`, joined by "+".
static std::string paramNames(ValueRange values) {
  SmallVector<StringRef> names;
  for (Value value : values) {
    if (auto buffer = value.getDefiningOp<bufferization::ToBufferOp>())
      value = buffer.getTensor();
    if (auto load = value.getDefiningOp<LoadOp>())
      names.push_back(load.getParam());
  }
  return llvm::join(names, "+");
}

/// The name of the linear that reads a tensor, whole or in tiles.
static std::string readerName(Value tensor) {
  SmallVector<Value> reached{tensor};
  for (size_t i = 0; i < reached.size(); ++i)
    for (Operation *user : reached[i].getUsers()) {
      if (auto linear = dyn_cast<FusedLinearOp>(user))
        return linearName(linear);
      if (isa<tensor::ExtractSliceOp, tensor::CastOp>(user))
        reached.push_back(user->getResult(0));
      auto insert = dyn_cast<tensor::ParallelInsertSliceOp>(user);
      if (insert && insert.getSource() == reached[i])
        reached.push_back(insert.getTiedOpResult());
    }
  return "";
}

std::string cria::scheduleName(Operation *op) {
  if (isa<FusedAttentionOp>(op))
    return "attention";
  if (isa<AttentionPartialsOp, AttentionMergeOp>(op))
    return op->getName().stripDialect().str();
  if (auto linear = dyn_cast<FusedLinearOp>(op))
    return linearName(linear);
  if (auto heads = dyn_cast<HeadRowsOp>(op))
    return heads.getWeight() ? paramNames(heads.getWeight()) : "heads";
  auto rows = dyn_cast<RowsOp>(op);
  if (!rows)
    return {};
  if (std::string name = paramNames(rows.getParams()); !name.empty())
    return name;
  // As in a profile: rows without a parameter prepare a linear's.
  std::string reader =
      rows.getResults().empty() ? "" : readerName(rows.getResults()[0]);
  return reader.empty() ? "" : "rows " + reader;
}

std::string cria::scheduleShape(Operation *op) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (auto linear = dyn_cast<FusedLinearOp>(op)) {
    stream << linear.getWeights().size() << " x "
           << wholeWeight(linear.getWeights().front()).getType();
    return text;
  }
  if (auto rows = dyn_cast<RowsOp>(op)) {
    int64_t k = cast<ShapedType>(rows.getX().getType()).getDimSize(1);
    stream << k << " columns, ";
    if (rows.isQuantized()) {
      auto words = cast<ShapedType>(rows.getInits()[0].getType());
      stream << (words.getDimSize(1) == llvm::divideCeilSigned(k, 32) * 16 ? 16
                                                                           : 8)
             << "-bit codes";
    } else {
      stream << "f32";
    }
    return text;
  }
  if (auto heads = dyn_cast<HeadRowsOp>(op)) {
    stream << "heads of " << heads.getHeadDim() << ", to "
           << stringifyOutKind(heads.getOut());
    return text;
  }
  if (auto merge = dyn_cast<AttentionMergeOp>(op)) {
    stream << "head_dim " << merge.getHeadDim();
    return text;
  }
  auto describe = [&](auto attention) {
    auto cache = cast<ShapedType>(attention.getValues().getType());
    stream << attention.getHeads() / attention.getKvHeads()
           << " heads a kv head, head_dim " << attention.getHeadDim() << ", "
           << cache.getElementTypeBitWidth() << "-bit cache";
    if (auto window = attention.getWindow())
      stream << ", window " << *window;
  };
  if (auto attention = dyn_cast<FusedAttentionOp>(op))
    describe(attention);
  else if (auto partials = dyn_cast<AttentionPartialsOp>(op))
    describe(partials);
  return text;
}

static bool readWinner(const llvm::json::Value &value, TunedOp &op,
                       llvm::json::Path path) {
  const llvm::json::Object *object = value.getAsObject();
  if (!object) {
    path.report("expected an object of knobs");
    return false;
  }
  for (const auto &[key, number] : *object) {
    if (llvm::StringRef(key) == kProviderKnob) {
      std::optional<llvm::StringRef> word = number.getAsString();
      if (!word) {
        path.field(key).report("expected a string");
        return false;
      }
      op.provider = word->str();
      continue;
    }
    std::optional<int64_t> read = number.getAsInteger();
    if (!read) {
      path.field(key).report("expected an integer");
      return false;
    }
    op.winner.emplace_back(key.str(), *read);
  }
  llvm::sort(op.winner);
  return true;
}

namespace cria {

static bool fromJSON(const llvm::json::Value &value, TunedOp &op,
                     llvm::json::Path path) {
  llvm::json::ObjectMapper map(value, path);
  if (!map || !map.map("op", op.op) || !map.map("version", op.version) ||
      !map.map("shape", op.shape))
    return false;
  const llvm::json::Value *winner = value.getAsObject()->get("winner");
  if (!winner) {
    path.field("winner").report("missing value");
    return false;
  }
  return readWinner(*winner, op, path.field("winner"));
}

} // namespace cria

namespace {

/// The outermost object, whose other keys say how the record came about.
struct Document {
  int64_t format = 0;
  TuningRecord record;
};

bool fromJSON(const llvm::json::Value &value, Document &document,
              llvm::json::Path path) {
  llvm::json::ObjectMapper map(value, path);
  return map && map.map("cria_tune", document.format) &&
         map.map("target", document.record.target) &&
         map.map("ops", document.record.ops);
}

} // namespace

llvm::Expected<TuningRecord> TuningRecord::read(llvm::StringRef path) {
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  auto failure = [&](const llvm::Twine &message) {
    return llvm::createStringError(path + ": " + message);
  };
  if (!file)
    return failure(file.getError().message());
  auto document = llvm::json::parse<Document>((*file)->getBuffer(), "record");
  if (!document)
    return failure("not a record of `cria tune`: " +
                   llvm::toString(document.takeError()));
  if (document->format != kTuningFormat)
    return failure("cria_tune is " + llvm::Twine(document->format) +
                   "; this compiler reads format " +
                   llvm::Twine(kTuningFormat));
  for (const TunedOp &op : document->record.ops) {
    llvm::Error error = checkProvider(op.provider);
    for (const auto &[name, value] : op.winner)
      if (!error)
        error = checkKnob(name, value);
    if (error)
      return failure("winner of " + op.op + ", " + op.version + ": " +
                     llvm::toString(std::move(error)));
  }
  return std::move(document->record);
}

bool TuningRecord::needsHalide() const {
  return llvm::any_of(
      ops, [](const TunedOp &op) { return op.provider != kCriaProvider; });
}
