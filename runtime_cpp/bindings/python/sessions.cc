#include "sessions.h"
#include "core/status.h"

#include <pybind11/stl.h>

#include <tuple>

#include "arrays.h"
#include "program/native_session.h"

namespace anyon::python {

namespace {

using ValueTuple = std::tuple<std::string, std::string, std::vector<std::string>>;

std::vector<ValueInfo> value_infos(const std::vector<ValueTuple>& tuples) {
  std::vector<ValueInfo> infos;
  for (const auto& [name, dtype, dims] : tuples) infos.push_back({name, parse_dtype(dtype), dims});
  return infos;
}

std::vector<ValueTuple> value_tuples(const std::vector<ValueInfo>& infos) {
  std::vector<ValueTuple> tuples;
  for (const ValueInfo& info : infos) tuples.emplace_back(info.name, dtype_name(info.dtype), info.dims);
  return tuples;
}

std::vector<py::array> run_with_arrays(Session& session, const std::vector<py::array>& inputs) {
  if (inputs.size() != session.inputs().size()) {
    throw_error(Status::kInvalidArgument, {"run: expected ", session.inputs().size(), " inputs, got ", inputs.size(),
                                           ": see Session.inputs for their order"});
  }
  std::vector<TensorView> input_views;
  for (size_t i = 0; i < inputs.size(); ++i) {
    input_views.push_back(view_of(inputs[i]));
    // numpy has no bfloat16; its bits come as uint16.
    DType& dtype = input_views.back().dtype;
    if (dtype == DType::kU16 && session.inputs()[i].dtype == DType::kBF16) dtype = DType::kBF16;
  }
  std::vector<TensorView> output_views(session.outputs().size());
  {
    py::gil_scoped_release release;
    session.run(input_views, output_views);
  }
  std::vector<py::array> outputs;
  for (const TensorView& view : output_views) outputs.push_back(array_copy(view));
  return outputs;
}

py::list take_events(NativeSession& session) {
  py::list events;
  for (const OpEvent& event : session.events()) {
    const ProgramOp& op = session.program().ops[static_cast<size_t>(event.op)];
    std::string where = op.name;
    for (size_t i = 0; where.empty() && i < op.inputs.size(); ++i) {
      if (op.inputs[i] < 0) continue;
      const Value& value = session.program().values[static_cast<size_t>(op.inputs[i])];
      if (value.kind == ValueKind::kWeight) where = value.name;
    }
    events.append(py::make_tuple(op.row->name, where, event.begin_ns, event.end_ns));
  }
  session.clear_events();
  return events;
}

}  // namespace

PythonSession::~PythonSession() {
  py::gil_scoped_acquire acquire;
  kept_.clear();
}

py::function PythonSession::method(const char* name) const {
  py::function function = py::get_override(static_cast<const Session*>(this), name);
  if (!function) throw_error(Status::kBackendFailed, {"Session.", name, ": the backend lacks this method"});
  return function;
}

// Interrupts pass through as they are; every other Python exception becomes an Error of the backend.
template <class F>
auto PythonSession::guarded(F&& call) const {
  py::gil_scoped_acquire acquire;
  try {
    return call();
  } catch (py::error_already_set& error) {
    if (error.matches(PyExc_KeyboardInterrupt)) throw;
    throw_error(Status::kBackendFailed, {"backend: ", error.what()});
  } catch (const py::cast_error& error) {
    throw_error(Status::kBackendFailed, {"backend: returned a value of the wrong type: ", error.what()});
  }
}

void PythonSession::run(std::span<const TensorView> inputs, std::span<TensorView> outputs) {
  if (poisoned_) throw_error(Status::kPoisoned, {"run: this session failed before: call reset_states() first"});
  poisoned_ = true;
  guarded([&] {
    py::list arguments;
    // The views outlive the call, so the arrays need no owner; a capsule keeps numpy from copying.
    const py::capsule owner(this, [](void*) {});
    for (const TensorView& view : inputs) arguments.append(array_over(view, owner, false));
    const py::list results = method("run")(arguments);
    if (results.size() != outputs_.size()) {
      throw_error(Status::kBackendFailed,
                  {"run: the backend returned ", results.size(), " outputs, the program has ", outputs_.size()});
    }
    std::vector<py::object> kept;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const py::array array = py::array::ensure(results[i], py::array::c_style);
      if (!array) throw_error(Status::kBackendFailed, {"run: output '", outputs_[i].name, "' is not an array"});
      const TensorView view = view_of(array);
      if (view.dtype != outputs_[i].dtype || view.shape.rank() != static_cast<int>(outputs_[i].dims.size())) {
        throw_error(Status::kBackendFailed,
                    {"run: output '", outputs_[i].name, "' has the wrong dtype or number of dimensions"});
      }
      outputs[i] = view;
      kept.push_back(array);
    }
    kept_ = std::move(kept);
  });
  poisoned_ = false;
}

void PythonSession::reset_states() {
  guarded([&] { method("reset_states")(); });
  poisoned_ = false;
}

void PythonSession::reorder_states(std::span<const int64_t> rows) {
  guarded([&] { method("reorder_states")(std::vector<int64_t>(rows.begin(), rows.end())); });
}

void PythonSession::truncate_states(int64_t length) {
  guarded([&] { method("truncate_states")(length); });
}

int64_t PythonSession::state_length() const {
  return guarded([&] { return method("state_length")().cast<int64_t>(); });
}

void bind_sessions(py::module_& module) {
  py::class_<Session, PythonSession>(module, "Session",
                                     "One program on one backend, with its own states; used by one thread at a time.")
      .def(py::init([](const std::vector<ValueTuple>& inputs, const std::vector<ValueTuple>& outputs) {
             return std::make_unique<PythonSession>(value_infos(inputs), value_infos(outputs));
           }),
           py::arg("inputs"), py::arg("outputs"))
      .def_property_readonly("inputs", [](const Session& session) { return value_tuples(session.inputs()); })
      .def_property_readonly("outputs", [](const Session& session) { return value_tuples(session.outputs()); })
      .def("run", &run_with_arrays, py::arg("inputs"), "Runs once; returns copies of the outputs.")
      .def("reset_states", &Session::reset_states)
      .def(
          "reorder_states", [](Session& session, const std::vector<int64_t>& rows) { session.reorder_states(rows); },
          py::arg("rows"))
      .def("truncate_states", &Session::truncate_states, py::arg("length"))
      .def("state_length", &Session::state_length);
  py::class_<NativeSession, Session>(module, "NativeSession", "A program on the native backend.")
      .def("set_profiling", &NativeSession::set_profiling, py::arg("on"),
           "While on, every op of every run leaves an event.")
      .def("take_events", &take_events,
           "(op, where in the model, begin and end in nanoseconds) of every event so far.");
}

}  // namespace anyon::python
