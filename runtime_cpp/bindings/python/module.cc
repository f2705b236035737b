// The Python extension `anyon._native`: a thin mirror of the C++ runtime.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <bit>
#include <optional>

#include "arrays.h"
#include "bundle/bundle.h"
#include "bundle/signature.h"
#include "core/isa.h"
#include "core/threads.h"
#include "frontends/log_mel.h"
#include "frontends/resample.h"
#include "graph/op.h"
#include "loops/compression_ratio.h"
#include "program/native_session.h"
#include "sessions.h"
#include "transcriber.h"

namespace anyon::python {

namespace {

py::dict build_info() {
  py::dict info;
  info["version"] = ANYON_VERSION;
  info["compiler"] = __VERSION__;
  info["bundle_format"] = Bundle::kFormatVersion;
  return info;
}

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (const Isa isa : supported_isas()) names.emplace_back(name(isa));
  return names;
}

py::list graph_ops() {
  py::list rows;
#ifndef ANYON_WITHOUT_GRAPH
  for (const std::span<const graph::OpRow> group : graph::all_ops()) {
    for (const graph::OpRow& row : group) rows.append(py::make_tuple(row.name, row.since, row.attributes));
  }
#endif
  return rows;
}

py::list tensor_rows(const Bundle& bundle) {
  py::list rows;
  for (const BundleTensor& tensor : bundle.tensors()) {
    const std::span<const int64_t> dims = tensor.view.shape.dims();
    rows.append(py::make_tuple(tensor.name, dtype_name(tensor.view.dtype),
                               py::tuple(py::cast(std::vector<int64_t>(dims.begin(), dims.end()))),
                               tensor.view.bytes()));
  }
  return rows;
}

void bind_bundle(py::module_& module) {
  py::class_<Bundle, std::shared_ptr<Bundle>>(module, "Bundle", "A bundle file, mapped and validated; immutable.")
      .def(py::init([](const std::string& path) { return std::const_pointer_cast<Bundle>(Bundle::open(path)); }),
           py::arg("path"), py::call_guard<py::gil_scoped_release>())
      .def_static(
          "from_bytes",
          [](const py::bytes& content, const std::string& name) {
            const std::string_view view = content;
            // The bundle may be dropped by a thread without the interpreter's lock.
            const std::shared_ptr<const void> owner(content.inc_ref().ptr(), [](const void* held) {
              const py::gil_scoped_acquire acquire;
              Py_DECREF(static_cast<PyObject*>(const_cast<void*>(held)));
            });
            return std::const_pointer_cast<Bundle>(
                Bundle::from_memory(std::as_bytes(std::span(view.data(), view.size())), owner, name));
          },
          py::arg("content"), py::arg("name") = "bundle")
      .def_property_readonly("manifest", &Bundle::manifest_text)
      .def_property_readonly("file_bytes", &Bundle::file_bytes)
      .def_property_readonly("data_bytes", &Bundle::data_bytes)
      .def("tensors", &tensor_rows, "(name, dtype, shape, bytes) of every tensor.")
      .def(
          "tensor",
          [](const py::object& self, const std::string& name) {
            return array_over(self.cast<const Bundle&>().tensor(name), self, false);
          },
          py::arg("name"), "A read-only view; it keeps the bundle mapped.")
      .def(
          "verify", [](const Bundle& bundle) { bundle.verify_data(); }, py::call_guard<py::gil_scoped_release>(),
          "Compares the data with the manifest's sha256; raises when they differ.")
      .def(
          "verify_signature",
          [](const Bundle& bundle, const std::string& signature, const std::string& public_key) {
            verify_signature(bundle, signature, public_key);
          },
          py::arg("signature"), py::arg("public_key"), py::call_guard<py::gil_scoped_release>(),
          "Checks a detached signature (OpenSSF model signing) over all bytes; raises when it is not of this bundle.")
      .def_property_readonly("has_header_hash", &Bundle::has_header_hash)
      .def(
          "session",
          [](const std::shared_ptr<Bundle>& bundle, const std::string& program, std::shared_ptr<ThreadPool> pool,
             const std::optional<std::string>& isa) -> std::unique_ptr<Session> {
            return make_native_session(bundle, program, std::move(pool), isa ? parse_isa(*isa) : selected_isa());
          },
          py::arg("program"), py::arg("pool"), py::arg("isa") = py::none());
}

void bind_frontends(py::module_& module) {
  module.def(
      "log_mel",
      [](const Samples& pcm, int n_mels, ThreadPool& pool) {
        const std::span<const float> samples = samples_of(pcm, "log_mel");
        const LogMelOptions options;
        const int64_t frames = options.window_samples / LogMel::kHop;
        py::array_t<float> out({static_cast<py::ssize_t>(n_mels), static_cast<py::ssize_t>(frames)});
        float* data = out.mutable_data();
        py::gil_scoped_release release;
        LogMel(n_mels).compute(samples, frames, data, pool, options);
        return out;
      },
      py::arg("pcm"), py::arg("n_mels"), py::arg("pool"),
      "Log-mel features (n_mels, 3000) of at most 30 s of 16 kHz mono samples.");
  module.def(
      "resample",
      [](const Samples& pcm, int from_rate, int to_rate) {
        const std::vector<float> out = resample(samples_of(pcm, "resample"), from_rate, to_rate);
        return py::array_t<float>(static_cast<py::ssize_t>(out.size()), out.data());
      },
      py::arg("pcm"), py::arg("from_rate"), py::arg("to_rate"));
  module.def(
      "compression_ratio", [](const std::string& text) { return compression_ratio(text); }, py::arg("text"));
}

}  // namespace

}  // namespace anyon::python

PYBIND11_MODULE(_native, module) {
  using namespace anyon;
  using namespace anyon::python;
  static_assert(std::endian::native == std::endian::little, "bundles are little-endian");

  // The SDK turns this into its own family by the status; `status` is set on the instance.
  static PyObject* error_type = PyErr_NewException("anyon._native.AnyonNativeError", PyExc_RuntimeError, nullptr);
  module.attr("AnyonNativeError") = py::handle(error_type);
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      // A name from a file may be cut within a character.
      const std::string_view text = error.what();
      const auto message = py::reinterpret_steal<py::object>(
          PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "replace"));
      const py::object instance = py::reinterpret_borrow<py::object>(error_type)(message);
      instance.attr("status") = static_cast<int>(error.status());
      PyErr_SetObject(error_type, instance.ptr());
    }
  });

  module.def(
      "isa", [] { return std::string(name(selected_isa())); }, "The ISA in use; ANYON_ISA forces one.");
  module.def("supported_isas", &isa_names);
  module.def("build_info", &build_info);
  module.def("graph_ops", &graph_ops,
             "(ONNX op, its oldest opset, its attributes) of all that graph programs may use.");
  py::class_<ThreadPool, std::shared_ptr<ThreadPool>>(module, "ThreadPool")
      .def(py::init<int>(), py::arg("threads"))
      .def_property_readonly("size", &ThreadPool::size);
  bind_sessions(module);
  bind_bundle(module);
  bind_transcriber(module);
  bind_frontends(module);
}
