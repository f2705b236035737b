// The transcription pipeline seen from Python.
#pragma once

#include <pybind11/pybind11.h>

namespace anyon::python {

void bind_transcriber(pybind11::module_& module);

}  // namespace anyon::python
