// Kernels of every ISA against the scalar ones: the first byte names the family, the rest is its shape and data.
#include "kernel_cases.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace anyon::fuzzing;
  static anyon::ThreadPool pool(1);
  static const std::vector<void (*)(Choices&, anyon::ThreadPool&)> cases = {
      linear_case,  linear_i8_case,  linear_i4_case, attention_case, attention_i8_case, conv1d_case,
      softmax_case, layer_norm_case, unary_case,     binary_case,    half_case};
  Choices choices(data, size);
  cases[choices.byte() % cases.size()](choices, pool);
  return 0;
}
