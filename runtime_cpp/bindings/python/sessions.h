// Sessions seen from Python: the native one to call, and a base class for backends written in Python.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <vector>

#include "program/session.h"

namespace anyon::python {

namespace py = pybind11;

// A backend in Python: a subclass of `Session` whose methods the C++ loops call back with the GIL held.
// Arrays that `run` returned are kept alive until the next run, so the views that loops hold stay valid.
class PythonSession : public Session {
 public:
  PythonSession(std::vector<ValueInfo> inputs, std::vector<ValueInfo> outputs)
      : inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}
  ~PythonSession() override;

  const std::vector<ValueInfo>& inputs() const override { return inputs_; }
  const std::vector<ValueInfo>& outputs() const override { return outputs_; }
  void run(std::span<const TensorView> inputs, std::span<TensorView> outputs) override;
  void reset_states() override;
  void reorder_states(std::span<const int64_t> rows) override;
  void truncate_states(int64_t length) override;
  int64_t state_length() const override;

 private:
  py::function method(const char* name) const;
  template <class F>
  auto guarded(F&& call) const;

  std::vector<ValueInfo> inputs_;
  std::vector<ValueInfo> outputs_;
  std::vector<py::object> kept_;
  bool poisoned_ = false;
};

void bind_sessions(py::module_& module);

}  // namespace anyon::python
