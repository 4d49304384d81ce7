// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
func.func @layer(%x: tensor<?x30xf32>, %k: tensor<2x?x2x4x15x16xf32>, %layer: index, %slots: tensor<?xi32>) -> tensor<2x?x2x4x15x16xf32> {
  %next = cria.kv_append key %x into %k[%layer] at %slots : tensor<?x30xf32>, tensor<2x?x2x4x15x16xf32>, tensor<?xi32>
  return %next : tensor<2x?x2x4x15x16xf32>
}
