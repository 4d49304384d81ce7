// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/gpu/Ptx.h"

#include "compiler/emit/FreezeAddresses.h"
#include "compiler/gpu/RecomputeInPhases.h"
#include "compiler/gpu/TeamBuilder.h"
#include "compiler/gpu/WgmmaLibrary.h"
#include "compiler/target/Tiles.h"
#include "runtime/include/cria/abi.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/Scalar/DCE.h"

using namespace cria;

/// The functions that cria-distribute-lanes and cria-emit-entry call. A group
/// is half a warp: the mask has its 16 lanes, and a shuffle stays within (the
/// segment mask of 4127 = 16 << 8 | 31; PTX ISA, shfl.sync).
///
/// The barrier counts all blocks' arrivals, in a number that is 0 when a kernel
/// starts; all blocks run at once, by a cooperative launch. One thread of a
/// block releases what the block wrote and acquires what the others did; the
/// barrier of the block before and after extends both to its other threads
/// (PTX ISA, memory consistency model, causality order).
static constexpr llvm::StringLiteral kLibrary = R"(
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.nctaid.x()
declare i32 @llvm.nvvm.shfl.sync.idx.i32(i32, i32, i32, i32)
declare void @llvm.nvvm.bar.warp.sync(i32)
declare i32 @llvm.nvvm.idp4a.u.s(i32, i32, i32)
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)

define i32 @cria_gpu_lane() alwaysinline nounwind {
  %thread = call i32 @cria_gpu_thread()
  %lane = and i32 %thread, 15
  ret i32 %lane
}

define internal i32 @group_mask() alwaysinline nounwind {
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %first = and i32 %thread, 16
  %mask = shl i32 65535, %first
  ret i32 %mask
}

define i32 @cria_gpu_shuffle(i32 %value, i32 %from) alwaysinline convergent nounwind {
  %mask = call i32 @group_mask()
  %other = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 %mask, i32 %value, i32 %from, i32 4127)
  ret i32 %other
}

declare i32 @llvm.nvvm.shfl.sync.bfly.i32(i32, i32, i32, i32)

define i32 @cria_gpu_shuffle_xor(i32 %value, i32 %bits) alwaysinline convergent nounwind {
  %other = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 -1, i32 %value, i32 %bits, i32 4127)
  ret i32 %other
}

define void @cria_gpu_sync() alwaysinline convergent nounwind {
  %mask = call i32 @group_mask()
  call void @llvm.nvvm.bar.warp.sync(i32 %mask)
  ret void
}

define i32 @cria_gpu_dot4(i32 %acc, i32 %a, i32 %b) alwaysinline nounwind {
  %sum = call i32 @llvm.nvvm.idp4a.u.s(i32 %a, i32 %b, i32 %acc)
  ret i32 %sum
}

@team_memory = $MEMORY, align 128

define i32 @cria_gpu_thread() alwaysinline nounwind {
  %thread = call i32 asm sideeffect "mov.u32 $0, %tid.x;", "=r"()
  ret i32 %thread
}

define void @cria_gpu_phase() alwaysinline convergent nounwind {
  %numbers = call {i32, i32, i32} asm sideeffect "$PHASE", "=r,=r,=r"()
  ret void
}

define void @cria_gpu_fetch(i64 %address) alwaysinline nounwind {
  call void asm sideeffect "prefetch.global.L2 [$0];", "l"(i64 %address)
  ret void
}

define void @cria_gpu_put(i32 %place, float %value) alwaysinline nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  store float %value, ptr addrspace(3) %at, align 4
  ret void
}

define float @cria_gpu_get(i32 %place) alwaysinline nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  %value = load float, ptr addrspace(3) %at, align 4
  ret float %value
}

define void @cria_gpu_team_sync() alwaysinline convergent nounwind {
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  ret void
}

declare void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3), ptr addrspace(1))
declare void @llvm.nvvm.cp.async.commit.group()
declare void @llvm.nvvm.cp.async.wait.group(i32 immarg)
declare {i32, i32, i32, i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3(ptr addrspace(3))
declare {i32, i32, i32, i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16.p3(ptr addrspace(3))
declare <2 x half> @llvm.nvvm.ff2f16x2.rn(float, float)
declare <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float, float)

define void @cria_gpu_copy(i32 %place, i64 %address) alwaysinline nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  %from = inttoptr i64 %address to ptr addrspace(1)
  call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %at, ptr addrspace(1) %from)
  ret void
}

declare void @llvm.nvvm.cp.async.ca.shared.global.4(ptr addrspace(3), ptr addrspace(1))

