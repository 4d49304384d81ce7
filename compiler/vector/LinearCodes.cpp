// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/vector/LinearCodes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace cria {

int64_t BlockCodes::bits(ElementKind element) {
  return element == ElementKind::q4 ? 4 : element == ElementKind::q6 ? 6 : 8;
}

SmallVector<int64_t> BlockCodes::order(ElementKind element, int64_t part,
                                       int64_t parts) {
  int64_t count = kWords / parts;
  SmallVector<int64_t> words;
  for (int64_t i = part * count; i < (part + 1) * count; ++i)
    words.push_back(element == ElementKind::q4 ? i / 2 + i % 2 * kWords / 2
                                               : i);
  return words;
}

Value BlockCodes::vector(int64_t index) {
  if (!vectors[index])
    vectors[index] = load(index);
  return vectors[index];
}

/// The two high bits of a word of q6, in bits 4 and 5.
Value BlockCodes::highBits(int64_t word) {
  Type i8 = b.getI8Type();
  Value bits = vector(4 + word % 2);
  int64_t left = 4 - word / 2 * 2; // they start at bit word / 2 * 2
  if (left > 0)
    bits = arith::ShLIOp::create(b, bits, splatInt(b, i8, left, 4 * kLanes));
  else if (left < 0)
    bits = arith::ShRUIOp::create(b, bits, splatInt(b, i8, -left, 4 * kLanes));
  return arith::AndIOp::create(b, bits, splatInt(b, i8, 0x30, 4 * kLanes));
}

Value BlockCodes::word(int64_t word) {
  if (element == ElementKind::q8)
    return vector(word);
  Type i8 = b.getI8Type();
  Value both = vector(word % 4), nibbles;
  if (word < 4)
    nibbles = arith::AndIOp::create(b, both, splatInt(b, i8, 15, 4 * kLanes));
  else
    nibbles = arith::ShRUIOp::create(b, both, splatInt(b, i8, 4, 4 * kLanes));
  if (element != ElementKind::q6)
    return nibbles;
  return arith::OrIOp::create(b, nibbles, highBits(word));
}

} // namespace cria
