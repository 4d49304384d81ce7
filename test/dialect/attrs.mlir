// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt --allow-unregistered-dialect %s | cria-opt --allow-unregistered-dialect | FileCheck %s

// Defaults are left out, even where they are given.
// CHECK: a = #cria.rope<pairs = half, base = 1.000000e+04, dims = 64>
"test.rope"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = none,
  factor = 1.0, original_context = 0, max_context = 0, beta_fast = 32.0, beta_slow = 1.0,
  low_freq_factor = 1.0, high_freq_factor = 4.0, attention_factor = 0.0, truncate = true,
  short_factors = [], long_factors = []>} : () -> ()

// Parameters come in any order and leave in that of the declaration.
// CHECK: a = #cria.rope<pairs = interleaved, base = 1.000000e+04, dims = 64, scaling = linear, factor = 2.000000e+00>
"test.rope"() {a = #cria.rope<factor = 2.0, scaling = linear, dims = 64, base = 1.0e+04, pairs = interleaved>} : () -> ()

// CHECK: a = #cria.rope<pairs = half, base = 1.000000e+04, dims = 64, scaling = ntk, factor = 2.000000e+00, original_context = 2048>
"test.rope"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 64, scaling = ntk, factor = 2.0, original_context = 2048>} : () -> ()

// CHECK: a = #cria.rope<pairs = half, base = 1.500000e+05, dims = 64, scaling = yarn, factor = 3.200000e+01, original_context = 4096, beta_fast = 1.600000e+01, beta_slow = 2.000000e+00, attention_factor = 1.250000e+00, truncate = false>
"test.rope"() {a = #cria.rope<pairs = half, base = 150000.0, dims = 64, scaling = yarn, factor = 32.0, original_context = 4096,
  beta_fast = 16.0, beta_slow = 2.0, attention_factor = 1.25, truncate = false>} : () -> ()

// CHECK: a = #cria.rope<pairs = half, base = 5.000000e+05, dims = 128, scaling = llama3, factor = 8.000000e+00, original_context = 8192, low_freq_factor = 2.000000e+00, high_freq_factor = 5.000000e+00>
"test.rope"() {a = #cria.rope<pairs = half, base = 500000.0, dims = 128, scaling = llama3, factor = 8.0, original_context = 8192,
  low_freq_factor = 2.0, high_freq_factor = 5.0>} : () -> ()

// CHECK: a = #cria.rope<pairs = half, base = 1.000000e+04, dims = 4, scaling = longrope, original_context = 4096, max_context = 131072, short_factors = [1.000000e+00, 1.080000e+00], long_factors = [1.500000e+00, 6.250000e+01]>
"test.rope"() {a = #cria.rope<pairs = half, base = 1.0e+04, dims = 4, scaling = longrope, original_context = 4096, max_context = 131072,
  short_factors = [1.0, 1.08], long_factors = [1.5, 62.5]>} : () -> ()

// No digit of a base is lost.
// CHECK: a = #cria.rope<pairs = half, base = 10000.000000000002, dims = 64>
"test.rope"() {a = #cria.rope<pairs = half, base = 10000.000000000002, dims = 64>} : () -> ()

// Two attributes with equal parameters are one.
// CHECK: a = [#[[R:.*]], #[[R]]]
"test.rope"() {a = [#cria.rope<pairs = half, base = 1.0e+04, dims = 2, scaling = longrope, original_context = 1, max_context = 2, short_factors = [1.5], long_factors = [2.5]>,
  #cria.rope<pairs = half, base = 1.0e+04, dims = 2, scaling = longrope, original_context = 1, max_context = 2, short_factors = [1.5], long_factors = [2.5]>]} : () -> ()

// CHECK: a = [#cria<norm_kind rms>, #cria<norm_kind layer>, #cria<norm_kind per_head>]
"test.enum"() {a = [#cria<norm_kind rms>, #cria<norm_kind layer>, #cria<norm_kind per_head>]} : () -> ()
// CHECK: a = [#cria<act relu>, #cria<act gelu>, #cria<act gelu_tanh>, #cria<act silu>]
"test.enum"() {a = [#cria<act relu>, #cria<act gelu>, #cria<act gelu_tanh>, #cria<act silu>]} : () -> ()
// CHECK: a = [#cria<position_kind learned>, #cria<position_kind sinusoidal>]
"test.enum"() {a = [#cria<position_kind learned>, #cria<position_kind sinusoidal>]} : () -> ()
// CHECK: a = [#cria<role key>, #cria<role value>]
"test.enum"() {a = [#cria<role key>, #cria<role value>]} : () -> ()
// CHECK: a = [#cria<extra elementwise>, #cria<extra bias>, #cria<extra rope>]
"test.enum"() {a = [#cria<extra elementwise>, #cria<extra bias>, #cria<extra rope>]} : () -> ()
// CHECK: a = [#cria<out rows>, #cria<out key>, #cria<out value>]
"test.enum"() {a = [#cria<out rows>, #cria<out key>, #cria<out value>]} : () -> ()
