// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The epilogue of a linear, over the sums that Linear.cpp's kernels leave:
// bias, activation, GLU, scale, soft cap, residual. It is told as text, one
// word an operation (compiler/halide/HalideEpilogue.h). Each `a * b + c` is an
// FMA (ContractFma.h), and no other product is.

#include "compiler/halide/generators/Activations.h"

#include <cctype>
#include <string>
#include <vector>

using namespace Halide;
using namespace cria::halide;

namespace {

class LinearEpilogue : public Generator<LinearEpilogue> {
public:
  /// A letter an operand: s for sums of 16 lanes, b for a bias, e for a value
  /// of each element. They are values 0, 1, ... of the program.
  GeneratorParam<std::string> operands{"operands", "s"};
  /// Words are divided by _: a name and its values divided by x, as in
  /// "silu0_mul2x1", which are values 2 and 3; "c3f000000" is a constant by its
  /// bits. The last value is stored.
  GeneratorParam<std::string> program{"program", "copy0"};
  /// `out` may have fewer than 16 lanes, and so all but sums.
  GeneratorParam<bool> ragged{"ragged", false};

  void configure() {
    for (char kind : operands.value()) {
      std::string name = "operand" + std::to_string(inputs.size());
      int dimensions = kind == 'b' ? 2 : 3;
      inputs.push_back(add_input<Buffer<>>(name, Float(32), dimensions));
    }
    out = add_output<Buffer<float, 3>>("out");
  }

  void generate() {
    Expr lane = ragged ? min(n, out->dim(0).extent() - 1) : Expr(n);
    std::vector<Expr> values;
    for (size_t i = 0; i < inputs.size(); ++i) {
      char kind = operands.value()[i];
      if (kind == 'b')
        values.push_back((*inputs[i])(lane, g));
      else
        values.push_back((*inputs[i])(kind == 's' ? Expr(n) : lane, t, g));
    }
    const std::string &text = program.value();
    for (size_t from = 0; from < text.size();) {
      size_t to = std::min(text.find('_', from), text.size());
      values.push_back(evaluate(text.substr(from, to - from), values));
      from = to + 1;
    }
    if (ragged) {
      tile(n, t, g) = values.back();
      (*out)(n, t, g) = tile(n, t, g);
    } else {
      (*out)(n, t, g) = values.back();
    }
  }

  void schedule() {
    for (size_t i = 0; i < inputs.size(); ++i) {
      auto &each = *inputs[i];
      char kind = operands.value()[i];
      for (int d = 0; d < each.dimensions(); ++d)
        each.dim(d).set_min(0);
      each.dim(0).set_stride(1);
      if (kind == 's')
        each.dim(1).set_stride(kLanes);
      else
        each.dim(each.dimensions() - 1).set_stride(kLanes);
    }
    for (int d = 0; d < 3; ++d)
      out->dim(d).set_min(0);
    out->dim(0).set_stride(1);
    out->dim(2).set_stride(kLanes);
    Func stored = *out;
    if (ragged) {
      tile.compute_at(stored, t)
          .store_in(MemoryType::Stack)
          .bound(n, 0, kLanes)
          .vectorize(n);
      return;
    }
    out->dim(0).set_extent(kLanes);
    stored.vectorize(n);
  }

private:
  /// The value of one word.
  static Expr evaluate(const std::string &word,
                       const std::vector<Expr> &values) {
    if (word[0] == 'c' && word.size() == 9)
      return asFloat(static_cast<int>(std::stoul(word.substr(1), nullptr, 16)));
    size_t end = word.find_first_of("0123456789");
    std::string name = word.substr(0, end);
    std::vector<Expr> args;
    for (size_t at = end; at < word.size(); ++at) {
      size_t length = 0;
      size_t index = std::stoul(word.substr(at), &length);
      _halide_user_assert(index < values.size())
          << word << ": there is no value " << index << "\n";
      args.push_back(values[index]);
      at += length;
    }
    if (args.size() == 1)
      if (Expr value = name == "copy" ? args[0] : activation(name, args[0]);
          value.defined())
        return value;
    if (args.size() == 2 && name == "add")
      return sum(args[0], args[1]);
    if (args.size() == 2 && name == "mul")
      return args[0] * args[1];
    if (args.size() == 2 && name == "div")
      return args[0] / args[1];
    _halide_user_error << "no operation " << word << "\n";
    return {};
  }

  Var n{"n"}, t{"t"}, g{"g"};
  Func tile{"tile"};
  std::vector<Input<Buffer<>> *> inputs; // n, token, group; n, group
  Output<Buffer<float, 3>> *out = nullptr;
};

} // namespace

HALIDE_REGISTER_GENERATOR(LinearEpilogue, linear_epilogue)
