// What the model and the options together say about rules and alignment.
#include "pipelines/model_setup.h"

#include <cmath>

namespace anyon {

LogitRuleOptions rule_options(const WhisperInfo& model, const TranscribeOptions& options) {
  LogitRuleOptions rules;
  rules.n_vocab = model.n_vocab;
  rules.eot = model.eot;
  rules.timestamp_begin = model.timestamp_begin;
  for (const int32_t token : options.suppress_tokens) {
    if (token >= 0) {
      rules.suppress.push_back(token);
    } else {
      rules.suppress.insert(rules.suppress.end(), model.suppress_tokens.begin(), model.suppress_tokens.end());
    }
  }
  if (options.suppress_blank) rules.begin_suppress = model.begin_suppress_tokens;
  rules.timestamps = !options.without_timestamps;
  if (options.max_initial_timestamp) {
    rules.max_initial_timestamp =
        static_cast<int32_t>(std::lround(*options.max_initial_timestamp / model.time_precision()));
  }
  rules.repetition_penalty = options.repetition_penalty;
  rules.no_repeat_ngram_size = options.no_repeat_ngram_size;
  return rules;
}

AlignmentShape alignment_shape(const WhisperInfo& model) {
  AlignmentShape shape;
  for (const AlignmentHead& head : model.alignment_heads) shape.heads.push_back({head.layer, head.head});
  shape.n_heads = model.n_heads;
  shape.head_dim = model.head_dim;
  shape.n_vocab = model.n_vocab;
  shape.n_text_ctx = model.n_text_ctx;
  shape.eot = model.eot;
  return shape;
}

}  // namespace anyon
