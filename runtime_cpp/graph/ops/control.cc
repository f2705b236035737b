// If, Loop and Scan: ops that run a block of the program.
#include <cstring>

#include "graph/map.h"
#include "graph/strided.h"

namespace anyon::graph {
namespace {

void give_all(Run& run, const std::vector<Tensor>& results) {
  for (size_t i = 0; i < results.size(); ++i) run.give(static_cast<int>(i), results[i]);
}

void if_op(Run& run) {
  const Block& block = run.attributes().block(run.integer(0) != 0 ? "then_branch" : "else_branch");
  if (block.outputs.size() < static_cast<size_t>(run.outputs())) run.fail({"a branch has too few outputs"});
  give_all(run, run.call(block, {}));
}

// Slices of equal shape, one after the other along a new axis. `reverse`: the last one first.
void stack(Run& run, int output, const std::vector<Tensor>& slices, int64_t axis, bool reverse) {
  if (slices.empty()) run.unsupported({"a scan output of a loop that never turned"});
  const Tensor& first = slices[0];
  const int rank = first.shape.rank() + 1, at = axis_of(run, axis, rank);
  std::vector<int64_t> dims(first.shape.dims().begin(), first.shape.dims().end());
  dims.insert(dims.begin() + at, static_cast<int64_t>(slices.size()));
  const Tensor y = run.make(output, first.dtype, Shape(std::span<const int64_t>(dims)));
  const AxisView view(y.shape, at);
  const int64_t row = view.inner * size_of(y.dtype);
  for (size_t i = 0; i < slices.size(); ++i) {
    if (!(slices[i].shape == first.shape) || slices[i].dtype != first.dtype) run.fail({"its slices differ in shape"});
    const auto place = static_cast<int64_t>(reverse ? slices.size() - 1 - i : i);
    for (int64_t o = 0; o < view.outer && row != 0; ++o) {
      std::memcpy(y.as<std::byte>() + (o * view.size + place) * row, slices[i].as<const std::byte>() + o * row,
                  static_cast<size_t>(row));
    }
  }
}

Tensor number(Run& run, DType dtype, int64_t value) {
  const Tensor tensor = run.scratch(DType::kI64, Shape());
  *tensor.as<int64_t>() = value;
  return run.convert(tensor, dtype);
}

void loop(Run& run) {
  const Block& body = run.attributes().block("body");
  const int64_t trips = run.has(0) ? run.integer(0) : INT64_MAX;
  bool going = !run.has(1) || run.integer(1) != 0;
  const auto carried = static_cast<size_t>(std::max(0, run.inputs() - 2));
  if (body.inputs.size() != carried + 2 || body.outputs.size() < carried + 1)
    run.fail({"its body has other inputs or outputs"});
  std::vector<std::vector<Tensor>> scans(body.outputs.size() - carried - 1);
  std::vector<Tensor> values(carried + 2);
  for (size_t i = 0; i < carried; ++i) values[i + 2] = run.input(static_cast<int>(i) + 2);
  for (int64_t trip = 0; trip < trips && going; ++trip) {
    run.count_iteration();
    values[0] = number(run, DType::kI64, trip);
    values[1] = number(run, DType::kBool, 1);
    const std::vector<Tensor> results = run.call(body, values);
    const Tensor condition = run.convert(results[0], DType::kBool);
    if (condition.elements() != 1) run.fail({"its condition is not one value"});
    going = *condition.as<const bool>();
    for (size_t i = 0; i < carried; ++i) values[i + 2] = results[i + 1];
    for (size_t i = 0; i < scans.size(); ++i) scans[i].push_back(results[carried + 1 + i]);
  }
  for (size_t i = 0; i < carried; ++i) run.give(static_cast<int>(i), values[i + 2]);
  for (size_t i = 0; i < scans.size(); ++i) {
    const auto output = static_cast<int>(carried + i);
    if (run.wants(output)) stack(run, output, scans[i], 0, false);
  }
}

// Entry `index` of an axis.
Tensor slice_at(Run& run, const Tensor& x, int axis, int64_t index) {
  std::vector<int64_t> dims(x.shape.dims().begin(), x.shape.dims().end());
  dims.erase(dims.begin() + axis);
  const Strides own = strides_of(x.shape);
  std::vector<int64_t> strides(own.begin(), own.begin() + x.shape.rank());
  strides.erase(strides.begin() + axis);
  const Tensor y = run.scratch(x.dtype, Shape(std::span<const int64_t>(dims)));
  copy_strided(x, index * own[static_cast<size_t>(axis)], strides, y);
  return y;
}

// Element i of a list attribute that may be shorter, or absent.
int64_t listed(const Run& run, const char* name, size_t i) {
  const std::span<const int64_t> list = run.attributes().integers(name);
  return i < list.size() ? list[i] : 0;
}

void scan(Run& run) {
  const Block& body = run.attributes().block("body");
  const int64_t scanned_count = run.attributes().integer("num_scan_inputs", 0);
  if (scanned_count < 1 || scanned_count > run.inputs()) run.fail({"'num_scan_inputs' does not fit its inputs"});
  const auto scanned = static_cast<size_t>(scanned_count), kept = static_cast<size_t>(run.inputs()) - scanned;
  if (body.outputs.size() < kept) run.fail({"its body has too few outputs"});
  std::vector<int> axes;
  int64_t length = -1;
  for (size_t i = 0; i < scanned; ++i) {
    const Tensor& x = run.input(static_cast<int>(kept + i));
    axes.push_back(axis_of(run, listed(run, "scan_input_axes", i), x.shape.rank()));
    if (length >= 0 && x.shape[axes.back()] != length) run.fail({"its scanned inputs differ in length"});
    length = x.shape[axes.back()];
  }
  std::vector<Tensor> values;
  for (size_t i = 0; i < kept; ++i) values.push_back(run.input(static_cast<int>(i)));
  values.resize(kept + scanned);
  std::vector<std::vector<Tensor>> slices(body.outputs.size() - kept);
  for (int64_t step = 0; step < length; ++step) {
    run.count_iteration();
    for (size_t i = 0; i < scanned; ++i) {
      const bool backwards = listed(run, "scan_input_directions", i) != 0;
      values[kept + i] =
          slice_at(run, run.input(static_cast<int>(kept + i)), axes[i], backwards ? length - 1 - step : step);
    }
    const std::vector<Tensor> results = run.call(body, values);
    for (size_t i = 0; i < kept; ++i) values[i] = results[i];
    for (size_t i = 0; i < slices.size(); ++i) slices[i].push_back(results[kept + i]);
  }
  for (size_t i = 0; i < kept; ++i) run.give(static_cast<int>(i), values[i]);
  for (size_t i = 0; i < slices.size(); ++i) {
    const auto output = static_cast<int>(kept + i);
    if (!run.wants(output)) continue;
    stack(run, output, slices[i], listed(run, "scan_output_axes", i), listed(run, "scan_output_directions", i) != 0);
  }
}

constexpr OpRow kRows[] = {
    {"If", 1, 1, 1, kAnyNumber, if_op, "then_branch else_branch"},
    {"Loop", 1, 0, kAnyNumber, kAnyNumber, loop, "body"},
    {"Scan", 9, 1, kAnyNumber, kAnyNumber, scan,
     "body num_scan_inputs scan_input_axes scan_input_directions scan_output_axes scan_output_directions"},
};

}  // namespace

extern const std::span<const OpRow> control_ops;
constinit const std::span<const OpRow> control_ops = kRows;

}  // namespace anyon::graph
