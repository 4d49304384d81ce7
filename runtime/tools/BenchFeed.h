// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A session that is fed random tokens: what `cria bench` measures.
#ifndef CRIA_TOOLS_BENCHFEED_H
#define CRIA_TOOLS_BENCHFEED_H

#include "tools/Common.h"

namespace cria::tools {

class BenchFeed {
public:
  /// `Batch` sequences with room for `Capacity` tokens each.
  BenchFeed(const cria_artifact *Artifact, cria_session_options Wanted,
            int64_t Batch, int64_t Capacity);

  /// `Count` random tokens to each sequence, with the logits of the last.
  void feed(int64_t Count);
  /// Every sequence back to `Length` tokens.
  void rewind(int64_t Length);

  cria_session *session() const { return Session.get(); }

private:
  int64_t Batch, Vocab;
  SessionPtr Session;
  uint64_t State = 42;
  std::vector<int32_t> Tokens, Rows;
  std::vector<uint8_t> Want;
};

} // namespace cria::tools

#endif // CRIA_TOOLS_BENCHFEED_H
