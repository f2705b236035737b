#include "arrays.h"
#include "core/status.h"

#include <string>
#include <vector>

namespace anyon::python {

namespace {

struct DTypeRow {
  DType dtype;
  const char* name;
  const char* numpy;  // numpy's own spelling: kind and bytes
};

constexpr DTypeRow kDTypes[] = {
    {DType::kF32, "f32", "f4"},  {DType::kF16, "f16", "f2"}, {DType::kBF16, "bf16", "u2"}, {DType::kF64, "f64", "f8"},
    {DType::kI8, "i8", "i1"},    {DType::kU8, "u8", "u1"},   {DType::kI16, "i16", "i2"},   {DType::kU16, "u16", "u2"},
    {DType::kI32, "i32", "i4"},  {DType::kU32, "u32", "u4"}, {DType::kI64, "i64", "i8"},   {DType::kU64, "u64", "u8"},
    {DType::kBool, "bool", "?"},
};

std::vector<py::ssize_t> numpy_shape(const TensorView& view) {
  return {view.shape.dims().begin(), view.shape.dims().end()};
}

}  // namespace

py::dtype numpy_dtype(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) return py::dtype(row.numpy);
  }
  throw_error(Status::kInternal, {"numpy_dtype: an element type without a row"});
}

DType dtype_of(const py::dtype& dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype != DType::kBF16 && dtype.is(py::dtype(row.numpy))) return row.dtype;
  }
  throw_error(Status::kInvalidArgument, {"array: dtype ", py::str(dtype).cast<std::string>(),
                                         " is not supported: convert it with numpy's astype first"});
}

const char* dtype_name(DType dtype) {
  for (const DTypeRow& row : kDTypes) {
    if (row.dtype == dtype) return row.name;
  }
  return "?";
}

DType parse_dtype(std::string_view name) {
  for (const DTypeRow& row : kDTypes) {
    if (name == row.name) return row.dtype;
  }
  throw_error(Status::kInvalidArgument, {"dtype: '", name, "' is unknown: use f32, i64, ..."});
}

TensorView view_of(const py::array& array) {
  if (!(array.flags() & py::array::c_style)) {
    throw_error(Status::kInvalidArgument, {"array: not C-contiguous: pass numpy.ascontiguousarray(array)"});
  }
  if (array.ndim() > Shape::kMaxRank) {
    throw_error(Status::kInvalidArgument, {"array: more than 8 dimensions are not supported"});
  }
  TensorView view;
  view.dtype = dtype_of(array.dtype());
  std::vector<int64_t> dims(array.shape(), array.shape() + array.ndim());
  view.shape = Shape(std::span<const int64_t>(dims));
  view.data = const_cast<void*>(array.data());
  return view;
}

py::array array_over(const TensorView& view, py::handle owner, bool writeable) {
  py::array array(numpy_dtype(view.dtype), numpy_shape(view), view.data, owner);
  if (!writeable) array.attr("flags").attr("writeable") = false;
  return array;
}

py::array array_copy(const TensorView& view) {
  return py::array(numpy_dtype(view.dtype), numpy_shape(view), view.data);
}

std::span<const float> samples_of(const Samples& samples, const char* what) {
  if (samples.ndim() != 1) {
    throw_error(Status::kInvalidArgument, {what, ": expected one-dimensional mono samples, got ", samples.ndim(),
                                           " dimensions: average the channels first"});
  }
  return {samples.data(), static_cast<size_t>(samples.shape(0))};
}

}  // namespace anyon::python