define void @cria_gpu_copy_word(i32 %place, i64 %address) alwaysinline nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  %from = inttoptr i64 %address to ptr addrspace(1)
  call void @llvm.nvvm.cp.async.ca.shared.global.4(ptr addrspace(3) %at, ptr addrspace(1) %from)
  ret void
}

define i32 @cria_gpu_words1(i64 %place) alwaysinline nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i64 %place
  %word = load i32, ptr addrspace(3) %at, align 4
  ret i32 %word
}

define {i32, i32} @cria_gpu_words2(i64 %place) alwaysinline nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i64 %place
  %both = load <2 x i32>, ptr addrspace(3) %at, align 8
  %w0 = extractelement <2 x i32> %both, i32 0
  %w1 = extractelement <2 x i32> %both, i32 1
  %r0 = insertvalue {i32, i32} undef, i32 %w0, 0
  %r1 = insertvalue {i32, i32} %r0, i32 %w1, 1
  ret {i32, i32} %r1
}

define {i32, i32, i32, i32} @cria_gpu_words4(i64 %place) alwaysinline nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i64 %place
  %all = load <4 x i32>, ptr addrspace(3) %at, align 16
  %w0 = extractelement <4 x i32> %all, i32 0
  %w1 = extractelement <4 x i32> %all, i32 1
  %w2 = extractelement <4 x i32> %all, i32 2
  %w3 = extractelement <4 x i32> %all, i32 3
  %r0 = insertvalue {i32, i32, i32, i32} undef, i32 %w0, 0
  %r1 = insertvalue {i32, i32, i32, i32} %r0, i32 %w1, 1
  %r2 = insertvalue {i32, i32, i32, i32} %r1, i32 %w2, 2
  %r3 = insertvalue {i32, i32, i32, i32} %r2, i32 %w3, 3
  ret {i32, i32, i32, i32} %r3
}

define void @cria_gpu_copy_commit() alwaysinline nounwind {
  call void @llvm.nvvm.cp.async.commit.group()
  ret void
}

define void @cria_gpu_copy_wait(i32 %pending) alwaysinline nounwind {
  switch i32 %pending, label %wait0 [i32 1, label %wait1 i32 2, label %wait2 i32 3, label %wait3 i32 4, label %wait4 i32 5, label %wait5 i32 6, label %wait6]
wait0:
  call void @llvm.nvvm.cp.async.wait.group(i32 0)
  ret void
wait1:
  call void @llvm.nvvm.cp.async.wait.group(i32 1)
  ret void
wait2:
  call void @llvm.nvvm.cp.async.wait.group(i32 2)
  ret void
wait3:
  call void @llvm.nvvm.cp.async.wait.group(i32 3)
  ret void
wait4:
  call void @llvm.nvvm.cp.async.wait.group(i32 4)
  ret void
wait5:
  call void @llvm.nvvm.cp.async.wait.group(i32 5)
  ret void
wait6:
  call void @llvm.nvvm.cp.async.wait.group(i32 6)
  ret void
}

define {i32, i32, i32, i32} @cria_gpu_load_matrices(i32 %place, i32 %further) alwaysinline convergent nounwind {
  %first = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  %at = getelementptr inbounds float, ptr addrspace(3) %first, i32 %further
  %words = call {i32, i32, i32, i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3(ptr addrspace(3) %at)
  ret {i32, i32, i32, i32} %words
}

define {i32, i32, i32, i32} @cria_gpu_load_transposed(i32 %place, i32 %further) alwaysinline convergent nounwind {
  %first = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  %at = getelementptr inbounds float, ptr addrspace(3) %first, i32 %further
  %words = call {i32, i32, i32, i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.trans.b16.p3(ptr addrspace(3) %at)
  ret {i32, i32, i32, i32} %words
}

define i32 @cria_gpu_pack_f16(float %low, float %high) alwaysinline nounwind {
  %pair = call <2 x half> @llvm.nvvm.ff2f16x2.rn(float %high, float %low)
  %word = bitcast <2 x half> %pair to i32
  ret i32 %word
}

define i32 @cria_gpu_pack_bf16(float %low, float %high) alwaysinline nounwind {
  %pair = call <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float %high, float %low)
  %word = bitcast <2 x bfloat> %pair to i32
  ret i32 %word
}

declare {float, float, float, float} @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>, float, float, float, float)

