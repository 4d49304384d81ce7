// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef CRIA_COMPILER_FUSE_PASSES
#define CRIA_COMPILER_FUSE_PASSES
include "mlir/Pass/PassBase.td"
//===-- fuse --------------------------------------------------------------===//

def AssignLayouts : Pass<"cria-assign-layouts", "::mlir::ModuleOp"> {
  let summary = "gives every weight the memory layout that its kernels read";
}

def CanonicalizeRope : Pass<"cria-canonicalize-rope", "::mlir::ModuleOp"> {
  let summary = "rotates neighbours: half pairs become interleaved by permuting weight rows";
}

def SetKvType : Pass<"cria-set-kv-type", "::mlir::ModuleOp"> {
  let summary = "element type of the KV caches";
  let options = [Option<"type", "type", "std::string", "\"f16\"", "f32, f16 or bf16">];
}

def FuseLinear : Pass<"cria-fuse-linear", "::mlir::func::FuncOp"> {
  let summary = "linears to kernels: norm and quantisation go into a shared prologue";
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}

def FuseRope : Pass<"cria-fuse-rope", "::mlir::func::FuncOp"> {
  let summary = "rotation in the epilogue of the query and key linears";
  let dependentDialects = ["::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def FuseElementwise : Pass<"cria-fuse-elementwise", "::mlir::func::FuncOp"> {
  let summary = "activation, scale and soft cap in the epilogue of a linear";
  let dependentDialects = ["::mlir::math::MathDialect"];
}

def FuseGlu : Pass<"cria-fuse-glu", "::mlir::func::FuncOp"> {
  let summary = "gate and up as one kernel, the GLU in its registers";
}

def FuseResidual : Pass<"cria-fuse-residual", "::mlir::func::FuncOp"> {
  let summary = "residual add in the epilogue, in place";
}

def FuseKvAppend : Pass<"cria-fuse-kv-append", "::mlir::func::FuncOp"> {
  let summary = "key and value linears store into the cache";
}

def DestinationStyle : Pass<"cria-destination-style", "::mlir::func::FuncOp"> {
  let summary = "embed and attention in destination style; logits become an argument";
}

def LowerRemaining : Pass<"cria-lower-remaining", "::mlir::func::FuncOp"> {
  let summary = "model ops that nothing fused, by their plain lowering";
}

//===-- tile --------------------------------------------------------------===//

def Specialize : Pass<"cria-specialize", "::mlir::ModuleOp"> {
  let summary = "one version of the entry for few tokens and one for many";
}

def Tile : Pass<"cria-tile", "::mlir::func::FuncOp"> {
  let summary = "kernels to parallel loops over tiles";
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::affine::AffineDialect"];
}

//===-- bufferize ---------------------------------------------------------===//

def Bufferize : Pass<"cria-bufferize", "::mlir::ModuleOp"> {
  let summary = "tensors to buffers, everything in place, or an error";
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect", "::mlir::memref::MemRefDialect"];
}

def Spmd : Pass<"cria-spmd", "::mlir::func::FuncOp"> {
  let summary = "parallel loops to static ranges per thread, barriers where data crosses";
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::affine::AffineDialect"];
}

def Arena : Pass<"cria-arena", "::mlir::ModuleOp"> {
  let summary = "allocations to fixed offsets in one arena";
}
#endif
