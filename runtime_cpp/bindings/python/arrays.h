// Between numpy arrays and TensorView, without copies where the lifetime allows it.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "core/tensor.h"

namespace anyon::python {

namespace py = pybind11;

// The numpy dtype of an element type; bfloat16, which numpy lacks, is shown as uint16.
py::dtype numpy_dtype(DType dtype);

// The element type of a numpy dtype; Error kInvalidArgument names one that is not supported.
DType dtype_of(const py::dtype& dtype);

// "f32", "i64", ... as manifests spell them.
const char* dtype_name(DType dtype);
DType parse_dtype(std::string_view name);

// A view of a C-contiguous array; Error kInvalidArgument otherwise. The array must outlive the view.
TensorView view_of(const py::array& array);

// An array over the view's memory, kept alive by `owner`.
py::array array_over(const TensorView& view, py::handle owner, bool writeable);

// An array with its own copy of the view's elements.
py::array array_copy(const TensorView& view);

// One-dimensional float32 samples; Error kInvalidArgument otherwise.
using Samples = py::array_t<float, py::array::c_style>;
std::span<const float> samples_of(const Samples& samples, const char* what);

}  // namespace anyon::python
