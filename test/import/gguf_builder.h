// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Builds GGUF files in memory, well-formed or, where a test wants it, not.
#ifndef CRIA_TEST_IMPORT_GGUF_BUILDER_H
#define CRIA_TEST_IMPORT_GGUF_BUILDER_H

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace cria::test {

template <typename T> std::string bytesOf(T value) {
  // Hosts are little endian, as GGUF is.
  std::string out(sizeof(T), '\0');
  std::memcpy(&out[0], &value, sizeof(T));
  return out;
}

inline std::string ggufString(const std::string &text) {
  return bytesOf<uint64_t>(text.size()) + text;
}

class GgufBuilder {
public:
  explicit GgufBuilder(uint32_t version) : version(version) {}

  // Metadata: type numbers are the specification's.
  GgufBuilder &raw(const std::string &key, uint32_t type,
                   const std::string &value) {
    values += ggufString(key) + bytesOf(type) + value;
    ++valueCount;
    return *this;
  }
  GgufBuilder &u32(const std::string &key, uint32_t value) {
    return raw(key, 4, bytesOf(value));
  }
  GgufBuilder &f32(const std::string &key, float value) {
    return raw(key, 6, bytesOf(value));
  }
  GgufBuilder &string(const std::string &key, const std::string &value) {
    return raw(key, 8, ggufString(value));
  }
  GgufBuilder &array(const std::string &key, uint32_t elementType,
                     uint64_t count, const std::string &elements) {
    return raw(key, 9, bytesOf(elementType) + bytesOf(count) + elements);
  }

  /// Appends `data` to the tensor section, aligned.
  GgufBuilder &tensor(const std::string &name,
                      const std::vector<uint64_t> &dims, uint32_t type,
                      const std::string &data) {
    pad(section);
    uint64_t offset = section.size();
    section += data;
    return tensorAt(name, dims, type, offset);
  }

  /// A table entry alone, with any offset.
  GgufBuilder &tensorAt(const std::string &name,
                        const std::vector<uint64_t> &dims, uint32_t type,
                        uint64_t offset) {
    infos += ggufString(name) + bytesOf<uint32_t>(dims.size());
    for (uint64_t dim : dims)
      infos += bytesOf(dim);
    infos += bytesOf(type) + bytesOf(offset);
    ++tensorCount;
    return *this;
  }

  GgufBuilder &alignment(uint32_t bytes) {
    align = bytes;
    return *this;
  }

  std::string finish() const {
    std::string out = "GGUF" + bytesOf(version) + bytesOf(tensorCount) +
                      bytesOf(valueCount) + values + infos;
    if (tensorCount)
      pad(out);
    return out + section;
  }

private:
  void pad(std::string &text) const {
    while (text.size() % align)
      text += '\0';
  }

  uint32_t version;
  uint32_t align = 32;
  uint64_t tensorCount = 0, valueCount = 0;
  std::string values, infos, section;
};

/// Every value type and three tensors, in about 800 bytes.
inline std::string smallGguf(uint32_t version) {
  GgufBuilder builder(version);
  builder.string("general.architecture", "llama")
      .raw("v.u8", 0, bytesOf<uint8_t>(200))
      .raw("v.i8", 1, bytesOf<int8_t>(-3))
      .raw("v.u16", 2, bytesOf<uint16_t>(60000))
      .raw("v.i16", 3, bytesOf<int16_t>(-300))
      .u32("llama.block_count", 2)
      .raw("v.i32", 5, bytesOf<int32_t>(70000))
      .f32("llama.rope.freq_base", 10000.0f)
      .raw("v.bool", 7, bytesOf<uint8_t>(1))
      .raw("v.u64", 10, bytesOf<uint64_t>(uint64_t(1) << 40))
      .raw("v.i64", 11, bytesOf<int64_t>(-1))
      .raw("v.f64", 12, bytesOf<double>(0.25))
      .array("tokens", 8, 2, ggufString("ab") + ggufString("c"))
      .array("types", 5, 2, bytesOf<int32_t>(1) + bytesOf<int32_t>(-6))
      .array("scores", 6, 2, bytesOf(0.5f) + bytesOf(-1.5f))
      .tensor("norm", {4}, 0, std::string(16, 'n'))
      .tensor("w", {32, 2}, 2, std::string(36, 'w'))
      .tensor("k", {256}, 23, std::string(136, 'k'));
  return builder.finish();
}

} // namespace cria::test

#endif // CRIA_TEST_IMPORT_GGUF_BUILDER_H
