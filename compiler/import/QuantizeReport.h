// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What packing did to each weight: sizes and errors, as a table for people and
// as JSON for scripts.
//
//   relative RMS error   sqrt(sum (y - x)^2 / sum x^2), x the source's numbers
//                        in f32, y what the packed ones decode to
//   SNR in dB            -20 log10 of it
#ifndef CRIA_COMPILER_IMPORT_QUANTIZEREPORT_H
#define CRIA_COMPILER_IMPORT_QUANTIZEREPORT_H

#include "compiler/import/PackWeights.h"
#include "llvm/Support/raw_ostream.h"

namespace cria {

/// One line a param, stacked layers together, at most 80 columns wide.
void printQuantizeTable(llvm::raw_ostream &out,
                        llvm::ArrayRef<PackedTensor> tensors);

/// {"quantize": SPEC, "tensors": [...], "total": {...}}, one entry a tensor.
/// Errors are null for weights that were taken bit by bit.
std::string quantizeJson(llvm::StringRef spec,
                         llvm::ArrayRef<PackedTensor> tensors);
/// The same to a file.
std::error_code writeQuantizeReport(llvm::StringRef path, llvm::StringRef spec,
                                    llvm::ArrayRef<PackedTensor> tensors);

} // namespace cria

#endif // CRIA_COMPILER_IMPORT_QUANTIZEREPORT_H
