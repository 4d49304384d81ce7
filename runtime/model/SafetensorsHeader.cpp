// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "model/SafetensorsHeader.h"

#include "model/Report.h"

#include <nlohmann/json.hpp>

#include <cinttypes>
#include <string_view>

using namespace cria::runtime;

namespace {

using Json = nlohmann::json;

// The format's reference implementation accepts no longer header either.
constexpr uint64_t MaxHeaderBytes = 100'000'000;
constexpr size_t MaxRank = 16;
// Tensors that only fill gaps between aligned ones.
constexpr std::string_view PadPrefix = "__pad.";

struct DtypeSize {
  std::string_view Name;
  uint64_t Bytes;
};

constexpr DtypeSize Dtypes[] = {
    {"BOOL", 1},    {"U8", 1},      {"I8", 1},  {"F8_E4M3", 1},
    {"F8_E5M2", 1}, {"F8_E8M0", 1}, {"U16", 2}, {"I16", 2},
    {"F16", 2},     {"BF16", 2},    {"U32", 4}, {"I32", 4},
    {"F32", 4},     {"U64", 8},     {"I64", 8}, {"F64", 8},
};

/// Takes the JSON as events, so that memory stays proportional to the tensors
/// that are really there, however the text is nested.
class Reader {
public:
  Reader(const char *File, uint64_t DataBegin, uint64_t FileSize,
         SafetensorsHeader &Header, cria_error *Error)
      : File(File), DataBegin(DataBegin), FileSize(FileSize), Header(Header),
        Error(Error) {}

  cria_status Status = CRIA_OK;
  uint64_t LastEnd = 0;

  bool key(Json::string_t &Text) {
    if (Depth == 1) {
      Name = Text;
      InMetadata = Name == "__metadata__";
      if (InMetadata && SawMetadata)
        return fail("key \"__metadata__\" appears twice");
      SawMetadata |= InMetadata;
      return true;
    }
    if (InMetadata) {
      Header.Metadata.emplace_back(Text, std::string());
      return true;
    }
    if (Text == "dtype")
      Field = DtypeField;
    else if (Text == "shape")
      Field = ShapeField;
    else if (Text == "data_offsets")
      Field = OffsetsField;
    else
      return fail("tensor \"%s\": unknown key \"%s\"; dtype, shape and "
                  "data_offsets are known",
                  Name.c_str(), Text.c_str());
    if (Seen & Field)
      return fail("tensor \"%s\": key \"%s\" appears twice", Name.c_str(),
                  Text.c_str());
    Seen |= Field;
    return true;
  }

  bool start_object(size_t) {
    if (Depth == 0) {
      Depth = 1;
      return true;
    }
    if (Depth != 1)
      return misplaced("an object");
    Depth = 2;
    Seen = 0;
    Field = 0;
    Entry = TensorEntry();
    Offsets.clear();
    return true;
  }

  bool end_object() {
    --Depth;
    if (Depth != 1)
      return true;
    if (InMetadata) {
      InMetadata = false;
      return true;
    }
    return finishTensor();
  }

  bool start_array(size_t) {
    if (Depth != 2 || InMetadata || Field == DtypeField)
      return misplaced("an array");
    Depth = 3;
    return true;
  }

  bool end_array() {
    Depth = 2;
    return true;
  }

  bool string(Json::string_t &Text) {
    if (Depth == 2 && InMetadata) {
      Header.Metadata.back().second = Text;
      return true;
    }
    if (Depth != 2 || Field != DtypeField)
      return misplaced("a string");
    Entry.Dtype = Text;
    return true;
  }

  bool number_unsigned(uint64_t Value) {
    if (Depth != 3)
      return misplaced("a number");
    if (Value > INT64_MAX)
      return fail("tensor \"%s\": %" PRIu64 " is out of range", Name.c_str(),
                  Value);
    if (Field == ShapeField) {
      if (Entry.Shape.size() == MaxRank)
        return fail("tensor \"%s\": shape has more than %zu dimensions",
                    Name.c_str(), MaxRank);
      Entry.Shape.push_back(static_cast<int64_t>(Value));
      return true;
    }
    if (Offsets.size() == 2)
      return fail("tensor \"%s\": data_offsets has more than two numbers",
                  Name.c_str());
    Offsets.push_back(Value);
    return true;
  }

  bool null() { return misplaced("null"); }
  bool boolean(bool) { return misplaced("a truth value"); }
  bool number_integer(int64_t Value) {
    return fail("\"%s\": number %" PRId64 " is negative", Name.c_str(), Value);
  }
  bool number_float(double, const Json::string_t &) {
    return misplaced("a fraction");
  }
  bool binary(Json::binary_t &) { return misplaced("binary data"); }
  template <typename Exception>
  bool parse_error(size_t Position, const std::string &, const Exception &) {
    return fail("header is not valid JSON near byte %zu", Position + 8);
  }

private:
  enum : unsigned { DtypeField = 1, ShapeField = 2, OffsetsField = 4 };

