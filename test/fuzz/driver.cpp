// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A small stand-in for libFuzzer that any compiler builds: deterministic
// mutations of seeds, no coverage feedback. Meant for a build with address
// and undefined-behaviour sanitizers (-fno-sanitize-recover).
//
//   fuzz_gguf [-runs=N] [-seed=S] [-only=I] [-artifact=PATH] [FILE|FOLDER]...
//
// Seeds are the target's own (criaFuzzSeeds) and the files named. Run I
// depends on -seed, I and the seeds alone, so -only=I repeats a failure. On a
// crash the input is written to -artifact (default crash-input).
#include "driver.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

// Present in sanitizer builds: called before a report ends the process.
extern "C" void __sanitizer_set_death_callback(void (*callback)())
    __attribute__((weak));

namespace {

// Inputs grow by block insertion; beyond this size nothing new happens.
constexpr size_t maxInputBytes = size_t(1) << 16;

const uint8_t *currentData = nullptr;
size_t currentSize = 0;
unsigned long long currentRun = 0;
const char *artifactPath = "crash-input";

/// Only what is safe in a signal handler, but for the sanitizer's callback.
void saveInput() {
  int fd = ::open(artifactPath, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0)
    return;
  ssize_t ignored = ::write(fd, currentData, currentSize);
  (void)ignored;
  ::close(fd);
  std::fprintf(stderr, "run %llu failed, input of %zu bytes in %s\n",
               currentRun, currentSize, artifactPath);
}

void onAbort(int signal) {
  saveInput();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

/// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift
/// generators, scrambled", 2016.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed ? seed : 1) {}

  uint64_t next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dull;
  }

  /// From 0 to `bound` - 1; 0 for a bound of 0.
  size_t below(size_t bound) {
    return bound ? static_cast<size_t>((next() >> 11) % bound) : 0;
  }

private:
  uint64_t state;
};

/// Values at the edges of types and of the products and sums made of them.
const uint64_t interesting[] = {
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    31,
    32,
    33,
    64,
    127,
    128,
    255,
    256,
    1024,
    4096,
    32767,
    32768,
    65535,
    65536,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    1ull << 32,
    1ull << 53,
    1ull << 60,
    1ull << 61,
    1ull << 62,
    1ull << 63,
    ~0ull,
    ~0ull - 1,
    ~0ull - 7,
    ~0ull - 31,
    0x7fffffffffffffffull,
};

/// Pieces of text that matter to parsers of JSON and numbers.
const char *const tokens[] = {
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e999",
    "1e-999",
    "-0",
    "NaN",
    "1.5",
    "\\u0000",
    "\\ud800",
    "[[[[[[[[",
    "{\"a\":",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "\xff",
    "\xc0\x80",
    "\\",
    " ",
};

void mutateOnce(std::string &input, const std::vector<std::string> &seeds,
                Random &random) {
  size_t size = input.size();
  switch (random.below(12)) {
  case 0: // flip a bit
    if (size)
      input[random.below(size)] ^= static_cast<char>(1 << random.below(8));
    break;
  case 1: // set a byte
    if (size)
      input[random.below(size)] = static_cast<char>(random.next());
    break;
  case 2: // cut the end
    if (random.below(4) == 0)
      input.resize(random.below(size + 1));
    break;
  case 3: { // erase a block
    size_t at = random.below(size);
    input.erase(std::min(at, size), 1 + random.below(32));
    break;
  }
  case 4: { // copy a block to another place
    size_t from = random.below(size);
    std::string block = input.substr(from, 1 + random.below(64));
    input.insert(random.below(size + 1), block);
    break;
  }
  case 5: { // overwrite with a block from elsewhere
    size_t length = std::min(size, 1 + random.below(64));
    size_t from = random.below(size - length + 1);
    size_t to = random.below(size - length + 1);
    std::memmove(&input[0] + to, input.data() + from, length);
    break;
  }
  case 6:
  case 7: { // an interesting integer, little endian, 1 to 8 bytes
    uint64_t value = interesting[random.below(std::size(interesting))];
    size_t width = size_t(1) << random.below(4);
    if (size < width)
      break;
    size_t at = random.below(size - width + 1);
    for (size_t i = 0; i < width; ++i)
      input[at + i] = static_cast<char>(value >> (8 * i));
    break;
  }
  case 8: // a token
    input.insert(random.below(size + 1),
                 tokens[random.below(std::size(tokens))]);
    break;
  case 10:
  case 11: { // another number in a text's place of one
    size_t at = input.find_first_of("0123456789", random.below(size + 1));
    if (at == std::string::npos)
      break;
    size_t end = input.find_first_not_of("0123456789.eE+-", at);
    if (end == std::string::npos)
      end = size;
    uint64_t value = interesting[random.below(std::size(interesting))];
    std::string number = std::to_string(value);
    if (random.below(4) == 0)
      number.insert(random.below(number.size()) + 1, ".");
    if (random.below(8) == 0)
      number.insert(0, "-");
    input.replace(at, end - at, number);
    break;
  }
  case 9: { // splice with another seed
    if (seeds.empty())
      break;
    const std::string &other = seeds[random.below(seeds.size())];
    size_t from = random.below(other.size() + 1);
    if (random.below(2)) {
      input.resize(random.below(size + 1));
      input += other.substr(from);
    } else {
      input.insert(random.below(size + 1),
                   other.substr(from, 1 + random.below(128)));
    }
    break;
  }
  }
  if (input.size() > maxInputBytes)
    input.resize(maxInputBytes);
}

