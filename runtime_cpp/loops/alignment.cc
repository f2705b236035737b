// When each token was spoken: dynamic time warping over the cross-attention of the heads that follow time.
#include "loops/alignment.h"

#include <algorithm>
#include <cmath>

#include "core/status.h"
#include "loops/dtw.h"

namespace anyon {

namespace {

// Tokens per decoder run: the logits of all of a window at once would need tens of megabytes.
constexpr int64_t kChunk = 16;

}  // namespace

Aligner::Aligner(WhisperPrograms& programs, ThreadPool& pool, const RowMath& math, AlignmentShape shape)
    : programs_(programs), pool_(pool), math_(math), shape_(std::move(shape)) {}

TokenAlignment Aligner::align(std::span<const int32_t> before, std::span<const int32_t> text, int64_t frames,
                              FunctionRef<bool()> should_stop) {
  TokenAlignment result;
  if (text.empty() || frames < 1) return result;
  std::vector<int32_t> tokens(before.begin(), before.end());
  tokens.insert(tokens.end(), text.begin(), text.end());
  // The end of text only takes part in the statistics of a head; a full context does without it.
  if (static_cast<int64_t>(tokens.size()) < shape_.n_text_ctx) tokens.push_back(shape_.eot);
  const int64_t n = static_cast<int64_t>(tokens.size());
  if (before.empty() || n > shape_.n_text_ctx) {
    throw_error(Status::kInternal, {"alignment: the text does not fit the decoder's context"});
  }

  if (!run_decoder(tokens, static_cast<int64_t>(before.size()), static_cast<int64_t>(text.size()), should_stop,
                   result)) {
    return {};
  }
  matrix_.assign(n * frames, 0.0f);
  for (size_t head = 0; head < shape_.heads.size(); ++head) {
    if (should_stop()) return {};
    add_head(head, n, frames);
  }
  // The row of a token looks where the next one is spoken: the last token of `before` leads to the first of the text.
  const int64_t first = static_cast<int64_t>(before.size()) - 1;
  const int64_t rows = static_cast<int64_t>(text.size()) + 1;
  result.frames = first_columns_of_best_path(std::span(matrix_).subspan(first * frames, rows * frames), rows, frames);
  return result;
}

bool Aligner::run_decoder(std::span<const int32_t> tokens, int64_t before, int64_t text,
                          FunctionRef<bool()> should_stop, TokenAlignment& out) {
  const int64_t n = static_cast<int64_t>(tokens.size());
  const int64_t head_dim = shape_.head_dim;
  queries_.resize(shape_.heads.size() * n * head_dim);
  out.probabilities.resize(text);
  programs_.reset();
  std::vector<int64_t> chunk;
  std::vector<int64_t> select;
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    if (should_stop()) return false;
    const int64_t end = std::min(n, begin + kChunk);
    chunk.assign(tokens.begin() + begin, tokens.begin() + end);
    // Logits are wanted at the tokens that a text token follows.
    const int64_t first = std::max(begin, before - 1);
    const int64_t last = std::min(end, before - 1 + text);
    select.clear();
    for (int64_t i = first; i < last; ++i) select.push_back(i - begin);
    if (select.empty()) select.push_back(0);
    const float* logits = programs_.decode(chunk, 1, select);
    for (int64_t i = first; i < last; ++i, logits += shape_.n_vocab) {
      const Peak peak = math_.peak(logits, shape_.eot);
      const double sum = math_.sum_exp(logits, shape_.eot, peak.value);
      out.probabilities[i - (before - 1)] =
          static_cast<float>(std::exp(static_cast<double>(logits[tokens[i + 1]]) - peak.value) / sum);
    }
    for (size_t h = 0; h < shape_.heads.size(); ++h) {
      const float* query =
          programs_.cross_query(shape_.heads[h].layer).as<const float>() + shape_.heads[h].head * head_dim;
      for (int64_t i = begin; i < end; ++i, query += shape_.n_heads * head_dim) {
        std::copy_n(query, head_dim, queries_.data() + (h * n + i) * head_dim);
      }
    }
  }
  return true;
}

