// What the model and the options together say about the rules for tokens, and what alignment needs of the model.
#pragma once

#include "loops/alignment.h"
#include "loops/logit_rules.h"
#include "pipelines/transcribe_options.h"
#include "pipelines/whisper_info.h"

namespace anyon {

LogitRuleOptions rule_options(const WhisperInfo& model, const TranscribeOptions& options);
AlignmentShape alignment_shape(const WhisperInfo& model);

}  // namespace anyon
