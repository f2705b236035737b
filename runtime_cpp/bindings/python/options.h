// TranscribeOptions from a Python dictionary.
#pragma once

#include <pybind11/pybind11.h>

#include "pipelines/transcribe_options.h"

namespace anyon::python {

// Every key names a field of TranscribeOptions; None empties an optional one.
// Error kUnsupportedOption names an unknown key, kInvalidArgument one whose value has the wrong type.
TranscribeOptions transcribe_options(const pybind11::dict& options);

}  // namespace anyon::python