define {float, float, float, float} @cria_gpu_mma_f16(i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1, float %c0, float %c1, float %c2, float %c3) alwaysinline convergent nounwind {
  %p0 = bitcast i32 %a0 to <2 x half>
  %p1 = bitcast i32 %a1 to <2 x half>
  %p2 = bitcast i32 %a2 to <2 x half>
  %p3 = bitcast i32 %a3 to <2 x half>
  %q0 = bitcast i32 %b0 to <2 x half>
  %q1 = bitcast i32 %b1 to <2 x half>
  %d = call {float, float, float, float} @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half> %p0, <2 x half> %p1, <2 x half> %p2, <2 x half> %p3, <2 x half> %q0, <2 x half> %q1, float %c0, float %c1, float %c2, float %c3)
  ret {float, float, float, float} %d
}

declare {i32, i32, i32, i32} @llvm.nvvm.mma.m16n8k32.row.col.u8.s8(i32, i32, i32, i32, i32, i32, i32, i32, i32, i32)
declare {float, float, float, float} @llvm.nvvm.mma.m16n8k16.row.col.bf16(i32, i32, i32, i32, i32, i32, float, float, float, float)

define {i32, i32, i32, i32} @cria_gpu_mma_u8s8(i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1, i32 %c0, i32 %c1, i32 %c2, i32 %c3) alwaysinline convergent nounwind {
  %d = call {i32, i32, i32, i32} @llvm.nvvm.mma.m16n8k32.row.col.u8.s8(i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1, i32 %c0, i32 %c1, i32 %c2, i32 %c3)
  ret {i32, i32, i32, i32} %d
}

define {float, float, float, float} @cria_gpu_mma_bf16(i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1, float %c0, float %c1, float %c2, float %c3) alwaysinline convergent nounwind {
  %d = call {float, float, float, float} @llvm.nvvm.mma.m16n8k16.row.col.bf16(i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1, float %c0, float %c1, float %c2, float %c3)
  ret {float, float, float, float} %d
}

declare void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3), i32)
declare void @llvm.nvvm.mbarrier.inval.shared(ptr addrspace(3))
declare i64 @llvm.nvvm.mbarrier.arrive.shared(ptr addrspace(3))
declare i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3), i32)
declare i1 @llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta(ptr addrspace(3), i32)
declare void @llvm.nvvm.cp.async.mbarrier.arrive.noinc.shared(ptr addrspace(3))
declare void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7), ptr addrspace(3), ptr addrspace(1), i32, i16, i64, i1 immarg, i1 immarg)
declare void @llvm.nvvm.wgmma.commit_group.sync.aligned()

define void @cria_gpu_mbarrier_init(i32 %place, i32 %arrivals) alwaysinline convergent nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %at, i32 %arrivals)
  ret void
}

define void @cria_gpu_mbarrier_inval(i32 %place) alwaysinline convergent nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  call void @llvm.nvvm.mbarrier.inval.shared(ptr addrspace(3) %at)
  ret void
}

define void @cria_gpu_mbarrier_arrive(i32 %place) alwaysinline convergent nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  %state = call i64 @llvm.nvvm.mbarrier.arrive.shared(ptr addrspace(3) %at)
  ret void
}

define void @cria_gpu_mbarrier_copies(i32 %place) alwaysinline convergent nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  call void @llvm.nvvm.cp.async.mbarrier.arrive.noinc.shared(ptr addrspace(3) %at)
  ret void
}

define void @cria_gpu_mbarrier_wait(i32 %place, i32 %parity) alwaysinline convergent nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  br label %again
again:
  %ended = call i1 @llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta(ptr addrspace(3) %at, i32 %parity)
  br i1 %ended, label %done, label %again
done:
  ret void
}

define void @cria_gpu_bulk_copy(i32 %place, i64 %address, i32 %bytes, i32 %barrier) alwaysinline convergent nounwind {
  %at = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %place
  %own = getelementptr inbounds float, ptr addrspace(3) @team_memory, i32 %barrier
  %to = addrspacecast ptr addrspace(3) %at to ptr addrspace(7)
  %from = inttoptr i64 %address to ptr addrspace(1)
  %state = call i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3) %own, i32 %bytes)
  call void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7) %to, ptr addrspace(3) %own, ptr addrspace(1) %from, i32 %bytes, i16 0, i64 0, i1 false, i1 false)
  ret void
}

define void @cria_gpu_fence_async() alwaysinline convergent nounwind {
  call void asm sideeffect "fence.proxy.async.shared::cta;", "~{memory}"()
  ret void
}

define void @cria_gpu_wgmma_commit() alwaysinline convergent nounwind {
  call void @llvm.nvvm.wgmma.commit_group.sync.aligned()
  ret void
}

