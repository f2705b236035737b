// When each token was spoken: dynamic time warping over the cross-attention of the heads that follow time
// (openai-whisper's word timestamps; the heads are listed in the bundle).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/function_ref.h"
#include "core/threads.h"
#include "loops/row_math.h"
#include "loops/whisper_programs.h"

namespace anyon {

struct AttentionHead {
  int layer = 0;
  int head = 0;
};

struct AlignmentShape {
  std::vector<AttentionHead> heads;
  int n_heads = 0;
  int head_dim = 0;
  int32_t n_vocab = 0;
  int32_t n_text_ctx = 0;
  int32_t eot = 0;
};

struct TokenAlignment {
  std::vector<int32_t> frames;       // encoder frame where token i begins; one more at the end: where the last one ends
  std::vector<float> probabilities;  // of token i among the text tokens
};

// Width of the median filter over time, as openai-whisper uses it.
inline constexpr int kAlignmentMedianWidth = 7;

class Aligner {
 public:
  Aligner(WhisperPrograms& programs, ThreadPool& pool, const RowMath& math, AlignmentShape shape);

  // Feeds `before` (start of transcript, language, task, no timestamps), the text and the end of text to the decoder
  // for the audio that was encoded last, and aligns the text to the first `frames` encoder frames. The decoder's states
  // are lost. Returns an empty alignment when `should_stop` says so.
  TokenAlignment align(std::span<const int32_t> before, std::span<const int32_t> text, int64_t frames,
                       FunctionRef<bool()> should_stop);

 private:
  bool run_decoder(std::span<const int32_t> tokens, int64_t before, int64_t text, FunctionRef<bool()> should_stop,
                   TokenAlignment& out);
  void add_head(size_t head, int64_t tokens, int64_t frames);

  WhisperPrograms& programs_;
  ThreadPool& pool_;
  const RowMath& math_;
  AlignmentShape shape_;
  std::vector<float> queries_;  // (alignment heads, tokens, head_dim)
  std::vector<float> weights_;  // (tokens, frames) of one head
  std::vector<float> matrix_;   // (tokens, frames), sum over heads
  std::vector<float> mean_;     // by frame
  std::vector<float> inverse_deviation_;
};

// Median of the 7 values around each, reflected at the ends; rows shorter than 4 are copied.
void median_filter_7(std::span<const float> x, float* y);

}  // namespace anyon
