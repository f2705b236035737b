// One program on TVM's virtual machine, driven by anyon's loops like every other backend's session.
#pragma once

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bundle/bundle.h"
#include "program/session.h"
#include "tvm_programs.h"

class TvmSession final : public anyon::Session {
 public:
  // The bundle must outlive the session: its weights are used where they are mapped.
  TvmSession(const anyon::Bundle& bundle, const TvmPrograms& programs, const std::string& program);

  const std::vector<anyon::ValueInfo>& inputs() const override { return inputs_; }
  const std::vector<anyon::ValueInfo>& outputs() const override { return outputs_; }
  void run(std::span<const anyon::TensorView> inputs, std::span<anyon::TensorView> outputs) override;
  void reset_states() override { length_ = 0; }
  void reorder_states(std::span<const int64_t> rows) override;
  void truncate_states(int64_t length) override { length_ = std::min(length_, length); }
  int64_t state_length() const override { return length_; }

 private:
  // Keys or values of one layer: (batch, heads, capacity, head_dim), written in place by the program.
  struct State {
    std::vector<int64_t> row;  // its shape without the batch
    std::vector<float> values;
    std::vector<float> spare;  // where a reordering puts its result
    int64_t row_size() const;
  };

  int64_t size_of(std::span<const anyon::TensorView> inputs, const std::string& dim) const;
  void require_batch(int64_t batch);
  void wrap_states();

  tvm::ffi::Function function_;
  std::vector<anyon::ValueInfo> inputs_, outputs_;
  std::vector<bool> broadcast_;
  std::vector<tvm::ffi::Tensor> weights_;
  std::vector<State> states_;
  std::vector<tvm::ffi::Tensor> state_tensors_;
  int64_t capacity_ = 0, batch_ = 0, length_ = 0;
  tvm::ffi::Array<tvm::ffi::Tensor> results_;  // what the last run gave; views point into it
};
