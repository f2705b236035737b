#include "tvm_session.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

namespace ffi = tvm::ffi;
using anyon::DType;
using anyon::Error;
using anyon::Status;
using anyon::TensorView;
using anyon::ValueInfo;

namespace {

DLDataType dl_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return {kDLFloat, 32, 1};
    case DType::kF16:
      return {kDLFloat, 16, 1};
    case DType::kI64:
      return {kDLInt, 64, 1};
    default:
      throw Error(Status::kUnsupportedOp, "tvm: arrays of this type are not handed over (use recipe f32 or f16)");
  }
}

// A tensor over memory that outlives it.
ffi::Tensor borrow(const TensorView& view) {
  struct Borrowed {
    DLManagedTensor managed{};
    std::vector<int64_t> shape;
  };
  auto borrowed = std::make_unique<Borrowed>();
  borrowed->shape.assign(view.shape.dims().begin(), view.shape.dims().end());
  DLTensor& tensor = borrowed->managed.dl_tensor;
  tensor.data = view.data;
  tensor.device = {kDLCPU, 0};
  tensor.ndim = view.shape.rank();
  tensor.dtype = dl_type(view.dtype);
  tensor.shape = borrowed->shape.data();
  borrowed->managed.manager_ctx = borrowed.get();
  borrowed->managed.deleter = [](DLManagedTensor* self) { delete static_cast<Borrowed*>(self->manager_ctx); };
  return ffi::Tensor::FromDLPack(&borrowed.release()->managed);
}

DType dtype_of(const std::string& name) {
  if (name == "f32") return DType::kF32;
  if (name == "i64") return DType::kI64;
  throw Error(Status::kUnsupportedOp, "tvm: a program with values of type " + name + " is not handled");
}

ValueInfo value_info(const nlohmann::json& spec) {
  ValueInfo info{spec.at("name"), dtype_of(spec.at("dtype")), {}};
  for (const nlohmann::json& dim : spec.at("shape")) {
    info.dims.push_back(dim.is_string() ? dim.get<std::string>() : std::to_string(dim.get<int64_t>()));
  }
  return info;
}

}  // namespace

TvmSession::TvmSession(const anyon::Bundle& bundle, const TvmPrograms& programs, const std::string& program)
    : function_(programs.function(program)) {
  try {
    const nlohmann::json& section = bundle.manifest().at("programs").at(program);
    for (const nlohmann::json& spec : section.at("inputs")) {
      inputs_.push_back(value_info(spec));
      broadcast_.push_back(spec.value("broadcast", false));
    }
    for (const nlohmann::json& spec : section.at("outputs")) outputs_.push_back(value_info(spec));
    for (const nlohmann::json& spec : section.at("states")) {
      const nlohmann::json& shape = spec.at("shape");
      capacity_ = spec.at("capacity");
      states_.push_back({{shape.at(1).get<int64_t>(), capacity_, shape.at(3).get<int64_t>()}, {}, {}});
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error(Status::kBadBundle, bundle.name() + ": program " + program + ": " + error.what());
  }
  for (const std::string& name : programs.weights(program)) weights_.push_back(borrow(bundle.tensor(name)));
}

void TvmSession::run(std::span<const TensorView> inputs, std::span<TensorView> outputs) {
  std::vector<ffi::Any> arguments;
  for (const TensorView& input : inputs) arguments.emplace_back(borrow(input));
  if (!states_.empty()) {
    require_batch(size_of(inputs, "batch"));
    if (length_ + size_of(inputs, "time") > capacity_) {
      throw Error(Status::kInvalidArgument, "tvm: the states hold " + std::to_string(capacity_) + " positions, " +
                                                std::to_string(length_) + " are taken (reset or truncate them)");
    }
    arguments.emplace_back(length_);
    for (const ffi::Tensor& state : state_tensors_) arguments.emplace_back(state);
  }
  for (const ffi::Tensor& weight : weights_) arguments.emplace_back(weight);
  std::vector<ffi::AnyView> views(arguments.begin(), arguments.end());
  ffi::Any result;
  try {
    function_.CallPacked(views.data(), static_cast<int32_t>(views.size()), &result);
  } catch (const ffi::Error& error) {
    throw Error(Status::kBackendFailed, std::string("tvm: ") + error.what());
  }
  results_ = result.cast<ffi::Array<ffi::Tensor>>();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ffi::Tensor& tensor = results_[static_cast<int64_t>(i)];
    const anyon::Shape shape(std::span<const int64_t>(tensor.shape().data(), tensor.shape().size()));
    outputs[i] = {outputs_[i].dtype, shape, tensor.data_ptr()};
  }
  if (!states_.empty()) length_ += size_of(inputs, "time");
}

void TvmSession::reorder_states(std::span<const int64_t> rows) {
  for (State& state : states_) {
    const int64_t size = state.row_size(), head = state.row[1] * state.row[2], used = length_ * state.row[2];
    state.spare.resize(rows.size() * static_cast<size_t>(size));
    float* target = state.spare.data();
    for (const int64_t row : rows) {
      // What lies behind the length is never read.
      for (int64_t h = 0; h < state.row[0]; ++h) {
        std::copy_n(state.values.data() + row * size + h * head, used, target + h * head);
      }
      target += size;
    }
    state.values.swap(state.spare);
  }
  batch_ = static_cast<int64_t>(rows.size());
  wrap_states();
}

int64_t TvmSession::State::row_size() const {
  int64_t size = 1;
  for (const int64_t dim : row) size *= dim;
  return size;
}

int64_t TvmSession::size_of(std::span<const TensorView> inputs, const std::string& dim) const {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (broadcast_[i]) continue;
    const auto found = std::find(inputs_[i].dims.begin(), inputs_[i].dims.end(), dim);
    if (found != inputs_[i].dims.end()) return inputs[i].shape[static_cast<int>(found - inputs_[i].dims.begin())];
  }
  return 1;
}

void TvmSession::require_batch(int64_t batch) {
  if (batch == batch_) return;
  if (length_ > 0) {
    throw Error(Status::kInvalidArgument, "tvm: the states hold " + std::to_string(batch_) + " rows, the inputs " +
                                              std::to_string(batch) + " (reset the states first)");
  }
  for (State& state : states_) state.values.assign(static_cast<size_t>(batch * state.row_size()), 0.0f);
  batch_ = batch;
  wrap_states();
}

void TvmSession::wrap_states() {
  state_tensors_.clear();
  for (State& state : states_) {
    const anyon::Shape shape{batch_, state.row[0], state.row[1], state.row[2]};
    state_tensors_.push_back(borrow({DType::kF32, shape, state.values.data()}));
  }
}
