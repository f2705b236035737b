#include "tvm_programs.h"

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/string.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/status.h"

namespace ffi = tvm::ffi;
using anyon::Error;
using anyon::Status;

namespace {

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) {
    throw Error(Status::kIoError, path + ": cannot be read (make the folder with `anyon export --target tvm`)");
  }
  return content.str();
}

ffi::Function global(const char* name) {
  const std::optional<ffi::Function> found = ffi::Function::GetGlobal(name);
  if (!found) {
    throw Error(Status::kBackendFailed, std::string("TVM's runtime has no ") + name + " (link libtvm_runtime)");
  }
  return *found;
}

ffi::Module load_bytecode(const std::string& path) {
  return global("ffi.Module.load_from_bytes.relax.VMExecutable")(ffi::Bytes(read(path))).cast<ffi::Module>();
}

}  // namespace

TvmPrograms::TvmPrograms(const std::string& folder, const std::string& data_sha256)
    : executable_(load_bytecode(folder + "/programs.vm")) {
  const std::string path = folder + "/tvm.json";
  std::string prefix;
  try {
    const nlohmann::json description = nlohmann::json::parse(read(path));
    if (description.at("data_sha256") != data_sha256) {
      throw Error(Status::kBadBundle, path + ": was made from another bundle (export this one to TVM again)");
    }
    prefix = description.at("system_prefix");
    for (const auto& [name, section] : description.at("programs").items()) {
      programs_.push_back({name, section.at("weights").get<std::vector<std::string>>()});
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error(Status::kBadBundle, path + ": " + error.what() + " (export the bundle to TVM again)");
  }
  // The linked code has registered its functions under the prefix before main().
  executable_->ImportModule(global("ffi.SystemLib")(ffi::String(prefix)).cast<ffi::Module>());
}

const TvmPrograms::Program& TvmPrograms::find(const std::string& program) const {
  for (const Program& found : programs_) {
    if (found.name == program) return found;
  }
  throw Error(Status::kBadProgram, "tvm.json has no program '" + program + "' (export the bundle to TVM again)");
}

const std::vector<std::string>& TvmPrograms::weights(const std::string& program) const {
  return find(program).weights;
}

ffi::Function TvmPrograms::function(const std::string& program) const {
  constexpr int kPooled = 2;
  const ffi::Module machine = executable_->GetFunction("vm_load_executable").value()().cast<ffi::Module>();
  machine->GetFunction("vm_initialization").value()(static_cast<int>(kDLCPU), 0, kPooled);
  const ffi::Optional<ffi::Function> function = machine->GetFunction(find(program).name);
  if (!function.has_value()) {
    throw Error(Status::kBadProgram, "programs.vm has no program '" + program + "' (export the bundle to TVM again)");
  }
  return function.value();
}

void use_tvm_threads(int threads) {
  constexpr int kAllCores = 1;
  static const bool settings = [threads] {
    // TVM reads both when a thread first uses its workers; it would bind them, and the caller, to fixed cores.
    setenv("TVM_BIND_THREADS", "0", 0);
    setenv("TVM_NUM_THREADS", std::to_string(threads).c_str(), 0);
    return true;
  }();
  static_cast<void>(settings);
  global("runtime.config_threadpool")(kAllCores, threads);
}
