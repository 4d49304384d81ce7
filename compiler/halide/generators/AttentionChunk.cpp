// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What one chunk of 256 positions gives to the attention of consecutive tokens
// of one sequence, for the query heads of one kv head: the parts of a row of
// cria.attention_partials each. Order of sums and roundings are those of
// compiler/vector/VectorizeAttention.cpp, so the bits are the same.

#include "compiler/halide/generators/KernelMath.h"

#include <algorithm>
#include <limits>
#include <vector>

using namespace Halide;
using namespace cria::halide;

namespace {

constexpr int kPage = 64, kBlocks = kPage / kLanes, kChunkPages = 4;
/// Numbers that an array of a kernel may have.
constexpr int kStaged = 4096;
/// Of scores: a chunk, and a page so that rows meet in few sets of L1.
constexpr int kRow = kPage * (kChunkPages + 1);

class AttentionChunk : public Generator<AttentionChunk> {
public:
  GeneratorParam<int> heads{"heads", 3};
  GeneratorParam<int> headDim{"head_dim", 64};
  /// Bits of the f32.
  GeneratorParam<int> scale{"scale", 0x3e000000};
  GeneratorParam<Type> element{"element", Float(16)};
  /// Most that one call may have, a multiple of `tile`, with 4096 elements of
  /// heads; all of them read the same pages.
  GeneratorParam<int> tokens{"tokens", 1};
  /// Tokens that share what is loaded.
  GeneratorParam<int> tile{"tile", 1};
  /// Vectors that are summed at once, at most.
  GeneratorParam<int> accumulators{"accumulators", 24};
  /// Prefetch, while a page is read, the one that is read after it. Not with
  /// int8, which takes longer for a page than memory does.
  GeneratorParam<bool> ahead{"ahead", false};

  Input<Buffer<float, 2>> q{"q"}; // element of head 0, 1, ...; token
  // Position, element, block, page; and element, position, page. Of int8: byte,
  // page (dialect/CacheLayout.h).
  Input<Buffer<>> keys{"keys"};
  Input<Buffer<>> values{"values"};
  Input<Buffer<int32_t, 1>> table{"table"};
  Input<int32_t> position{"position"}; // of the first token
  Input<int32_t> chunk{"chunk"};
  // Of so many tokens as q has, filled up to a multiple of `tile`; head; token.
  // The stack of a kernel holds no array of 16 KB, so that scores have memory
  // of the caller's; p may be in the same.
  Output<Buffer<float, 5>> score{"score"}; // position, block, page
  Output<Buffer<float, 5>> p{"p"};
  Output<Buffer<float, 3>> output{"output"}; // element: sum of p times value
  Output<Buffer<float, 3>> sum{"sum"};       // of p of each 16th position
  Output<Buffer<float, 2>> highest{"highest"};

  void configure() {
    for (auto *cache : {&keys, &values})
      cache->set_type(element);
    keys.set_dimensions(isInt8() ? 2 : 4);
    values.set_dimensions(isInt8() ? 2 : 3);
    if (ahead) {
      keyAddress = add_input<int64_t>("key_address");
      valueAddress = add_input<int64_t>("value_address");
    }
    if (isInt8()) {
      // The caches once more, for their scales. Strides are in bytes.
      keyScales = add_input<Buffer<float, 2>>("key_scales");
      valueScales = add_input<Buffer<float, 2>>("value_scales");
      // p times the scales of values. Not in the memory of p.
      weighted = add_output<Buffer<float, 5>>("weighted");
    }
  }

