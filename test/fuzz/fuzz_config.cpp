// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "compiler/import/HfConfig.h"
#include "driver.h"

#include <cstdlib>

using namespace llvm;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  StringRef text(reinterpret_cast<const char *>(data), size);
  auto config = cria::parseHfConfig("config.json", text);
  if (!config) {
    consumeError(config.takeError());
    return 0;
  }
  // What later stages divide by and index with.
  if (config->headDim < 1 || config->kvHeads < 1 || config->ffn < 1 ||
      config->heads % config->kvHeads || !(config->eps > 0) ||
      config->styleOf.size() != static_cast<size_t>(config->layers))
    std::abort();
  for (unsigned style : config->styleOf)
    if (style >= config->styles.size())
      std::abort();
  for (const cria::DecoderDescription::LayerStyle &style : config->styles)
    if (style.rope && (style.rope->dims < 2 || style.rope->dims % 2 ||
                       style.rope->dims > config->headDim ||
                       !(style.rope->theta >= 1) || !(style.rope->factor > 0)))
      std::abort();
  return 0;
}

static std::string config(const std::string &rest) {
  return R"({"architectures":["LlamaForCausalLM"],"model_type":"llama",)"
         R"("hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,)"
         R"("num_attention_heads":16,"num_key_value_heads":4,)"
         R"("vocab_size":100,"rms_norm_eps":1e-05,"hidden_act":"silu",)"
         R"("max_position_embeddings":131072,"torch_dtype":"bfloat16",)"
         R"("bos_token_id":1,"eos_token_id":[2,3],"use_cache":true)" +
         rest + "}";
}

std::vector<std::string> criaFuzzSeeds() {
  return {
      config(R"(,"rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3",)"
             R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,)"
             R"("original_max_position_embeddings":8192})"),
      config(R"(,"rope_parameters":{"rope_type":"yarn","factor":4,)"
             R"("rope_theta":1e6,"beta_fast":32,"beta_slow":1,"mscale":1.0,)"
             R"("mscale_all_dim":0.5,"truncate":false,)"
             R"("attention_factor":1.2,)"
             R"("original_max_position_embeddings":32768})"),
      config(R"(,"rope_scaling":{"type":"longrope","short_factor":[1,1.5],)"
             R"("long_factor":[2,3]},"tie_word_embeddings":true,)"
             R"("original_max_position_embeddings":4096)"),
      config(R"(,"rope_scaling":{"type":"linear","factor":2.0})"),
      config(R"(,"rope_scaling":{"type":"dynamic","factor":2.0})"),
      R"({"model_type":"cria","vocab_size":100,"hidden_size":64,)"
      R"("intermediate_size":96,"num_hidden_layers":2,"norm":"batch",)"
      R"("num_attention_heads":4,"max_position_embeddings":64,)"
      R"("norm_eps":1e-5,"activation":"relu2","norm_placement":"both",)"
      R"("positions":"relative","relative_attention_num_buckets":16,)"
      R"("attention_sinks":true,"sliding_window":8,"layer_types":)"
      R"(["sliding_attention","full_attention"],"auto_map":{"a":"b"}})",
  };
}