define void @cria_gpu_barrier(ptr %count) convergent nounwind {
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %first = icmp eq i32 %thread, 0
  br i1 %first, label %arrive, label %done
arrive:
  %place = addrspacecast ptr %count to ptr addrspace(1)
  %blocks = call i32 @llvm.nvvm.read.ptx.sreg.nctaid.x()
  fence syncscope("device") acq_rel
  %old = atomicrmw add ptr addrspace(1) %place, i32 1 syncscope("device") monotonic
  %late = urem i32 %old, %blocks
  %round = sub i32 %old, %late
  %wanted = add i32 %round, %blocks
  br label %wait
wait:
  %now = load atomic i32, ptr addrspace(1) %place syncscope("device") acquire, align 4
  %before = icmp ult i32 %now, %wanted
  br i1 %before, label %wait, label %done
done:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  call void @cria_gpu_phase()
  ret void
}

declare void @forward(ptr, i64, i64)

declare void @llvm.assume(i1)

define ptx_kernel void @decode_kernel(ptr byval([$BYTES x i8]) align 8 %args) nounwind "nvvm.reqntid"="$THREADS" "nvvm.minctasm"="1" {
  %place = getelementptr i8, ptr %args, i64 $N
  %n = load i64, ptr %place, align 8
  %few = icmp sle i64 %n, $FEW
  call void @llvm.assume(i1 %few)
  %tid = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %blocks = call i32 @llvm.nvvm.read.ptx.sreg.nctaid.x()
  %first = mul i32 %block, $GROUPS
  %own = lshr i32 %tid, 4
  %group = add i32 %first, %own
  %groups = mul i32 %blocks, $GROUPS
  %thread = zext i32 %group to i64
  %threads = zext i32 %groups to i64
  call void @forward(ptr %args, i64 %thread, i64 %threads)
  ret void
}

define ptx_kernel void @kernel(ptr byval([$BYTES x i8]) align 8 %args) nounwind "nvvm.reqntid"="$THREADS" "nvvm.minctasm"="1" {
  %place = getelementptr i8, ptr %args, i64 $N
  %n = load i64, ptr %place, align 8
  %many = icmp sgt i64 %n, $FEW
  call void @llvm.assume(i1 %many)
  %tid = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %blocks = call i32 @llvm.nvvm.read.ptx.sreg.nctaid.x()
  %first = mul i32 %block, $GROUPS
  %own = lshr i32 %tid, 4
  %group = add i32 %first, %own
  %groups = mul i32 %blocks, $GROUPS
  %thread = zext i32 %group to i64
  %threads = zext i32 %groups to i64
  call void @forward(ptr %args, i64 %thread, i64 %threads)
  ret void
}
)";

/// As for a CPU (emit/Codegen.cpp), less the vectoriser. Pointers get to be
/// global ones before FreezeAddresses hides where they come from.
static constexpr llvm::StringLiteral kPasses =
    "always-inline,globaldce,"
    "function(sroa,early-cse<memssa>,simplifycfg,"
    "instcombine<no-verify-fixpoint>),ipsccp,globaldce,"
    "function(loop-mssa(licm,loop-rotate,licm),simplifycfg,"
    "instcombine<max-iterations=1;no-verify-fixpoint>,"
    "loop(loop-idiom,indvars,loop-deletion),gvn,"
    "instcombine<max-iterations=1;no-verify-fixpoint>,"
    "dse,loop-mssa(licm),simplifycfg<sink-common-insts;hoist-common-insts>,"
    "infer-address-spaces,loop-unroll<O3>,instcombine<max-iterations=1;no-"
    "verify-fixpoint>),globaldce";