  void generate() {
    const float infinity = std::numeric_limits<float>::infinity();
    const int chunkTokens = kPage * kChunkPages;
    Expr last = q.dim(1).extent() - 1;
    // Places of the chunk that a token sees.
    auto seen = [&](const Expr &token) {
      return min(position + token - chunk * chunkTokens + 1, chunkTokens);
    };
    // As many for all tokens.
    pages = (seen(0) + kPage - 1) / kPage;

    physical(g) = table(chunk * kChunkPages + g);
    auto page = [&](const Expr &g) {
      return unsafe_promise_clamped(physical(g), 0,
                                    keys.dim(isInt8() ? 1 : 3).extent() - 1);
    };
    if (isInt8())
      key(l, k, e, g) =
          extendToF32(keys((k * headDim + e) * kLanes + l, page(g)));
    else
      key(l, k, e, g) = extendToF32(keys(l, e, k, page(g)));
    auto read = [&](const Expr &t, const Expr &g) {
      return isInt8() ? extendToF32(values(t * headDim + d, page(g)))
                      : extendToF32(values(d, t, page(g)));
    };
    auto scaleOf = [&](Input<Buffer<float, 2>> *scales, const Expr &g,
                       const Expr &t) {
      Expr codes = kPage * headDim / int(sizeof(float));
      return (*scales)(page(g) * (scales->dim(1).stride() / 4) + codes + t, 0);
    };

    int bytes = Type(element).bytes();
    if (ahead) {
      auto address = [&](const Expr &base, const Expr &pageIndex,
                         const Expr &stride) {
        return base + cast<int64_t>(pageIndex) * cast<int64_t>(stride) * bytes;
      };
      Expr keyStride = keys.dim(3).stride(),
           valueStride = values.dim(2).stride();
      Expr next = min(g + 1, pages - 1);
      Expr nextChunk = table(min((chunk + 1) * kChunkPages, position / kPage));
      afterKeys(g) =
          select(g + 1 < pages, address(*keyAddress, page(next), keyStride),
                 address(*valueAddress, page(0), valueStride));
      afterValues(g) =
          select(g + 1 < pages, address(*valueAddress, page(next), valueStride),
                 address(*keyAddress, nextChunk, keyStride));
    }
    constexpr int line = 64;

    re = RDom(0, headDim, "e");
    // Tokens that fill up the last tile are the last one.
    Expr token = tokens > 1 ? min(i, last) : i;
    dot(l, k, g, h, i) = 0.0f;
    Expr query = q(h * headDim + re, token);
    if (ahead) {
      // Once for all heads, and where a line begins.
      int every = std::max(1, line / (kLanes * bytes));
      Expr at = afterKeys(g) + (k * headDim + re) * kLanes * bytes;
      query = select(h == 0 && re % every == 0,
                     asFloat(asInt(query) | prefetchLine(at)), query);
    }
    dot(l, k, g, h, i) = fma(key(l, k, re, g), query, dot(l, k, g, h, i));
    Expr place = (g * kBlocks + k) * kLanes + l;
    Expr factor = asFloat(int(scale));
    if (isInt8())
      factor = factor * scaleOf(keyScales, g, k * kLanes + l);
    score(l, k, g, h, i) =
        select(place < seen(i), dot(l, k, g, h, i) * factor, -infinity);

    RDom b(0, kBlocks, 0, pages, "b");
    top(l, h, i) = -infinity;
    top(l, h, i) = larger(top(l, h, i), score(l, b.x, b.y, h, i));
    highest(h, i) = treeOf(top, kLanes, larger, {h, i}, {h, i}, steps);
    p(l, k, g, h, i) = expNonPositive(score(l, k, g, h, i) - highest(h, i));
    // Not in the output itself: Halide takes what it reads for aligned.
    sums(l, h, i) = 0.0f;
    sums(l, h, i) = sums(l, h, i) + p(l, b.x, b.y, h, i);
    sum(l, h, i) = sums(l, h, i);

    // What is behind a token's own position may be NaN, and even adding 0 could
    // change the sign of a zero.
    Func weight = p;
    if (isInt8()) {
      weight = *weighted;
      weight(l, k, g, h, i) =
          p(l, k, g, h, i) * scaleOf(valueScales, g, k * kLanes + l);
    }
    auto add = [&](const Expr &t, const Expr &g, const Expr &v) {
      Expr w = weight(t % kLanes, t / kLanes, g, h, i);
      if (ahead) {
        Expr bits = asInt(w);
        for (int at = 0; at < headDim * bytes; at += line)
          bits = bits | prefetchLine(afterValues(g) + t * headDim * bytes + at);
        w = select(h == 0, asFloat(bits), w);
      }
      acc(d, h, i) = fma(w, v, acc(d, h, i));
    };
    acc(d, h, i) = 0.0f;
    // Parts of a page that fit onto the stack as f32.
    part = kPage;
    while (part * headDim > kStaged)
      part /= 2;
    int parts = kPage / part;
    value(d, t, g) = read(g % parts * part + t, g / parts);
    rt = RDom(0, part, 0, pages * parts, "t");
    rt.where(rt.y * part + rt.x < seen(i / tile * tile));
    add(rt.y % parts * part + rt.x, rt.y / parts, value(d, rt.x, rt.y));
    if (tile > 1) {
      // The tile's later tokens see a few more.
      more = RDom(0, tile - 1, "more");
      Expr own = seen(i / tile * tile) + more;
      more.where(more < i % tile);
      more.where(own < seen(last));
      Expr at = own % kPage;
      Expr of = unsafe_promise_clamped(own / kPage, 0, pages - 1);
      add(at, of, read(at, of));
    }
    output(d, h, i) = acc(d, h, i);
  }

