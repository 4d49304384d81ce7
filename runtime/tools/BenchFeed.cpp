// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/BenchFeed.h"

namespace cria::tools {

BenchFeed::BenchFeed(const cria_artifact *Artifact, cria_session_options Wanted,
                     int64_t Batch, int64_t Capacity)
    : Batch(Batch), Vocab(cria_artifact_model(Artifact)->vocab) {
  Wanted.max_sequences = Batch;
  Wanted.capacity = Batch * Capacity;
  Session = openSession(Artifact, Wanted);
}

void BenchFeed::feed(int64_t Count) {
  Tokens.clear(), Rows.clear(), Want.clear();
  for (int32_t S = 0; S < Batch; ++S)
    for (int64_t I = 0; I < Count; ++I) {
      // A linear congruential generator (Knuth, MMIX), from a fixed seed.
      State = State * 6364136223846793005u + 1442695040888963407u;
      Tokens.push_back(
          static_cast<int32_t>((State >> 33) % static_cast<uint64_t>(Vocab)));
      Rows.push_back(S);
      Want.push_back(I == Count - 1);
    }
  cria_error Error;
  check(cria_session_forward(Session.get(), Tokens.size(), Tokens.data(),
                             Rows.data(), Want.data(), nullptr, &Error),
        Error);
}

void BenchFeed::rewind(int64_t Length) {
  cria_error Error;
  for (int32_t S = 0; S < Batch; ++S)
    check(cria_session_truncate(Session.get(), S, Length, &Error), Error);
}

} // namespace cria::tools
