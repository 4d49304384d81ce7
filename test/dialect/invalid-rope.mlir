// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
//
// One case per constraint label of #cria.rope.

// expected-error @below {{rope_a1: dims (63) must be even and positive}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 63>} : () -> ()

// -----

// expected-error @below {{rope_a1: dims (0) must be even and positive}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 0>} : () -> ()

// -----

// expected-error @below {{rope_a2: base (-1.000000e+00) must be positive}}
"test.use"() {a = #cria.rope<pairs = half, base = -1.0, dims = 64>} : () -> ()

// -----

// expected-error @below {{rope_a3: factor (0.000000e+00) must be positive}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = linear, factor = 0.0>} : () -> ()

// -----

// expected-error @below {{rope_a4: scaling ntk needs a positive original_context}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = ntk, factor = 2.0>} : () -> ()

// -----

// expected-error @below {{rope_a4: scaling yarn needs a positive original_context}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = yarn, factor = 2.0>} : () -> ()

// -----

// expected-error @below {{rope_a4: scaling llama3 needs a positive original_context}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = llama3, factor = 2.0>} : () -> ()

// -----

// expected-error @below {{rope_a4: scaling longrope needs max_context where attention_factor is not given}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 2, scaling = longrope, original_context = 4096, short_factors = [1.0], long_factors = [1.0]>} : () -> ()

// -----

// expected-error @below {{rope_a5: scaling none takes no short_factors}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 2, short_factors = [1.0]>} : () -> ()

// -----

// expected-error @below {{rope_a5: long_factors has 1 elements, expected dims / 2 = 2}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 4, scaling = longrope, original_context = 4096, max_context = 8192, short_factors = [1.0, 1.0], long_factors = [1.0]>} : () -> ()

// -----

// expected-error @below {{rope_a5: short_factors must be positive and finite}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 2, scaling = longrope, original_context = 4096, max_context = 8192, short_factors = [0.0], long_factors = [1.0]>} : () -> ()

// -----

// expected-error @below {{rope_a6: llama3 needs high_freq_factor (1.000000e+00) > low_freq_factor (1.000000e+00) > 0}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = llama3, factor = 8.0, original_context = 8192, high_freq_factor = 1.0>} : () -> ()

// -----

// expected-error @below {{rope_a6: llama3 needs high_freq_factor (4.000000e+00) > low_freq_factor (0.000000e+00) > 0}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = llama3, factor = 8.0, original_context = 8192, low_freq_factor = 0.0>} : () -> ()

// -----

// expected-error @below {{rope_a7: base must be finite}}
"test.use"() {a = #cria.rope<pairs = half, base = 0x7FF0000000000000, dims = 64>} : () -> ()

// -----

// expected-error @below {{rope_a7: attention_factor, original_context and max_context must not be negative}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, original_context = -1>} : () -> ()

// -----

// expected-error @below {{rope_a8: yarn needs beta_fast (5.000000e-01) >= beta_slow (1.000000e+00) > 0}}
"test.use"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = yarn, factor = 2.0, original_context = 4096, beta_fast = 0.5>} : () -> ()
