// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: cria-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(cria-tile))'

func.func @range(%x: tensor<?x32xf32>, %w: !cria.weight<96x32, f32, n16>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> {
  // expected-error @+1 {{cria.schedule: rows = 24: accepted is 16 to 4096, a multiple of 16}}
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<96x32, f32, n16>) outs(%init : tensor<?x96xf32>) attributes {cria.schedule = {rows = 24 : i64}, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

func.func @name(%x: tensor<?x32xf32>, %w: !cria.weight<96x32, f32, n16>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> {
  // expected-error @+1 {{cria.schedule: lines: no such knob; accepted are rows, tokens, panels, block-tokens, prefetch, stream, accumulators}}
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<96x32, f32, n16>) outs(%init : tensor<?x96xf32>) attributes {cria.schedule = {lines = 16 : i64}, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

func.func @type(%x: tensor<?x32xf32>, %w: !cria.weight<96x32, f32, n16>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> {
  // expected-error @+1 {{cria.schedule is "fast", expected a dictionary of integers}}
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<96x32, f32, n16>) outs(%init : tensor<?x96xf32>) attributes {cria.schedule = "fast", extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

func.func @provider(%x: tensor<?x32xf32>, %w: !cria.weight<96x32, f32, n16>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> {
  // expected-error @+1 {{cria.schedule: provider = tvm: accepted are cria, halide, halide-adams2019, halide-mullapudi2016}}
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<96x32, f32, n16>) outs(%init : tensor<?x96xf32>) attributes {cria.schedule = {provider = "tvm"}, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}

// -----

func.func @word(%x: tensor<?x32xf32>, %w: !cria.weight<96x32, f32, n16>, %init: tensor<?x96xf32>) -> tensor<?x96xf32> {
  // expected-error @+1 {{cria.schedule: provider is 1 : i64, expected a string}}
  %y = cria.fused_linear acts(%x : tensor<?x32xf32>) weights(%w : !cria.weight<96x32, f32, n16>) outs(%init : tensor<?x96xf32>) attributes {cria.schedule = {provider = 1 : i64}, extra_kinds = [], out = #cria<out rows>} {
  ^bb0(%acc: vector<16xf32>):
    cria.yield %acc : vector<16xf32>
  } -> tensor<?x96xf32>
  return %y : tensor<?x96xf32>
}
