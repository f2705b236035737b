// Inputs are checked against the program's ports, outputs are kept until the next run.
#include "graph/graph_session.h"

#include <algorithm>

#include "core/status.h"
#include "program/describe.h"

namespace anyon::graph {

GraphSession::GraphSession(std::shared_ptr<const Bundle> bundle, const std::string& program,
                           std::shared_ptr<ThreadPool> pool, Isa isa, const Limits& limits)
    : program_(parse_graph_program(std::move(bundle), program)), executor_(program_, pool, isa, limits) {
  if (!pool) throw_error(Status::kInvalidArgument, {program_.where, ": a session needs a thread pool"});
  const std::vector<Isa> supported = supported_isas();
  if (std::find(supported.begin(), supported.end(), isa) == supported.end()) parse_isa(name(isa));  // throws
}

void GraphSession::run(std::span<const TensorView> inputs, std::span<TensorView> outputs) {
  if (poisoned_) {
    throw_error(Status::kPoisoned, {program_.where, ": run: an earlier run failed; call reset_states() first"});
  }
  if (inputs.size() != program_.inputs.size() || outputs.size() != program_.outputs.size()) {
    throw_error(Status::kInvalidArgument,
                {program_.where, ": run: ", inputs.size(), " inputs and room for ", outputs.size(),
                 " outputs, the program has ", program_.inputs.size(), " and ", program_.outputs.size()});
  }
  poisoned_ = true;
  results_.clear();
  results_ = executor_.run(checked(inputs));
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string what = program_.where + ": output '" + program_.output_infos[i].name + "'";
    if (!results_[i].defined) throw_error(Status::kBadProgram, {what, " was not computed"});
    if (results_[i].dtype != program_.outputs[i].dtype) {
      throw_error(Status::kBadProgram, {what, " is ", dtype_text(results_[i].dtype), ", the program declares ",
                                        dtype_text(program_.outputs[i].dtype)});
    }
    outputs[i] = results_[i];
  }
  poisoned_ = false;
}

std::vector<Tensor> GraphSession::checked(std::span<const TensorView> inputs) const {
  std::vector<int64_t> sizes(program_.symbols.size(), -1);
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ProgramPort& port = program_.inputs[i];
    const TensorView& input = inputs[i];
    const auto fail = [&](Parts problem) {
      throw_error(Status::kInvalidArgument, {program_.where, ": input '", program_.input_infos[i].name, "' ", problem});
    };
    if (input.dtype != port.dtype) {
      fail({"is ", dtype_text(input.dtype), ", needs ", dtype_text(port.dtype)});
    }
    if (static_cast<size_t>(input.shape.rank()) != port.dims.size()) {
      fail({"has shape ", shape_text(input.shape), ", needs ", port.dims.size(), " dimensions"});
    }
    for (int axis = 0; axis < input.shape.rank(); ++axis) {
      const Dim& dim = port.dims[static_cast<size_t>(axis)];
      const int64_t size = input.shape[axis];
      const std::string where = "has shape " + shape_text(input.shape) + ": axis " + std::to_string(axis);
      if (dim.symbol < 0) {
        if (size != dim.size) fail({where, " must be ", dim.size});
        continue;
      }
      const Symbol& symbol = program_.symbols[static_cast<size_t>(dim.symbol)];
      int64_t& known = sizes[static_cast<size_t>(dim.symbol)];
      if (size < symbol.min || size > symbol.max) {
        fail({where, " ('", symbol.name, "') must be ", symbol.min, " to ", symbol.max});
      }
      if (known >= 0 && known != size) {
        fail({where, " ('", symbol.name, "') is ", known, " in an input before it"});
      }
      known = size;
    }
    Tensor tensor;
    static_cast<TensorView&>(tensor) = input;
    tensor.defined = true;
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void GraphSession::reset_states() {
  executor_.clear();
  poisoned_ = false;
}

}  // namespace anyon::graph