  template <typename... Arguments>
  bool fail(const char *Format, Arguments... Values) {
    char Message[900];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    std::snprintf(Message, sizeof(Message), Format, Values...);
#pragma GCC diagnostic pop
    Status = report(Error, CRIA_INVALID_DATA, "%s: %s", File, Message);
    return false;
  }

  bool misplaced(const char *What) {
    if (Depth == 0)
      return fail("header is %s; it must be an object", What);
    if (Depth == 1)
      return fail("key \"%s\" has %s as its value; it must be an object",
                  Name.c_str(), What);
    if (InMetadata)
      return fail("__metadata__ holds %s; its values must be strings", What);
    return fail("tensor \"%s\": %s where %s is expected", Name.c_str(), What,
                Field == DtypeField     ? "a string"
                : Depth == 3            ? "a whole number"
                : Field == ShapeField   ? "an array of dimensions"
                : Field == OffsetsField ? "an array of two offsets"
                                        : "a key");
  }

  bool finishTensor() {
    const char *Tensor = Name.c_str();
    if (Seen != (DtypeField | ShapeField | OffsetsField))
      return fail("tensor \"%s\" lacks its %s", Tensor,
                  !(Seen & DtypeField)   ? "dtype"
                  : !(Seen & ShapeField) ? "shape"
                                         : "data_offsets");
    if (Offsets.size() != 2)
      return fail("tensor \"%s\": data_offsets has %zu numbers; it must have "
                  "two",
                  Tensor, Offsets.size());
    uint64_t DataBytes = FileSize - DataBegin;
    if (Offsets[0] > Offsets[1] || Offsets[1] > DataBytes)
      return fail("tensor \"%s\": data_offsets [%" PRIu64 ", %" PRIu64
                  "] are not within the file's %" PRIu64 " bytes of data",
                  Tensor, Offsets[0], Offsets[1], DataBytes);
    const DtypeSize *Type = nullptr;
    for (const DtypeSize &Candidate : Dtypes)
      if (Candidate.Name == Entry.Dtype)
        Type = &Candidate;
    if (!Type)
      return fail("tensor \"%s\": dtype \"%s\" is unknown", Tensor,
                  Entry.Dtype.c_str());
    uint64_t Bytes = Type->Bytes;
    for (int64_t Extent : Entry.Shape)
      if (__builtin_mul_overflow(Bytes, static_cast<uint64_t>(Extent), &Bytes))
        return fail("tensor \"%s\": the size of its shape overflows", Tensor);
    if (Bytes != Offsets[1] - Offsets[0])
      return fail("tensor \"%s\": data_offsets span %" PRIu64
                  " bytes; its dtype and shape need %" PRIu64,
                  Tensor, Offsets[1] - Offsets[0], Bytes);
    LastEnd = std::max(LastEnd, Offsets[1]);
    if (std::string_view(Name).substr(0, PadPrefix.size()) == PadPrefix)
      return true;
    Entry.Name = std::move(Name);
    Entry.Begin = DataBegin + Offsets[0];
    Entry.Bytes = Bytes;
    Header.Tensors.push_back(std::move(Entry));
    return true;
  }

  const char *File;
  uint64_t DataBegin;
  uint64_t FileSize;
  SafetensorsHeader &Header;
  cria_error *Error;
  int Depth = 0;
  bool InMetadata = false;
  bool SawMetadata = false;
  unsigned Seen = 0;
  unsigned Field = 0;
  std::string Name;
  TensorEntry Entry;
  std::vector<uint64_t> Offsets;
};

} // namespace

cria_status cria::runtime::parseSafetensorsHeader(const uint8_t *Data,
                                                  uint64_t Size,
                                                  const char *File,
                                                  SafetensorsHeader &Header,
                                                  cria_error *Error) {
  if (Size < 8)
    return report(Error, CRIA_INVALID_DATA,
                  "%s: has %" PRIu64 " bytes; a safetensors file starts with 8 "
                  "bytes of header length",
                  File, Size);
  uint64_t Length = 0;
  for (int I = 7; I >= 0; --I)
    Length = Length << 8 | Data[I];
  if (Length > MaxHeaderBytes)
    return report(Error, CRIA_INVALID_DATA,
                  "%s: header length is %" PRIu64 " bytes; at most %" PRIu64
                  " are allowed (is this a safetensors file?)",
                  File, Length, MaxHeaderBytes);
  if (Length > Size - 8)
    return report(Error, CRIA_INVALID_DATA,
                  "%s: header length is %" PRIu64 " bytes but only %" PRIu64
                  " follow; the file is truncated",
                  File, Length, Size - 8);
  Reader Events(File, 8 + Length, Size, Header, Error);
  bool Parsed = Json::sax_parse(Data + 8, Data + 8 + Length, &Events,
                                Json::input_format_t::json, /*strict=*/true);
  if (!Parsed)
    return Events.Status ? Events.Status
                         : report(Error, CRIA_INVALID_DATA,
                                  "%s: header is not valid JSON", File);
  if (Events.LastEnd != Size - 8 - Length)
    return report(Error, CRIA_INVALID_DATA,
                  "%s: tensors end at byte %" PRIu64
                  " of the data but the file has %" PRIu64,
                  File, Events.LastEnd, Size - 8 - Length);
  return CRIA_OK;
}