std::string makeInput(const std::vector<std::string> &seeds, uint64_t seed,
                      unsigned long long run) {
  // Every seed runs once as it is.
  if (run < seeds.size())
    return seeds[run];
  // splitmix64's finaliser, so that neighbouring runs are unrelated.
  uint64_t mixed = seed + (run + 1) * 0x9e3779b97f4a7c15ull;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
  Random random(mixed ^ (mixed >> 31));
  std::string input;
  if (!seeds.empty())
    input = seeds[random.below(seeds.size())];
  // Mostly few mutations: many of them die at the first check.
  size_t count = size_t(1) << random.below(5);
  for (size_t i = 0; i < count; ++i)
    mutateOnce(input, seeds, random);
  return input;
}

void runOne(const std::string &input, unsigned long long run) {
  // A copy of exactly the right size: an overrun must hit the redzone.
  std::vector<uint8_t> exact(input.begin(), input.end());
  currentData = exact.data();
  currentSize = exact.size();
  currentRun = run;
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

bool readSeed(const std::filesystem::path &path,
              std::vector<std::string> &seeds) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s: cannot read\n", path.c_str());
    return false;
  }
  seeds.emplace_back(std::istreambuf_iterator<char>(file),
                     std::istreambuf_iterator<char>());
  return true;
}

bool option(const char *argument, const char *name, unsigned long long &value) {
  size_t length = std::strlen(name);
  if (std::strncmp(argument, name, length) != 0)
    return false;
  value = std::strtoull(argument + length, nullptr, 10);
  return true;
}

} // namespace

int main(int argc, char **argv) {
  unsigned long long runs = 10000, seed = 1, only = ~0ull;
  std::vector<std::string> seeds;
  if (criaFuzzSeeds)
    seeds = criaFuzzSeeds();
  for (int i = 1; i < argc; ++i) {
    const char *argument = argv[i];
    if (option(argument, "-runs=", runs) || option(argument, "-seed=", seed) ||
        option(argument, "-only=", only))
      continue;
    if (std::strncmp(argument, "-artifact=", 10) == 0) {
      artifactPath = argument + 10;
      continue;
    }
    if (argument[0] == '-') {
      std::fprintf(stderr,
                   "unknown option %s; accepted: -runs=N -seed=S -only=I "
                   "-artifact=PATH, files, folders\n",
                   argument);
      return 2;
    }
    std::error_code ec;
    if (!std::filesystem::is_directory(argument, ec)) {
      if (!readSeed(argument, seeds))
        return 2;
      continue;
    }
    std::vector<std::filesystem::path> paths;
    for (const auto &entry : std::filesystem::directory_iterator(argument, ec))
      if (entry.is_regular_file(ec))
        paths.push_back(entry.path());
    // The folder's own order is not deterministic.
    std::sort(paths.begin(), paths.end());
    for (const std::filesystem::path &path : paths)
      if (!readSeed(path, seeds))
        return 2;
  }

  if (__sanitizer_set_death_callback)
    __sanitizer_set_death_callback(saveInput);
  std::signal(SIGABRT, onAbort);

  if (only != ~0ull) {
    runOne(makeInput(seeds, seed, only), only);
    return 0;
  }
  for (unsigned long long run = 0; run < runs; ++run)
    runOne(makeInput(seeds, seed, run), run);
  std::printf("%llu runs from %zu seeds\n", runs, seeds.size());
  return 0;
}