  void schedule() {
    q.dim(0).set_bounds(0, int(heads) * headDim).set_stride(1);
    q.dim(1).set_min(0);
    if (isInt8()) {
      for (auto *cache : {&keys, &values}) {
        cache->dim(0).set_min(0).set_stride(1);
        cache->dim(1).set_min(0);
      }
      for (auto *scales : {keyScales, valueScales}) {
        scales->dim(0).set_min(0).set_stride(1);
        scales->dim(1).set_min(0);
      }
    } else {
      keys.dim(0).set_bounds(0, kLanes).set_stride(1);
      keys.dim(1).set_bounds(0, headDim).set_stride(kLanes);
      keys.dim(2).set_bounds(0, kBlocks).set_stride(kLanes * headDim);
      keys.dim(3).set_min(0);
      values.dim(0).set_bounds(0, headDim).set_stride(1);
      values.dim(1).set_bounds(0, kPage).set_stride(headDim);
      values.dim(2).set_min(0);
    }
    table.dim(0).set_min(0).set_stride(1);
    Expr count = tokens > 1 ? q.dim(1).extent() : Expr(1);
    for (auto *scratch : {&score, &p, weighted}) {
      if (!scratch)
        continue;
      scratch->dim(0).set_bounds(0, kLanes).set_stride(1);
      scratch->dim(1).set_bounds(0, kBlocks).set_stride(kLanes);
      scratch->dim(2).set_bounds(0, pages).set_stride(kPage);
      scratch->dim(3).set_bounds(0, heads).set_stride(kRow);
      scratch->dim(4).set_bounds(0, count).set_stride(kRow * int(heads));
    }
    output.dim(0).set_bounds(0, headDim).set_stride(1);
    sum.dim(0).set_bounds(0, kLanes).set_stride(1);
    for (auto *result : {&output, &sum}) {
      result->dim(1).set_bounds(0, heads);
      result->dim(2).set_bounds(0, count);
    }
    highest.dim(0).set_bounds(0, heads).set_stride(Expr());
    highest.dim(1).set_bounds(0, count);

    auto onStack = [](Func f) -> Func & {
      return f.store_in(MemoryType::Stack).never_partition_all();
    };
    int rows = int(heads) * tile;
    int blocks = kBlocks;
    while (blocks > 1 && (blocks * rows > accumulators ||
                          (tokens > 1 && blocks * kLanes * headDim > kStaged)))
      blocks /= 2;
    const TailStrategy fill = TailStrategy::RoundUp;
    Var ko("ko"), ki("ki"), io("io"), ii("ii");
    onStack(physical).compute_root().bound_storage(g, kChunkPages);
    if (ahead)
      for (Func f : {afterKeys, afterValues})
        onStack(f).compute_root().bound_storage(g, kChunkPages);
    Func(score)
        .split(k, ko, ki, blocks)
        .split(i, io, ii, tile, fill)
        .reorder(l, ki, h, ii, io, ko, g)
        .vectorize(l)
        .unroll(ki)
        .unroll(h)
        .unroll(ii)
        .never_partition_all();
    // Explicit, as bounds inference would leave out what is not seen.
    onStack(dot)
        .bound(l, 0, kLanes)
        .bound_extent(k, blocks)
        .bound_extent(g, 1)
        .compute_at(score, io)
        .vectorize(l)
        .unroll(k)
        .unroll(h)
        .unroll(i);
    dot.update()
        .reorder(l, k, h, i, re)
        .vectorize(l)
        .unroll(k)
        .unroll(h)
        .unroll(i)
        .unroll(re, headDim % 4 ? 2 : 4);

    Func(sum).vectorize(l).unroll(h).never_partition_all();
    for (Func f : {top, sums}) {
      onStack(f).compute_root().bound_storage(i, tokens).vectorize(l).unroll(h);
      RVar x = f.rvars()[0], y = f.rvars()[1];
      f.update()
          .reorder(l, h, x, y, i)
          .vectorize(l)
          .unroll(h)
          .unroll(x)
          .never_partition_all();
    }
    for (Func f : steps)
      onStack(f).compute_root().bound_storage(i, tokens).vectorize(f.args()[0]);
    std::vector<Func> ofScores{p};
    if (isInt8())
      ofScores.push_back(*weighted);
    for (Func f : ofScores)
      f.reorder(l, k, g, h, i).vectorize(l).unroll(k).never_partition_all();

    int columns = headDim / kLanes;
    while (columns % 2 == 0 && columns * rows > accumulators)
      columns /= 2;
    Var dO("do"), di("di");
    if (tokens > 1)
      onStack(acc).compute_root().bound_storage(i, tokens);
    else
      onStack(acc).compute_at(output, dO).unroll(h);
    acc.vectorize(d, kLanes);
    Func(output)
        .split(d, dO, di, columns * kLanes)
        .reorder(di, h, i, dO)
        .vectorize(di, kLanes)
        .never_partition_all();
    auto tiled = [&](Stage stage) -> Stage {
      return stage.split(d, dO, di, columns * kLanes)
          .split(i, io, ii, tile, fill);
    };
    tiled(acc.update())
        .reorder(di, h, ii, rt.x, dO, io, rt.y)
        .vectorize(di, kLanes)
        .unroll(di)
        .unroll(h)
        .unroll(ii)
        .never_partition_all();
    if (tile > 1)
      tiled(acc.update(1))
          .reorder(di, h, ii, more, dO, io)
          .vectorize(di, kLanes)
          .unroll(di)
          .unroll(h)
          .unroll(ii)
          .unroll(more)
          .never_partition_all();
    if (tokens > 1) {
      onStack(key)
          .compute_at(score, ko)
          .bound(l, 0, kLanes)
          .bound_extent(k, blocks)
          .bound(e, 0, headDim)
          .bound_extent(g, 1)
          .reorder(l, e, k, g)
          .vectorize(l);
      onStack(value)
          .compute_at(acc, rt.y)
          .bound(d, 0, headDim)
          .bound(t, 0, part)
          .bound_extent(g, 1)
          .vectorize(d, kLanes);
    }
  }

private:
  bool isInt8() const { return Type(element).is_int(); }

  Input<Buffer<float, 2>> *keyScales = nullptr, *valueScales = nullptr;
  Input<int64_t> *keyAddress = nullptr, *valueAddress = nullptr;
  Output<Buffer<float, 5>> *weighted = nullptr;
  Var l{"l"}, k{"k"}, g{"g"}, h{"h"}, d{"d"}, i{"i"}, e{"e"}, t{"t"};
  RDom re, rt, more;
  Func physical{"physical"}, key{"key"}, value{"value"}, dot{"dot"}, top{"top"},
      acc{"acc"}, sums{"sums"}, afterKeys{"after_keys"},
      afterValues{"after_values"};
  Expr pages;
  int part;
  std::vector<Func> steps;
};

} // namespace

HALIDE_REGISTER_GENERATOR(AttentionChunk, attention_chunk)
