// What every transcription of one Whisper bundle shares: the model's facts and its tokenizer.
#pragma once

#include <memory>

#include "bundle/bundle.h"
#include "frontends/bpe_tokenizer.h"
#include "pipelines/whisper_info.h"

namespace anyon {

// The tokenizer that a bundle's manifest section `tokenizer` describes; it views the bundle's arrays, so the bundle
// must outlive it. Throws Error kBadBundle naming what is missing or mistyped, kBadTokenizer for contradictory arrays.
BpeTokenizer tokenizer_of(const Bundle& bundle);

// Immutable; any number of threads may share one.
struct WhisperModel {
  explicit WhisperModel(std::shared_ptr<const Bundle> from);

  std::shared_ptr<const Bundle> bundle;
  WhisperInfo info;
  BpeTokenizer tokenizer;
};

}  // namespace anyon
