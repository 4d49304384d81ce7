// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// SafetensorsWriter::writeAt: parts in any order, from several threads.
#include "compiler/import/SafetensorsReader.h"
#include "compiler/import/SafetensorsWriter.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "gtest/gtest.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

using namespace llvm;

namespace {

constexpr size_t MB = 1 << 20;

std::vector<uint8_t> noise(size_t size, unsigned seed) {
  std::vector<uint8_t> bytes(size);
  std::mt19937 random(seed);
  for (uint8_t &byte : bytes)
    byte = static_cast<uint8_t>(random());
  return bytes;
}

struct Part {
  size_t tensor;
  uint64_t offset, size;
};

/// Writes tensors of these sizes part by part, reads them back and compares.
void roundTrip(ArrayRef<size_t> sizes, ArrayRef<Part> parts, int threads) {
  SmallString<128> folder, path;
  ASSERT_FALSE(sys::fs::createUniqueDirectory("cria-parts", folder));
  path = folder;
  sys::path::append(path, "m");
  std::vector<std::vector<uint8_t>> tensors;
  auto writer = cantFail(cria::SafetensorsWriter::create(path));
  for (size_t i = 0; i < sizes.size(); ++i) {
    tensors.push_back(noise(sizes[i], static_cast<unsigned>(i)));
    cantFail(writer->addTensor("t" + std::to_string(i), "U8",
                               {static_cast<int64_t>(sizes[i])}, sizes[i]));
  }
  cantFail(writer->openForParts());
  std::atomic<size_t> next(0);
  auto work = [&] {
    for (size_t i; (i = next.fetch_add(1)) < parts.size();) {
      const Part &part = parts[i];
      cantFail(writer->writeAt(
          part.tensor, part.offset,
          ArrayRef(tensors[part.tensor]).slice(part.offset, part.size)));
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i)
    others.emplace_back(work);
  work();
  for (std::thread &other : others)
    other.join();
  cantFail(writer->commit());

  auto buffer = MemoryBuffer::getFile(path);
  ASSERT_TRUE(bool(buffer));
  auto file =
      cantFail(cria::SafetensorsFile::parse((*buffer)->getMemBufferRef()));
  for (size_t i = 0; i < sizes.size(); ++i) {
    const cria::SafetensorsTensor *view = file->find("t" + std::to_string(i));
    ASSERT_TRUE(view);
    EXPECT_TRUE(view->bytes == ArrayRef(tensors[i])) << "tensor " << i;
  }
  (void)sys::fs::remove_directories(folder);
}

std::vector<Part> cut(ArrayRef<size_t> sizes, uint64_t step) {
  std::vector<Part> parts;
  for (size_t i = 0; i < sizes.size(); ++i)
    for (uint64_t at = 0; at < sizes[i]; at += step)
      parts.push_back({i, at, std::min<uint64_t>(step, sizes[i] - at)});
  return parts;
}

TEST(SafetensorsParts, InAnyOrderByThreads) {
  size_t sizes[] = {9 * MB + 64, 64, 5 * MB, 3 * MB + 640};
  std::vector<Part> parts = cut(sizes, 300000);
  std::shuffle(parts.begin(), parts.end(), std::mt19937(1));
  roundTrip(sizes, parts, 3);
}

TEST(SafetensorsParts, MorePagesBegunThanAreKept) {
  // Every other 1 MB first: 40 pages of 2 MB are begun, none is full.
  size_t sizes[] = {80 * MB};
  std::vector<Part> parts = cut(sizes, MB);
  std::sort(parts.begin(), parts.end(), [](const Part &a, const Part &b) {
    auto key = [](const Part &part) {
      return std::pair(part.offset / MB % 2, part.offset);
    };
    return key(a) < key(b);
  });
  roundTrip(sizes, parts, 1);
}

TEST(SafetensorsParts, GapsBetweenTensors) {
  size_t sizes[] = {2 * MB + 1, 3 * MB + 7, 5, 2 * MB};
  roundTrip(sizes, cut(sizes, 500000), 2);
}

TEST(SafetensorsParts, OnePartOverManyPages) {
  size_t sizes[] = {11 * MB + 4096};
  roundTrip(sizes, cut(sizes, sizes[0]), 1);
}

} // namespace
