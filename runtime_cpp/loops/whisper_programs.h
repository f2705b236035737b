// The two programs of a Whisper bundle, bound by the names of their inputs and outputs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/session.h"

namespace anyon {

// Encoder: mel -> cross_key_i, cross_value_i. Decoder: tokens, positions, select, cross_* -> logits, cross_query_i,
// with the self-attention cache as its states. The encoder's outputs are handed to the decoder as they are, with
// batch 1.
class WhisperPrograms {
 public:
  // Throws Error kBadProgram naming an input or output that is missing, unknown or of another type.
  WhisperPrograms(Session& encoder, Session& decoder, int n_layers, int64_t n_vocab);

  // mel: (n_mels, frames) f32. The keys and values stay valid until the next call. Forgets what was decoded.
  void encode(const float* mel, int64_t n_mels, int64_t frames);

  // Windows decoded together: each has a slot of the decoder (program/session.h). encode() is for the selected one.
  int64_t max_slots() const { return decoder_.max_slots(); }
  void set_slots(int64_t count);
  void select(int64_t slot);

  // Forgets what was decoded for the selected slot; its audio stays.
  void reset();

  // Runs the decoder on tokens of shape (batch, time) that follow the positions kept so far, and returns the logits at
  // the places `select` along time: f32, shape (batch, select.size(), n_vocab), valid until the next run.
  const float* decode(std::span<const int64_t> tokens, int64_t batch, std::span<const int64_t> select);

  // One token for every row of several slots, one slot's rows after the other's. Returns logits (rows, n_vocab), valid
  // until the next run. Slot 0 or another must be selected afterwards.
  struct SlotRows {
    int64_t slot = 0;
    int64_t rows = 1;
  };
  const float* decode_slots(std::span<const int64_t> tokens, std::span<const SlotRows> slots);

  // The cross-attention query of a layer from the last run: f32, shape (batch, time, heads * head_dim).
  const TensorView& cross_query(int layer) const { return decoder_outputs_[query_outputs_[layer]]; }
  // The cross-attention key of a layer from the last encode, or the one that was kept for the selected slot: f32, shape
  // (1, heads, frames, head_dim).
  TensorView cross_key(int layer) const;
  // Keeps the keys of these layers beyond the next encode, for the selected slot.
  void keep_cross_keys(std::span<const int> layers);

  int64_t past() const { return decoder_.state_length(); }
  void truncate(int64_t length) { decoder_.truncate_states(length); }
  void reorder(std::span<const int64_t> rows) { decoder_.reorder_states(rows); }

  // Decoder runs so far.
  int64_t runs() const { return runs_; }

 private:
  struct KeptKeys {
    std::vector<float> values;
    Shape shape;
  };

  const float* run_decoder(int64_t batch, std::span<const int64_t> select);
  void bind_encoder(int n_layers);
  void bind_decoder(int n_layers, int64_t n_vocab);

  Session& encoder_;
  Session& decoder_;
  std::vector<TensorView> encoder_outputs_;
  std::vector<TensorView> decoder_inputs_;
  std::vector<TensorView> decoder_outputs_;
  std::vector<int> key_outputs_;    // by layer: index among the encoder's outputs
  std::vector<int> query_outputs_;  // by layer: index among the decoder's outputs
  struct Link {
    int decoder_input;
    int encoder_output;
  };
  std::vector<Link> links_;
  int tokens_input_ = -1;
  int positions_input_ = -1;
  int select_input_ = -1;
  int logits_output_ = -1;
  int64_t n_vocab_;
  int64_t runs_ = 0;
  int64_t slots_ = 1;
  int64_t slot_ = 0;
  std::vector<std::vector<KeptKeys>> kept_keys_;  // by slot, by layer
  std::vector<int64_t> selected_;
  std::vector<int64_t> tokens_;
  std::vector<int64_t> positions_;
  std::vector<int64_t> select_;
};

}  // namespace anyon