static void replaceAll(std::string &text, llvm::StringRef what,
                       llvm::StringRef with) {
  for (size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

static llvm::Error linkLibrary(llvm::Module &module,
                               llvm::StringRef symbolPrefix,
                               size_t parameterBytes, bool isDynamic) {
  std::string text = kLibrary.str() + wgmmaLibrary(module);
  replaceAll(text, "$THREADS", llvm::utostr(kGpuBlockThreads));
  replaceAll(text, "$MEMORY",
             isDynamic ? "external addrspace(3) global [0 x float]"
                       : "internal addrspace(3) global [" +
                             llvm::utostr(kTeamPlaces) + " x float] undef");
  replaceAll(text, "$BYTES", llvm::utostr(parameterBytes));
  replaceAll(text, "$GROUPS", llvm::utostr(kGpuTeam));
  replaceAll(text, "@forward(", ("@" + symbolPrefix + "forward(").str());
  replaceAll(text, "@kernel(", ("@" + symbolPrefix + "prefill_gpu(").str());
  replaceAll(text, "@decode_kernel(",
             ("@" + symbolPrefix + "decode_gpu(").str());
  replaceAll(text, "$PHASE", kPhaseStart);
  replaceAll(text, "$N", llvm::utostr(offsetof(cria_forward_args, n)));
  replaceAll(text, "$FEW", llvm::utostr(kDecodeTokens));
  llvm::SMDiagnostic problem;
  std::unique_ptr<llvm::Module> library =
      llvm::parseAssemblyString(text, problem, module.getContext());
  if (!library)
    return llvm::createStringError("the GPU's library: line " +
                                   llvm::Twine(problem.getLineNo()) + ": " +
                                   problem.getMessage());
  library->setTargetTriple(module.getTargetTriple());
  library->setDataLayout(module.getDataLayout());
  if (llvm::Linker::linkModules(module, std::move(library)))
    return llvm::createStringError("the GPU's library cannot be linked");
  return llvm::Error::success();
}

llvm::Expected<std::string> cria::emitPtx(mlir::ModuleOp source,
                                          const GpuTarget &target,
                                          llvm::StringRef symbolPrefix,
                                          size_t weights, bool isDynamic) {
  // What a kernel's parameters may have (CUDA C++ Programming Guide, function
  // parameters). They are operands of instructions, and so take no registers.
  constexpr size_t kParameterBytes = 4096;
  size_t bytes = sizeof(cria_forward_args) + weights * sizeof(void *);
  if (bytes > kParameterBytes)
    return llvm::createStringError(
        "the model has " + llvm::Twine(weights) +
        " arrays of weights; a kernel's parameters have room for " +
        llvm::Twine((kParameterBytes - sizeof(cria_forward_args)) /
                    sizeof(void *)));
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> machine =
      target.createMachine();
  if (!machine)
    return machine.takeError();
  mlir::registerBuiltinDialectTranslation(*source.getContext());
  mlir::registerLLVMDialectTranslation(*source.getContext());
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      mlir::translateModuleToLLVMIR(source, context, "model");
  if (!module)
    return llvm::createStringError(
        "the module cannot be translated to LLVM IR");
  module->setSourceFileName("model");
  module->setTargetTriple((*machine)->getTargetTriple());
  module->setDataLayout((*machine)->createDataLayout());
  if (llvm::Error error = linkLibrary(*module, symbolPrefix, bytes, isDynamic))
    return error;
  std::string problems;
  llvm::raw_string_ostream stream(problems);
  if (llvm::verifyModule(*module, &stream))
    return llvm::createStringError("the LLVM IR is not valid: " + problems);

  // The two versions of the code, each with registers of its own.
  std::string kernels[] = {(symbolPrefix + "decode_gpu").str(),
                           (symbolPrefix + "prefill_gpu").str()};
  llvm::internalizeModule(*module, [&](const llvm::GlobalValue &value) {
    return llvm::is_contained(kernels, value.getName());
  });
  for (llvm::Function &function : *module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.name);
    function.addFnAttr("target-features", target.features);
    function.setVisibility(llvm::GlobalValue::DefaultVisibility);
    function.setDoesNotThrow();
    // Calls would cost registers, and hide that pointers are global.
    if (!llvm::is_contained(kernels, function.getName()))
      function.addFnAttr(llvm::Attribute::AlwaysInline);
  }

  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(machine->get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graph, modules);
  llvm::ModulePassManager code;
  if (llvm::Error error = builder.parsePassPipeline(code, kPasses))
    return error;
  code.addPass(createModuleToFunctionPassAdaptor(RecomputeInPhases()));
  code.addPass(createModuleToFunctionPassAdaptor(llvm::DCEPass()));
  code.addPass(createModuleToFunctionPassAdaptor(FreezeAddresses()));
  code.run(*module, modules);
  if (llvm::verifyModule(*module, &stream))
    return llvm::createStringError("the optimised LLVM IR is not valid: " +
                                   problems);
  std::vector<std::string> missing;
  for (const llvm::Function &function : *module)
    if (function.isDeclaration() && !function.isIntrinsic())
      missing.push_back(function.getName().str());
  if (!missing.empty())
    return llvm::createStringError(
        "the code needs functions that no GPU has: " +
        llvm::join(missing, ", "));

  llvm::SmallVector<char, 0> text;
  llvm::raw_svector_ostream out(text);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, out, nullptr,
                                      llvm::CodeGenFileType::AssemblyFile))
    return llvm::createStringError("LLVM cannot write PTX");
  passes.run(*module);
  return std::string(text.data(), text.size());
}
