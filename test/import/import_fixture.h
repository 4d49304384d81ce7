// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_TEST_IMPORT_IMPORT_FIXTURE_H
#define CRIA_TEST_IMPORT_IMPORT_FIXTURE_H

#include "dialect/CriaDialect.h"
#include "gguf_builder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

#include <string>

#define EXPECT_HAS(text, part)                                                 \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

namespace cria::test {

/// The message of a failed Expected, "" for a success.
template <typename T> std::string messageOf(llvm::Expected<T> value) {
  return value ? std::string() : llvm::toString(value.takeError());
}
inline std::string messageOf(llvm::Error error) {
  return error ? llvm::toString(std::move(error)) : std::string();
}

/// A context with the dialects, and a folder that is removed afterwards.
class ImportTest : public ::testing::Test {
protected:
  ImportTest() {
    context.loadDialect<CriaDialect, mlir::func::FuncDialect>();
    EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("cria-import", folder));
  }
  ~ImportTest() override { llvm::sys::fs::remove_directories(folder); }

  std::string path(llvm::StringRef name) const {
    llvm::SmallString<256> full(folder);
    llvm::sys::path::append(full, name);
    return full.str().str();
  }
  std::string write(llvm::StringRef name, llvm::StringRef text) const {
    std::error_code error;
    llvm::raw_fd_ostream out(path(name), error);
    EXPECT_FALSE(error);
    out << text;
    return path(name);
  }

  mlir::MLIRContext context;
  llvm::SmallString<256> folder;
};

} // namespace cria::test

#endif // CRIA_TEST_IMPORT_IMPORT_FIXTURE_H
