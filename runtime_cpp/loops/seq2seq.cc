// Seq2seq decoding: the prompt once, then token by token until the search is done; one window, or several together.
#include "loops/seq2seq.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/status.h"

namespace anyon {

namespace {

bool is_identity(std::span<const int64_t> rows, size_t batch) {
  if (rows.size() != batch) return false;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

}  // namespace

Seq2SeqDecoder::Seq2SeqDecoder(WhisperPrograms& programs, ThreadPool& pool, const RowMath& math, int32_t n_vocab,
                               int32_t n_text_ctx)
    : programs_(programs), pool_(pool), math_(math), n_vocab_(n_vocab), n_text_ctx_(n_text_ctx), windows_(1) {
  window().first_logits.resize(size_t{2} * n_vocab);
}

void Seq2SeqDecoder::set_slots(int64_t count) {
  programs_.set_slots(count);
  windows_.resize(static_cast<size_t>(count));
  for (Window& window : windows_) window.first_logits.resize(size_t{2} * n_vocab_);
  slot_ = 0;
}

void Seq2SeqDecoder::select(int64_t slot) {
  programs_.select(slot);
  slot_ = slot;
}

void Seq2SeqDecoder::start(std::span<const int32_t> prompt, int64_t sot_index) {
  const int64_t length = static_cast<int64_t>(prompt.size());
  if (length == 0 || length > n_text_ctx_ || sot_index < 0 || sot_index >= length) {
    throw_error(Status::kInternal, {"seq2seq: a prompt of ", length, " tokens does not fit"});
  }
  programs_.reset();
  next_tokens_.assign(prompt.begin(), prompt.end());
  const int64_t select[2] = {sot_index, length - 1};
  const float* logits = programs_.decode(next_tokens_, 1, select);
  std::copy_n(logits, window().first_logits.size(), window().first_logits.data());
  window().prompt_length = length;
  window().state_rows = 1;
}

double Seq2SeqDecoder::probability_at_sot(int32_t token) const {
  const std::span<const float> logits = logits_at_sot();
  const Peak peak = math_.peak(logits.data(), n_vocab_);
  return std::exp(static_cast<double>(logits[token]) - peak.value) / math_.sum_exp(logits.data(), n_vocab_, peak.value);
}

std::unique_ptr<Decoding> Seq2SeqDecoder::decoding_of(SearchTask task) const {
  task.max_tokens = std::min<int>(task.max_tokens, n_text_ctx_ - static_cast<int>(window().prompt_length));
  return std::make_unique<Decoding>(std::move(task), math_);
}

void Seq2SeqDecoder::arrange_states(Decoding& decoding) {
  size_t& rows = window().state_rows;
  if (decoding.written() > 1) {
    if (is_identity(decoding.sources(), rows)) return;
    programs_.reorder(decoding.sources());
  } else {
    // From the end of the prompt; a search before this one may have gone on from there.
    if (programs_.past() > window().prompt_length) programs_.truncate(window().prompt_length);
    if (rows == 1 && decoding.live().size() == 1) return;
    zeros_.assign(decoding.live().size(), 0);
    programs_.reorder(zeros_);
  }
  rows = decoding.live().size();
}

void Seq2SeqDecoder::advance(std::span<Decoding* const> searches, const float* logits) {
  int64_t count = 0;
  for (Decoding* search : searches) {
    search->expect_rows();
    count += search->rows();
  }
  if (static_cast<int64_t>(scratch_.size()) < count * n_vocab_) scratch_.resize(count * n_vocab_);
  const auto apply = [&](int64_t row, int) {
    int64_t first = 0;
    size_t owner = 0;
    while (row >= first + searches[owner]->rows()) first += searches[owner++]->rows();
    searches[owner]->rule(row - first, logits + row * n_vocab_, scratch_.data() + row * n_vocab_);
  };
  if (count == 1) {
    apply(0, 0);
  } else {
    pool_.run(count, apply);
  }
  for (Decoding* search : searches) search->advance();
}

DecodeResult Seq2SeqDecoder::search(SearchTask task, FunctionRef<bool()> should_stop) {
  const std::unique_ptr<Decoding> decoding = decoding_of(std::move(task));
  Decoding* const only[1] = {decoding.get()};
  while (!decoding->over()) {
    if (should_stop()) {
      DecodeResult result;
      result.cancelled = true;
      return result;
    }
    const float* logits = logits_after_prompt().data();
    if (decoding->written() > 0) {
      arrange_states(*decoding);
      if (decoding->task().draft != nullptr) {
        write_drafted(*decoding);
        continue;
      }
      next_tokens_.clear();
      for (const Hypothesis& hypothesis : decoding->live()) next_tokens_.push_back(hypothesis.tokens.back());
      const int64_t select[1] = {0};
      logits = programs_.decode(next_tokens_, decoding->rows(), select);
    }
    advance(only, logits);
    if (Draft* const draft = decoding->task().draft; draft != nullptr && !decoding->live().empty()) {
      draft->follow(decoding->live()[0].tokens.back());
    }
  }
  return decoding->result();
}

void Seq2SeqDecoder::write_drafted(Decoding& decoding) {
  Draft& draft = *decoding.task().draft;
  const int64_t past = programs_.past();
  // As many as the context and the text may still take; the last of the text is never proposed, but follows.
  const int64_t room = std::min<int64_t>(n_text_ctx_ - past, decoding.task().max_tokens - decoding.written()) - 1;
  const std::span<const int32_t> proposal = draft.proposal(static_cast<size_t>(std::max<int64_t>(room, 0)));
  const std::vector<int32_t> proposed(proposal.begin(), proposal.end());
  next_tokens_.assign(1, decoding.live()[0].tokens.back());
  next_tokens_.insert(next_tokens_.end(), proposed.begin(), proposed.end());
  places_.resize(next_tokens_.size());
  for (size_t i = 0; i < places_.size(); ++i) places_[i] = static_cast<int64_t>(i);
  const float* logits = programs_.decode(next_tokens_, 1, places_);

  Decoding* const only[1] = {&decoding};
  size_t accepted = 0;
  while (true) {
    advance(only, logits + static_cast<int64_t>(accepted) * n_vocab_);
    if (decoding.live().empty()) break;
    const int32_t token = decoding.live()[0].tokens.back();
    draft.follow(token);
    if (accepted == proposed.size() || token != proposed[accepted]) break;
    ++accepted;
    if (decoding.over()) break;
  }
  drafted_ += static_cast<int64_t>(accepted);
  if (!proposed.empty()) draft.judge(proposed.size(), accepted);
  const int64_t kept = past + 1 + static_cast<int64_t>(accepted);
  if (kept < programs_.past()) programs_.truncate(kept);
}

void Seq2SeqDecoder::begin(SearchTask task) {
  window().decoding = decoding_of(std::move(task));
  Decoding* const only[1] = {window().decoding.get()};
  if (!only[0]->over()) advance(only, logits_after_prompt().data());
}

bool Seq2SeqDecoder::step(FunctionRef<bool()> should_stop) {
  size_t next = 0;
  const auto is_waiting = [&](const Window& window) { return window.decoding && !window.decoding->over(); };
  while (next < windows_.size()) {
    if (should_stop()) return false;
    // As many of them as one run takes.
    searches_.clear();
    slot_rows_.clear();
    next_tokens_.clear();
    for (; next < windows_.size(); ++next) {
      if (!is_waiting(windows_[next])) continue;
      Decoding& decoding = *windows_[next].decoding;
      const int64_t rows = decoding.rows();
      if (!searches_.empty() && static_cast<int64_t>(next_tokens_.size()) + rows > kMaxRows) break;
      select(static_cast<int64_t>(next));
      arrange_states(decoding);
      for (const Hypothesis& hypothesis : decoding.live()) next_tokens_.push_back(hypothesis.tokens.back());
      slot_rows_.push_back({static_cast<int64_t>(next), rows});
      searches_.push_back(&decoding);
    }
    if (!searches_.empty()) advance(searches_, programs_.decode_slots(next_tokens_, slot_rows_));
  }
  return true;
}

DecodeResult Seq2SeqDecoder::result() {
  DecodeResult result = window().decoding->result();
  window().decoding.reset();
  return result;
}

}  // namespace anyon
