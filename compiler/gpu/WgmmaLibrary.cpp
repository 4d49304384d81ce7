// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/WgmmaLibrary.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

static std::string textOf(const Type *type) {
  std::string text;
  raw_string_ostream(text) << *type;
  return text;
}

/// "type %first, ...", from a parameter of `function` on.
static std::string operands(const Function &function, size_t first = 0) {
  std::vector<std::string> all;
  for (const Argument &each : drop_begin(function.args(), first))
    all.push_back(textOf(each.getType()) + " %" + utostr(each.getArgNo()));
  return join(all, ", ");
}

/// A constraint for each type: results, and operands that are in their places.
static std::string results(ArrayRef<Type *> types) {
  std::vector<std::string> all;
  for (const Type *type : types)
    all.push_back(type->isFloatTy() ? "=f" : "=r");
  return join(all, ",");
}
static std::string inPlace(size_t count) {
  std::vector<std::string> all;
  for (size_t i = 0; i < count; ++i)
    all.push_back(utostr(i));
  return join(all, ",");
}

/// One instruction that says that registers are free, or in use: values go
/// through it, so that nothing which has to do with them passes it.
static std::string passage(const Function &function, StringRef instruction) {
  std::string type = textOf(function.getReturnType());
  ArrayRef<Type *> types = function.getFunctionType()->params();
  return "  %d = call " + type + " asm sideeffect \"" + instruction.str() +
         ";\", \"" + results(types) + "," + inPlace(types.size()) +
         ",~{memory}\"(" + operands(function) + ")\n  ret " + type + " %d\n";
}

/// Operands are A (4), the place of B, its two strides and C. The descriptor of
/// B, in units of 16 bytes (PTX ISA, matrix descriptor format): bits 0 to 13
/// its address, 16 to 29 the leading and 32 to 45 the other stride; 0 in the
/// others is no swizzle.
static std::string product(const Function &function) {
  constexpr size_t kFirst = 7;
  std::string type = textOf(function.getReturnType());
  ArrayRef<Type *> types = function.getFunctionType()->params();
  types = types.drop_front(kFirst);
  std::vector<std::string> sums;
  for (size_t i = 0; i < types.size(); ++i)
    sums.push_back("$" + utostr(i));
  auto operand = [&](size_t i) { return "$" + utostr(types.size() + i); };
  std::string code = "{ .reg .pred p; setp.ne.b32 p, 1, 0; "
                     "wgmma.mma_async.sync.aligned.m64n" +
                     utostr(2 * types.size()) + "k16.f32.bf16.bf16 {" +
                     join(sums, ", ") + "}, {" + operand(0) + ", " +
                     operand(1) + ", " + operand(2) + ", " + operand(3) +
                     "}, " + operand(4) + ", p, 1, 1, 0; }";
  return R"(  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %4
  %bytes = ptrtoint ptr addrspace(3) %at to i32
  %line = lshr i32 %bytes, 4
  %address = and i32 %line, 16383
  %leading = lshr i32 %5, 4
  %second = shl i32 %leading, 16
  %low = or i32 %address, %second
  %stride = lshr i32 %6, 4
  %low64 = zext i32 %low to i64
  %high64 = zext i32 %stride to i64
  %third = shl i64 %high64, 32
  %descriptor = or i64 %low64, %third
  %d = call )" +
         type + " asm sideeffect \"" + code + "\", \"" + results(types) +
         ",r,r,r,r,l," + inPlace(types.size()) +
         ",~{memory}\"(i32 %0, i32 %1, i32 %2, i32 %3, i64 %descriptor, " +
         operands(function, kFirst) + ")\n  ret " + type + " %d\n";
}

std::string cria::wgmmaLibrary(const Module &module) {
  std::string text;
  for (const Function &function : module) {
    StringRef name = function.getName();
    std::string body;
    if (name.starts_with("cria_gpu_wgmma_fence_"))
      body = passage(function, "wgmma.fence.sync.aligned");
    else if (name.starts_with("cria_gpu_wgmma_wait_"))
      body = passage(function, "wgmma.wait_group.sync.aligned 0");
    else if (name.starts_with("cria_gpu_wgmma_bf16_"))
      body = product(function);
    else
      continue;
    text += "\ndefine " + textOf(function.getReturnType()) + " @" + name.str() +
            "(" + operands(function) +
            ") alwaysinline convergent nounwind {\n" + body + "}\n";
  }
  return text;
}
