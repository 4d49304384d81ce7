// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
//
// What the parsers of #cria.rope and !cria.weight do not take.

// expected-error @below {{rope needs pairs, base and dims}}
"test.use"() {a = #cria.rope<pairs = half, dims = 64>} : () -> ()

// -----

// expected-error @below {{rope has no parameter 'theta'}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, theta = 1.0>} : () -> ()

// -----

// expected-error @below {{rope parameter 'dims' is given twice}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, dims = 64>} : () -> ()

// -----

// expected-error @below {{scaling is 'dynamic'; expected one of: none, linear, ntk, yarn, llama3, longrope}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = dynamic>} : () -> ()

// -----

// expected-error @below {{pairs is 'halves'; expected one of: half, interleaved}}
"test.use"() {a = #cria.rope<pairs = halves, base = 1.0e+04, dims = 64>} : () -> ()

// -----

// expected-error @below {{expected true or false}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, truncate = no>} : () -> ()

// -----

// expected-error @below {{weight element is 'q5'; expected one of: f32, f16, bf16, q8, q6, q4}}
"test.use"() {a = !cria.weight<64x64, q5, block = 32, min, rows>} : () -> ()

// -----

// expected-error @below {{weight offset is 'max'; expected one of: none, zero_point, min}}
"test.use"() {a = !cria.weight<64x64, q4, block = 32, max, rows>} : () -> ()

// -----

// expected-error @below {{weight layout is 'n8'; expected one of: rows, n16, n16k2, n16k4}}
"test.use"() {a = !cria.weight<64x64, q4, block = 32, min, n8>} : () -> ()
