// The programs of one bundle as TVM compiled them: bytecode from a file, machine code linked into this executable.
#pragma once

#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <string>
#include <vector>

// Immutable; each session makes a virtual machine of its own.
class TvmPrograms {
 public:
  // folder: what `anyon export --target tvm` wrote. data_sha256: of the bundle whose weights will be used.
  // Throws anyon::Error when a file is missing or belongs to another bundle.
  TvmPrograms(const std::string& folder, const std::string& data_sha256);

  // A virtual machine's function for the program. Throws anyon::Error for a program that is not there.
  tvm::ffi::Function function(const std::string& program) const;
  // Names of the bundle's tensors that the function takes after everything else.
  const std::vector<std::string>& weights(const std::string& program) const;

 private:
  struct Program {
    std::string name;
    std::vector<std::string> weights;
  };
  const Program& find(const std::string& program) const;

  tvm::ffi::Module executable_;
  std::vector<Program> programs_;
};

// How many threads products may use when the calling thread runs a program.
void use_tvm_threads(int threads);
