// The walk over the nodes, and what ops may ask of it.
#include "graph/executor.h"

#include <unistd.h>

#include <new>

#include "core/status.h"
#include "graph/convert.h"

namespace anyon::graph {

int64_t Limits::default_memory() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  return pages > 0 && page > 0 ? pages / 2 * page : int64_t{4} << 30;
}

Executor::Executor(const GraphProgram& program, std::shared_ptr<ThreadPool> pool, Isa isa, const Limits& limits)
    : program_(program),
      pool_(std::move(pool)),
      isa_(isa),
      limits_(limits),
      memory_(limits.memory, program.bundle->allocator()) {
  slots_.resize(static_cast<size_t>(program.slots));
  for (const auto& [index, tensor] : program.weights) slot(index) = tensor;
}

std::vector<Tensor> Executor::run(std::span<const Tensor> inputs) {
  iterations_ = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    memory_.expect_extent(inputs[i].dtype, inputs[i].shape);
    slot(program_.inputs[i].value) = inputs[i];
  }
  execute(program_.main);
  std::vector<Tensor> outputs;
  for (const ProgramPort& output : program_.outputs) outputs.push_back(slot(output.value));
  clear();
  return outputs;
}

void Executor::clear() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!program_.is_weight[i]) slots_[i] = Tensor();
  }
}

std::vector<Tensor> Executor::call(const Block& block, std::span<const Tensor> inputs) {
  for (size_t i = 0; i < block.inputs.size(); ++i) slot(block.inputs[i]) = inputs[i];
  for (const int index : block.unread_inputs) slot(index) = Tensor();
  execute(block);
  std::vector<Tensor> outputs;
  for (const int index : block.outputs) outputs.push_back(slot(index));
  return outputs;
}

void Executor::execute(const Block& block) {
  for (const Node& node : block.nodes) {
    Run run(*this, node);
    try {
      for (int i = 0; i < node.row->min_inputs; ++i) run.input(i);
      node.row->run(run);
    } catch (const Error& error) {
      // A node inside a block has said already where it stands.
      const bool placed = std::string_view(error.what()).starts_with(program_.where);
      throw Error(error.status(), placed ? error.what() : node.where + ": " + error.what());
    } catch (const std::bad_alloc&) {
      throw_error(Status::kOutOfMemory, {node.where, ": out of memory; use smaller inputs"});
    }
    for (const int index : node.last_uses) slot(index) = Tensor();
  }
}

void Executor::count_iteration() {
  if (++iterations_ > limits_.iterations) {
    throw_error(Status::kBadProgram,
                {"loops turned ", limits_.iterations, " times without coming to an end; give the loop a trip count"});
  }
}

Tensor* Executor::kept_for(const Node& node, int slot) {
  return program_.is_weight[static_cast<size_t>(slot)] ? &derived_[{&node, slot}] : nullptr;
}

bool Run::has(int input) const {
  return input < inputs() && node_.inputs[static_cast<size_t>(input)] >= 0 &&
         executor_.slot(node_.inputs[static_cast<size_t>(input)]).defined;
}

bool Run::wants(int output) const {
  return output < outputs() && node_.outputs[static_cast<size_t>(output)] >= 0;
}

const Tensor& Run::input(int input) const {
  if (!has(input)) fail({"input ", input, " is missing"});
  return executor_.slot(node_.inputs[static_cast<size_t>(input)]);
}

Tensor Run::input_as(int input, DType dtype) {
  return convert(this->input(input), dtype);
}

Tensor Run::wide_input(int input) {
  const Tensor& tensor = this->input(input);
  return convert(tensor, wide(tensor.dtype));
}

std::vector<int64_t> Run::integers(int input) {
  if (!has(input)) return {};
  const Tensor tensor = input_as(input, DType::kI64);
  const auto* data = tensor.as<const int64_t>();
  return {data, data + tensor.elements()};
}

int64_t Run::integer(int input) {
  const Tensor& tensor = this->input(input);
  if (tensor.elements() != 1) fail({"input ", input, " is not one number"});
  return integers(input)[0];
}

double Run::number(int input) {
  const Tensor tensor = input_as(input, DType::kF64);
  if (tensor.elements() != 1) fail({"input ", input, " is not one number"});
  return *tensor.as<const double>();
}

int Run::opset() const {
  return executor_.program().opset;
}

Tensor Run::make(int output, DType dtype, const Shape& shape) {
  Tensor tensor = scratch(dtype, shape);
  if (wants(output)) executor_.slot(node_.outputs[static_cast<size_t>(output)]) = tensor;
  return tensor;
}

Tensor Run::scratch(DType dtype, const Shape& shape) {
  return executor_.memory().allocate(dtype, shape);
}

void Run::give(int output, const Tensor& tensor) {
  if (tensor.defined && tensor.elements() == 0) executor_.memory().expect_extent(tensor.dtype, tensor.shape);
  if (wants(output)) executor_.slot(node_.outputs[static_cast<size_t>(output)]) = tensor;
}

void Run::give(int output, const Tensor& tensor, DType dtype) {
  if (wants(output)) give(output, convert(tensor, dtype));
}

Tensor Run::convert(const Tensor& tensor, DType dtype) {
  if (tensor.dtype == dtype) return tensor;
  Tensor converted = scratch(dtype, tensor.shape);
  graph::convert(tensor, converted);
  return converted;
}

void Run::expect_room(int64_t numbers) const {
  if (numbers < 0 || numbers > executor_.memory().limit() / 8) {
    throw_error(Status::kOutOfMemory,
                {"needs room for ", numbers, " numbers, more than the memory it may use (use smaller inputs)"});
  }
}

Isa Run::isa() const {
  return executor_.isa();
}

ThreadPool& Run::pool() const {
  return executor_.pool();
}

Tensor* Run::kept_for(int input) {
  return executor_.kept_for(node_, node_.inputs[static_cast<size_t>(input)]);
}

std::vector<Tensor> Run::call(const Block& block, std::span<const Tensor> inputs) {
  if (block.inputs.size() != inputs.size()) {
    fail({"its inner graph takes ", block.inputs.size(), " inputs, gets ", inputs.size()});
  }
  return executor_.call(block, inputs);
}

uint64_t& Run::random_state() {
  return executor_.random_state();
}

void Run::count_iteration() {
  executor_.count_iteration();
}

void Run::fail(Parts problem) const {
  throw_error(Status::kBadProgram, {problem});
}

void Run::unsupported(Parts what) const {
  throw_error(Status::kUnsupportedOp, {what, " is not supported by the native backend (use backend=\"onnxruntime\")"});
}

int axis_of(const Run& run, int64_t axis, int rank) {
  const int64_t positive = axis < 0 ? axis + rank : axis;
  if (positive < 0 || positive >= rank) {
    run.fail({"axis ", axis, " is outside a value of rank ", rank});
  }
  return static_cast<int>(positive);
}

}  // namespace anyon::graph