void Aligner::add_head(size_t head, int64_t tokens, int64_t frames) {
  const int64_t head_dim = shape_.head_dim;
  const TensorView& keys = programs_.cross_key(shape_.heads[head].layer);
  if (keys.shape[1] != shape_.n_heads || keys.shape[2] < frames || keys.shape[3] != head_dim) {
    throw_error(Status::kBackendFailed, {"alignment: the encoder's keys do not have the shape of the model"});
  }
  const float* key = keys.as<const float>() + shape_.heads[head].head * keys.shape[2] * head_dim;
  const float* query = queries_.data() + head * tokens * head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  weights_.resize(tokens * frames);

  constexpr int64_t kRows = 8;
  parallel_for(pool_, tokens, kRows, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = weights_.data() + i * frames;
      math_.dot_rows(query + i * head_dim, key, head_dim, frames, head_dim, row);
      const float largest = math_.peak(row, frames).value;
      math_.exp_row(row, frames, largest, scale, row);
      double sum = 0.0;
      for (int64_t f = 0; f < frames; ++f) sum += row[f];
      const float norm = static_cast<float>(1.0 / sum);
      for (int64_t f = 0; f < frames; ++f) row[f] *= norm;
    }
  });

  // Each frame is normalised over the tokens, so that frames all tokens look at count for nothing.
  mean_.resize(frames);
  inverse_deviation_.resize(frames);
  constexpr int64_t kColumns = 128;
  parallel_for(pool_, frames, kColumns, [&](int64_t begin, int64_t end, int) {
    for (int64_t f = begin; f < end; ++f) mean_[f] = inverse_deviation_[f] = 0.0f;
    for (int64_t i = 0; i < tokens; ++i) {
      const float* row = weights_.data() + i * frames;
      for (int64_t f = begin; f < end; ++f) mean_[f] += row[f];
    }
    for (int64_t f = begin; f < end; ++f) mean_[f] /= static_cast<float>(tokens);
    for (int64_t i = 0; i < tokens; ++i) {
      const float* row = weights_.data() + i * frames;
      for (int64_t f = begin; f < end; ++f) {
        const float d = row[f] - mean_[f];
        inverse_deviation_[f] += d * d;
      }
    }
    for (int64_t f = begin; f < end; ++f) {
      const float deviation = std::sqrt(inverse_deviation_[f] / static_cast<float>(tokens));
      inverse_deviation_[f] = deviation > 0.0f ? 1.0f / deviation : 0.0f;
    }
  });

  parallel_for(pool_, tokens, kRows, [&](int64_t begin, int64_t end, int) {
    std::vector<float> filtered(frames);
    for (int64_t i = begin; i < end; ++i) {
      float* row = weights_.data() + i * frames;
      for (int64_t f = 0; f < frames; ++f) row[f] = (row[f] - mean_[f]) * inverse_deviation_[f];
      median_filter_7({row, static_cast<size_t>(frames)}, filtered.data());
      float* sum = matrix_.data() + i * frames;
      for (int64_t f = 0; f < frames; ++f) sum[f] += filtered[f];
    }
  });
}

void median_filter_7(std::span<const float> x, float* y) {
  constexpr int64_t kHalf = kAlignmentMedianWidth / 2;
  const int64_t n = static_cast<int64_t>(x.size());
  if (n <= kHalf) {
    std::copy(x.begin(), x.end(), y);
    return;
  }
  const auto order = [](float& a, float& b) {
    const float low = std::min(a, b);
    b = std::max(a, b);
    a = low;
  };
  // A network of 13 comparisons that leaves the median of seven in the middle.
  const auto median = [&](float a, float b, float c, float d, float e, float f, float g) {
    order(a, f), order(a, d), order(b, g), order(c, e), order(a, b), order(d, f), order(c, g);
    order(c, d), order(d, g), order(e, f), order(b, e), order(b, d), order(d, e);
    return d;
  };
  const auto reflected = [&](int64_t i) {
    if (i < 0) i = -i;
    return x[i < n ? i : 2 * (n - 1) - i];
  };
  const int64_t inner_end = std::max(kHalf, n - kHalf);
  for (int64_t i = kHalf; i < inner_end; ++i) {
    const float* p = x.data() + i;
    y[i] = median(p[-3], p[-2], p[-1], p[0], p[1], p[2], p[3]);
  }
  for (int64_t i = 0; i < n; ++i) {
    if (i == kHalf) i = inner_end;
    if (i >= n) break;
    y[i] = median(reflected(i - 3), reflected(i - 2), reflected(i - 1), x[i], reflected(i + 1), reflected(i + 2),
                  reflected(i + 3));
  }
}

}  // namespace anyon
