// The two programs of a Whisper bundle, bound by the names of their inputs and outputs.
#include "loops/whisper_programs.h"

#include <algorithm>
#include <string>

#include "core/status.h"

namespace anyon {

namespace {

int find(const std::vector<ValueInfo>& values, const std::string& name) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

int require(const std::vector<ValueInfo>& values, const std::string& name, DType dtype, const char* where) {
  const int index = find(values, name);
  if (index < 0) throw_error(Status::kBadProgram, {where, ": no '", name, "' in the program"});
  if (values[index].dtype != dtype) {
    throw_error(Status::kBadProgram, {where, ": '", name, "' has another type than Whisper's loop needs"});
  }
  return index;
}

[[noreturn]] void bad_output(Parts what) {
  throw_error(Status::kBackendFailed, {"whisper: ", what, "; does the bundle fit this backend?"});
}

}  // namespace

WhisperPrograms::WhisperPrograms(Session& encoder, Session& decoder, int n_layers, int64_t n_vocab)
    : encoder_(encoder), decoder_(decoder), n_vocab_(n_vocab) {
  bind_encoder(n_layers);
  bind_decoder(n_layers, n_vocab);
}

void WhisperPrograms::bind_encoder(int n_layers) {
  require(encoder_.inputs(), "mel", DType::kF32, "encoder inputs");
  if (encoder_.inputs().size() != 1) throw_error(Status::kBadProgram, {"encoder inputs: only 'mel' is known"});
  encoder_outputs_.resize(encoder_.outputs().size());
  for (int i = 0; i < n_layers; ++i) {
    key_outputs_.push_back(
        require(encoder_.outputs(), "cross_key_" + std::to_string(i), DType::kF32, "encoder outputs"));
  }
}

void WhisperPrograms::bind_decoder(int n_layers, int64_t n_vocab) {
  tokens_input_ = require(decoder_.inputs(), "tokens", DType::kI64, "decoder inputs");
  positions_input_ = require(decoder_.inputs(), "positions", DType::kI64, "decoder inputs");
  select_input_ = require(decoder_.inputs(), "select", DType::kI64, "decoder inputs");
  for (int i = 0; i < static_cast<int>(decoder_.inputs().size()); ++i) {
    if (i == tokens_input_ || i == positions_input_ || i == select_input_) continue;
    links_.push_back({i, require(encoder_.outputs(), decoder_.inputs()[i].name, DType::kF32, "encoder outputs")});
  }
  logits_output_ = require(decoder_.outputs(), "logits", DType::kF32, "decoder outputs");
  const std::vector<std::string>& dims = decoder_.outputs()[logits_output_].dims;
  if (dims.size() != 3 || dims[2] != std::to_string(n_vocab)) {
    throw_error(Status::kBadProgram, {"decoder outputs: 'logits' must have shape (batch, rows, ", n_vocab, ")"});
  }
  for (int i = 0; i < n_layers; ++i) {
    query_outputs_.push_back(
        require(decoder_.outputs(), "cross_query_" + std::to_string(i), DType::kF32, "decoder outputs"));
  }
  decoder_inputs_.resize(decoder_.inputs().size());
  decoder_outputs_.resize(decoder_.outputs().size());
}

void WhisperPrograms::encode(const float* mel, int64_t n_mels, int64_t frames) {
  const TensorView input{DType::kF32, {1, n_mels, frames}, const_cast<float*>(mel)};
  encoder_.run({&input, 1}, encoder_outputs_);
  for (const Link& link : links_) {
    const TensorView& value = encoder_outputs_[link.encoder_output];
    if (value.data == nullptr || value.dtype != DType::kF32 || value.shape.rank() != 4 || value.shape[0] != 1) {
      bad_output({"the encoder's '", encoder_.outputs()[link.encoder_output].name,
                  "' is not f32 of shape (1, heads, frames, head_dim)"});
    }
    decoder_inputs_[link.decoder_input] = value;
  }
  decoder_.reset_states();  // they belong to the audio before, as does what was made of the held inputs
}

void WhisperPrograms::set_slots(int64_t count) {
  decoder_.set_slots(count);
  slots_ = count;
  slot_ = 0;
  kept_keys_.clear();
  kept_keys_.resize(static_cast<size_t>(count));
}

void WhisperPrograms::select(int64_t slot) {
  if (slots_ == 1) return;
  decoder_.select_slots({&slot, 1});
  slot_ = slot;
}

void WhisperPrograms::reset() {
  if (slots_ == 1) {
    decoder_.reset_states();
    return;
  }
  // A reset would forget the audio of the slot too, and the encoder may have gone on to another window.
  if (decoder_.state_length() == 0) return;
  const int64_t first[1] = {0};
  decoder_.reorder_states(first);
  decoder_.truncate_states(0);
}

TensorView WhisperPrograms::cross_key(int layer) const {
  const std::vector<KeptKeys>* kept = kept_keys_.empty() ? nullptr : &kept_keys_[static_cast<size_t>(slot_)];
  if (kept == nullptr || static_cast<size_t>(layer) >= kept->size() || (*kept)[layer].values.empty()) {
    return encoder_outputs_[key_outputs_[layer]];
  }
  const KeptKeys& keys = (*kept)[layer];
  return {DType::kF32, keys.shape, const_cast<float*>(keys.values.data())};
}

void WhisperPrograms::keep_cross_keys(std::span<const int> layers) {
  std::vector<KeptKeys>& kept = kept_keys_[static_cast<size_t>(slot_)];
  kept.resize(key_outputs_.size());
  for (const int layer : layers) {
    const TensorView& keys = encoder_outputs_[key_outputs_[layer]];
    kept[layer].shape = keys.shape;
    kept[layer].values.assign(keys.as<const float>(), keys.as<const float>() + keys.shape.elements());
  }
}

const float* WhisperPrograms::decode_slots(std::span<const int64_t> tokens, std::span<const SlotRows> slots) {
  tokens_.assign(tokens.begin(), tokens.end());
  positions_.clear();
  selected_.clear();
  for (const SlotRows& part : slots) {
    decoder_.select_slots({&part.slot, 1});
    positions_.insert(positions_.end(), static_cast<size_t>(part.rows), decoder_.state_length());
    selected_.push_back(part.slot);
  }
  decoder_.select_slots(selected_);
  const int64_t first[1] = {0};
  return run_decoder(static_cast<int64_t>(tokens.size()), first);
}

const float* WhisperPrograms::decode(std::span<const int64_t> tokens, int64_t batch, std::span<const int64_t> select) {
  const int64_t time = static_cast<int64_t>(tokens.size()) / batch;
  const int64_t past = decoder_.state_length();
  tokens_.assign(tokens.begin(), tokens.end());
  positions_.resize(tokens.size());
  for (int64_t i = 0; i < static_cast<int64_t>(tokens.size()); ++i) positions_[i] = past + i % time;
  return run_decoder(batch, select);
}

const float* WhisperPrograms::run_decoder(int64_t batch, std::span<const int64_t> select) {
  const int64_t time = static_cast<int64_t>(tokens_.size()) / batch;
  select_.assign(select.begin(), select.end());
  const int64_t rows = static_cast<int64_t>(select.size());
  decoder_inputs_[tokens_input_] = {DType::kI64, {batch, time}, tokens_.data()};
  decoder_inputs_[positions_input_] = {DType::kI64, {batch, time}, positions_.data()};
  decoder_inputs_[select_input_] = {DType::kI64, {rows}, select_.data()};
  decoder_.run(decoder_inputs_, decoder_outputs_);
  ++runs_;
  const TensorView& logits = decoder_outputs_[logits_output_];
  if (logits.data == nullptr || logits.dtype != DType::kF32 || logits.shape != Shape{batch, rows, n_vocab_}) {
    bad_output({"the decoder's logits are not f32 of shape (batch, rows, n_vocab)"});
  }
  return logits.as<const float>();
}

}  // namespace anyon
