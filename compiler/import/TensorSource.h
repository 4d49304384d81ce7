// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The weights of a model, whatever container holds them.
//
// A TensorSource owns its mappings; every view and every pointer it hands out
// lives as long as it does. It is immutable: any number of threads may read.
//
//   auto source = cria::TensorSource::open("model.gguf"); // or a folder
//   if (!source) return source.takeError();
//   auto view = (*source)->get("output_norm.weight");
//   if (!view) return view.takeError();
//   std::vector<float> row((*view)->rowElements());
//   if (llvm::Error e = cria::dequantizeRow(**view, 0, row)) return e;
//   (*source)->release(**view);
#ifndef CRIA_COMPILER_IMPORT_TENSORSOURCE_H
#define CRIA_COMPILER_IMPORT_TENSORSOURCE_H

#include "compiler/import/TensorSlice.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace cria {

class GgufFile;
struct GgufTensor;

/// Element types that dequantizeRow reads. The Q types are ggml's: blocks of
/// 32, for K types of 256, along a row (see GgmlBlocks.h). Anything else is
/// Unsupported and has only its name.
enum class DType {
  F32,
  F16,
  BF16,
  Q8_0,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  IQ4_NL,
  Unsupported
};

/// "F32", "Q4_1", ...
llvm::StringRef dtypeName(DType dtype);

struct TensorView {
  std::string name;
  /// Row-major, outermost first: the reverse of ggml's dims. Rank 0 is a
  /// scalar.
  llvm::SmallVector<int64_t, 4> shape;
  DType dtype = DType::Unsupported;
  /// The container's own name of the type, such as "Q6_K" or "I64".
  std::string typeName;
  /// Little endian. GGUF aligns it to 8 or more, safetensors to nothing. Of
  /// the whole tensor where the view is a slice.
  llvm::ArrayRef<uint8_t> data;
  /// The tensor that this is a slice of; null for a whole one.
  const TensorView *base = nullptr;
  TensorSlice slice;
  /// What `data` is in, for a tensor that no file holds (MadeTensor.h).
  std::shared_ptr<std::vector<uint8_t>> made;

  /// The container's name of the tensor.
  llvm::StringRef tensorName() const { return base ? base->name : name; }
  /// Whole rows of the tensor, from the one that sourceRow says.
  bool hasWholeRows() const {
    return !base || (!slice.transposed && !slice.meanSize && shape.size() != 1);
  }
  /// Bytes that the view's elements have in the file.
  uint64_t byteSize() const {
    if (slice.meanSize) // of all that the means are of
      return static_cast<uint64_t>(numElements() * slice.meanCount) *
             base->rowBytes() / static_cast<uint64_t>(base->rowElements());
    return static_cast<uint64_t>(numRows()) * rowBytes();
  }

  int64_t numElements() const;
  /// Elements of the innermost dimension; 1 for a scalar.
  int64_t rowElements() const;
  /// Product of the other dimensions.
  int64_t numRows() const;
  /// Bytes of one row; 0 for an unsupported type.
  uint64_t rowBytes() const;
};

/// Writes row `row` of all rows as f32. `out` has rowElements() elements. An
/// error names the tensor; nothing is written then.
llvm::Error dequantizeRow(const TensorView &view, int64_t row,
                          llvm::MutableArrayRef<float> out);

/// A tensor of a GGUF file; the file outlives the view.
TensorView viewOf(const GgufTensor &tensor);

class TensorSource {
public:
  /// Opens a GGUF file, a .safetensors file, or a folder with one or with
  /// shards and their index. Which one is told by the content, not the name.
  static llvm::Expected<std::unique_ptr<TensorSource>>
  open(llvm::StringRef path);

  virtual ~TensorSource();

  /// The tensor, or null where there is none.
  virtual const TensorView *find(llvm::StringRef name) const = 0;

  /// The tensor, or an error where it is missing or of an unsupported type.
  /// `name` may be the expression of a slice (TensorSlice.h) or of a tensor
  /// that is made of others (MadeTensor.h).
  llvm::Expected<const TensorView *> get(llvm::StringRef name) const;

  /// The container's tensors that `name`, of which get() made a view, reads.
  std::vector<std::string> tensorsOf(llvm::StringRef name) const;

  /// In the order of the file; of the shards' names for a folder.
  virtual llvm::ArrayRef<llvm::StringRef> names() const = 0;

  /// Drops the resident pages of a consumed tensor, all of them for a slice;
  /// the view stays valid.
  virtual void release(const TensorView &view) const = 0;

  /// What open() was given.
  virtual llvm::StringRef path() const = 0;

  /// 32 hex digits over the content of all weight files: a cache key, not a
  /// signature. Reads every byte, so ask once.
  virtual std::string contentHash() const = 0;

  /// The GGUF file behind this, for its metadata; null for safetensors.
  virtual const GgufFile *gguf() const { return nullptr; }

private:
  llvm::Expected<const TensorView *> getTensor(llvm::StringRef name) const;
  llvm::Expected<TensorView> makeView(llvm::StringRef expression) const;
  llvm::Expected<const TensorView *> getMade(llvm::StringRef name) const;

  mutable std::mutex mutex; // of the slices asked for so far
  mutable llvm::StringMap<std::unique_ptr<TensorView>> slices;
};

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_TENSORSOURCE_H
