// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a processor can do, and the choice of a clone by it.
#include "session_fixture.h"

#include "model/Cpu.h"

using namespace cria::test;
using namespace cria::runtime;

namespace {

constexpr uint64_t V3 = CRIA_CPU_SSE42 | CRIA_CPU_AVX2;
constexpr uint64_t V4 = V3 | CRIA_CPU_AVX512;
constexpr uint64_t Amx = V4 | CRIA_CPU_AVX512VNNI | CRIA_CPU_AMX_INT8;

const cria_clone Clones[] = {
    {"amx", Amx, fake_get()->clones[0].forward},
    {"v4", V4, fake_get()->clones[0].forward},
    {"v3", V3, fake_get()->clones[0].forward},
};

/// The last `Count` of Clones.
cria_model modelOf(int64_t Count) {
  cria_model Model = *fake_get();
  Model.n_clones = Count;
  Model.clones = Clones + 3 - Count;
  return Model;
}

class SessionClone : public testing::Test {
protected:
  cria_status choose(const cria_model &Model, const char *Name,
                     CpuFeatures Host) {
    return chooseClone(Model, Name, Host, Chosen, &Error);
  }
  const cria_clone *Chosen = nullptr;
  cria_error Error = {};
};

TEST_F(SessionClone, TheMostCapableThatRunsIsChosen) {
  for (auto [Features, Name] : {std::pair{V3, "v3"}, {V4, "v4"}, {Amx, "amx"}})
    EXPECT_TRUE(choose(modelOf(3), nullptr, {Features, Features}) == CRIA_OK &&
                !strcmp(Chosen->target, Name))
        << Name << ": " << Error.message;
}

TEST_F(SessionClone, WithNoneThatRunsAllAreNamedWithWhatTheyLack) {
  EXPECT_EQ(choose(modelOf(3), nullptr, {CRIA_CPU_SSE42, CRIA_CPU_SSE42}),
            CRIA_WRONG_CPU);
  EXPECT_EQ(Chosen, nullptr);
  EXPECT_TRUE(contains(Error.message, "v3 lacks AVX2")) << Error.message;
  EXPECT_TRUE(contains(Error.message, "AVX512-VNNI, AMX-INT8"))
      << Error.message;
  EXPECT_TRUE(contains(Error.message, "--target native")) << Error.message;
}

TEST_F(SessionClone, MissingFeaturesOfOneTargetAreNamed) {
  EXPECT_EQ(choose(modelOf(1), nullptr, {CRIA_CPU_SSE42, CRIA_CPU_SSE42}),
            CRIA_WRONG_CPU);
  EXPECT_TRUE(contains(Error.message, "target \"v3\", which needs AVX2"))
      << Error.message;
  EXPECT_FALSE(contains(Error.message, "SSE4.2")) << Error.message;
}

TEST_F(SessionClone, DisabledFeaturesAreTheOperatingSystems) {
  EXPECT_EQ(choose(modelOf(1), nullptr, {V3, CRIA_CPU_SSE42}), CRIA_WRONG_CPU);
  EXPECT_TRUE(contains(Error.message, "operating system")) << Error.message;
}

TEST_F(SessionClone, ANamedOneIsTakenThoughAnotherIsBetter) {
  ASSERT_EQ(choose(modelOf(3), "v3", {Amx, Amx}), CRIA_OK) << Error.message;
  EXPECT_STREQ(Chosen->target, "v3");
}

TEST_F(SessionClone, ANamedOneThatCannotRunIsRefusedWithThoseThatCan) {
  EXPECT_EQ(choose(modelOf(3), "amx", {V4, V4}), CRIA_WRONG_CPU);
  EXPECT_EQ(Chosen, nullptr);
  EXPECT_TRUE(contains(Error.message, "needs AVX512-VNNI, AMX-INT8"))
      << Error.message;
  EXPECT_TRUE(contains(Error.message, "can run here: v4, v3")) << Error.message;
}

TEST_F(SessionClone, AnUnknownNameIsRefusedWithThoseThatThereAre) {
  EXPECT_EQ(choose(modelOf(2), "v5", {Amx, Amx}), CRIA_INVALID_ARGUMENT);
  EXPECT_EQ(Chosen, nullptr);
  EXPECT_TRUE(contains(Error.message, "it has v4, v3")) << Error.message;
}

TEST_F(SessionClone, AMessageOfManyClonesIsCutNotOverrun) {
  std::vector<cria_clone> Many(40, Clones[0]);
  cria_model Model = modelOf(1);
  Model.n_clones = 40;
  Model.clones = Many.data();
  EXPECT_EQ(choose(Model, nullptr, {}), CRIA_WRONG_CPU);
  EXPECT_TRUE(contains(Error.message, "amx lacks SSE4.2")) << Error.message;
}

// Leaf 7 EDX: AMX-BF16, AMX-TILE, AMX-INT8.
constexpr unsigned TileBits = 1u << 22 | 1u << 24 | 1u << 25;
constexpr uint64_t TileStates = uint64_t{3} << 17;
constexpr uint64_t TileFeatures = CRIA_CPU_AMX_INT8 | CRIA_CPU_AMX_BF16;

TEST(SessionTiles, NeedTheProcessor) {
  Cpuid Registers;
  Registers.Xcr0 = ~uint64_t{0};
  EXPECT_EQ(decodeCpuid(Registers).Present, 0u);
}

TEST(SessionTiles, NeedTheStatesOfXcr0) {
  Cpuid Registers;
  Registers.Leaf7D = TileBits;
  for (uint64_t States : {uint64_t{0}, uint64_t{1} << 17, uint64_t{1} << 18}) {
    Registers.Xcr0 = States;
    EXPECT_EQ(decodeCpuid(Registers).Present, TileFeatures);
    EXPECT_EQ(decodeCpuid(Registers).Enabled, 0u) << States;
  }
  Registers.Xcr0 = TileStates;
  EXPECT_EQ(decodeCpuid(Registers).Enabled, TileFeatures);
}

TEST(SessionTiles, AreOfTwoKinds) {
  Cpuid Registers;
  Registers.Xcr0 = TileStates;
  Registers.Leaf7D = 1u << 24 | 1u << 25;
  EXPECT_EQ(decodeCpuid(Registers).Enabled, CRIA_CPU_AMX_INT8);
  Registers.Leaf7D = 1u << 24 | 1u << 22;
  EXPECT_EQ(decodeCpuid(Registers).Enabled, CRIA_CPU_AMX_BF16);
}

TEST(SessionTiles, NeedThePermission) {
  CpuFeatures Host{Amx, Amx};
  EXPECT_EQ(withTiles(Host, true).Enabled, Amx);
  EXPECT_EQ(withTiles(Host, false).Enabled, Amx & ~TileFeatures);
  EXPECT_EQ(withTiles(Host, false).Present, Amx);
}

TEST(SessionTiles, AreNotAskedForWhereNobodyWantsThem) {
  EXPECT_EQ(hostFeatures(V4).Enabled & TileFeatures, 0u);
}

TEST(SessionCpu, LevelsOfThePsabiImplyEachOther) {
  Cpuid Registers;
  Registers.Xcr0 = ~uint64_t{0};
  Registers.Leaf1C = ~0u, Registers.ExtendedC = ~0u;
  EXPECT_EQ(decodeCpuid(Registers).Enabled, CRIA_CPU_SSE42);
  Registers.Leaf7B = ~0u;
  EXPECT_EQ(decodeCpuid(Registers).Enabled, V4);
  Registers.Leaf1C = ~(1u << 20); // SSE4.2
  EXPECT_EQ(decodeCpuid(Registers).Enabled, 0u);
}

TEST(SessionCpu, EachHasAName) {
  for (unsigned Index = 0; Index < 10; ++Index)
    EXPECT_NE(cria_cpu_feature_name(uint64_t{1} << Index), nullptr) << Index;
  EXPECT_NE(cria_cpu_feature_name(CRIA_CPU_DOTPROD), nullptr);
  EXPECT_NE(cria_cpu_feature_name(CRIA_CPU_I8MM), nullptr);
  EXPECT_EQ(cria_cpu_feature_name(V3), nullptr);
  EXPECT_EQ(cria_cpu_feature_name(uint64_t{1} << 63), nullptr);
}

#if defined(__x86_64__)
TEST(SessionCpu, AgreesWithTheCompilersOwnDetection) {
  __builtin_cpu_init();
  uint64_t Features = cria_cpu_features();
  EXPECT_EQ(!!(Features & CRIA_CPU_AVX2), __builtin_cpu_supports("avx2") &&
                                              __builtin_cpu_supports("fma") &&
                                              __builtin_cpu_supports("bmi2"));
  EXPECT_EQ(!!(Features & CRIA_CPU_AVX512VNNI),
            !!__builtin_cpu_supports("avx512vnni"));
  EXPECT_EQ(!!(Features & CRIA_CPU_AVX512BF16),
            !!__builtin_cpu_supports("avx512bf16"));
}
#endif

} // namespace
