// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt --cria-lower-plain --split-input-file --verify-diagnostics %s

cria.param @w stacked : tensor<2x8xf32>

func.func @layer(%l: index) -> tensor<8xf32> {
  // expected-error @below {{'cria.load' op is in @layer, which is no cria.entry; inline that function first}}
  %w = cria.load @w[%l] : tensor<8xf32>
  return %w : tensor<8xf32>
}

// -----

// expected-error @below {{result 0 is a 'index'; expected a tensor}}
func.func @forward(%n: index) -> index attributes {cria.entry} {
  return %n : index
}

// -----

// expected-error @below {{result 3 has no cria.arg to name it}}
func.func @forward(%x: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>)
    attributes {cria.entry} {
  return %x, %x, %x, %x : tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// expected-error @below {{is an entry without a body}}
func.func private @forward() attributes {cria.entry}

// -----

func.func @linear(%x: tensor<?x5xf32>, %w: !cria.weight<3x5, f16, rows>) -> tensor<?x3xf32> {
  // expected-error @below {{failed to legalize operation 'cria.linear'}}
  %y = cria.linear %x, %w : tensor<?x5xf32>, !cria.weight<3x5, f16, rows> -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}
