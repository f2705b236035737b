// What ops ask and say while a plan is made.
#include "core/checked.h"
#include "core/status.h"
#include "program/describe.h"
#include "program/op.h"
#include "program/plan.h"

namespace anyon {

int InferContext::inputs() const {
  return static_cast<int>(op_.inputs.size());
}

bool InferContext::has(int input) const {
  return op_.inputs[static_cast<size_t>(input)] >= 0;
}

const Shape& InferContext::shape(int input) const {
  return plan_.values[static_cast<size_t>(op_.inputs[static_cast<size_t>(input)])].shape;
}

DType InferContext::dtype(int input) const {
  return plan_.values[static_cast<size_t>(op_.inputs[static_cast<size_t>(input)])].dtype;
}

const TensorView* InferContext::constant(int input) const {
  const Value& value = program_.values[static_cast<size_t>(op_.inputs[static_cast<size_t>(input)])];
  return value.kind == ValueKind::kWeight ? &value.weight : nullptr;
}

void InferContext::expect(int input, DType wanted, int rank) const {
  if (dtype(input) != wanted || (rank >= 0 && shape(input).rank() != rank)) {
    const Value& value = program_.values[static_cast<size_t>(op_.inputs[static_cast<size_t>(input)])];
    fail({"input '", value.name, "' is ", dtype_text(dtype(input)), " ", shape_text(shape(input)), ", needs ",
          dtype_text(wanted), (rank >= 0 ? " of rank " + std::to_string(rank) : "")});
  }
}

void InferContext::expect_shape(int input, const Shape& wanted) const {
  if (shape(input) != wanted) {
    const Value& value = program_.values[static_cast<size_t>(op_.inputs[static_cast<size_t>(input)])];
    fail({"input '", value.name, "' is ", shape_text(shape(input)), ", needs ", shape_text(wanted)});
  }
}

void InferContext::output(int output, DType dtype, const Shape& shape) {
  int64_t bytes = 0;
  if (!checked_bytes(shape, dtype, &bytes)) fail({"output ", shape_text(shape), " is too large to address"});
  TensorView& value = plan_.values[static_cast<size_t>(op_.outputs[static_cast<size_t>(output)])];
  value.dtype = dtype;
  value.shape = shape;
}

void InferContext::workspace(int64_t bytes) {
  if (bytes < 0) fail({"needs more scratch memory than can be addressed"});
  plan_.workspace_bytes[static_cast<size_t>(op_.index)] = bytes;
}

void InferContext::append(int state, int64_t batch, int64_t positions) {
  if (batch != plan_.batch) {
    fail({"appends ", batch, " rows to a state of batch ", plan_.batch});
  }
  plan_.appended[static_cast<size_t>(state)] = positions;
}

void InferContext::fail(Parts problem) const {
  throw_error(Status::kBadProgram, {program_.where, ": op ", op_.index, " (", op_.row->name,
                                    (op_.name.empty() ? "" : " '" + op_.name + "'"), "): ", problem});
}

}  // namespace anyon
