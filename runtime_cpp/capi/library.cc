// Version and capabilities.
#include <array>

#include "anyon/anyon.h"
#include "bundle/bundle.h"
#include "core/isa.h"
#include "program/op.h"
#ifndef ANYON_WITHOUT_GRAPH
#include "graph/op.h"
#endif

#define ANYON_TEXT_(number) #number
#define ANYON_TEXT(number) ANYON_TEXT_(number)

namespace {

const char* graph_op(size_t index) {
#ifndef ANYON_WITHOUT_GRAPH
  for (const std::span<const anyon::graph::OpRow> group : anyon::graph::all_ops()) {
    if (index < group.size()) return group[index].name;
    index -= group.size();
  }
#endif
  return nullptr;
}

const char* isa(size_t index) {
  const std::vector<anyon::Isa> isas = anyon::supported_isas();
  return index < isas.size() ? name(isas[index]) : nullptr;
}

const char* op(size_t index) {
  const std::span<const anyon::OpRow* const> ops = anyon::all_ops();
  return index < ops.size() ? ops[index]->name : nullptr;
}

const char* task(size_t index) {
  constexpr std::array tasks = {"transcribe", "translate"};
  return index < tasks.size() ? tasks[index] : nullptr;
}

}  // namespace

const char* anyon_version(void) noexcept {
  return ANYON_TEXT(ANYON_VERSION_MAJOR) "." ANYON_TEXT(ANYON_VERSION_MINOR) "." ANYON_TEXT(ANYON_VERSION_PATCH);
}

int32_t anyon_abi_version(void) noexcept {
  return ANYON_ABI_VERSION;
}

int32_t anyon_bundle_format_version(void) noexcept {
  return static_cast<int32_t>(anyon::Bundle::kFormatVersion);
}

const char* anyon_capability_name(anyon_capability kind, size_t index) noexcept {
  try {
    switch (kind) {
      case ANYON_CAPABILITY_ISA:
        return isa(index);
      case ANYON_CAPABILITY_OP:
        return op(index);
      case ANYON_CAPABILITY_GRAPH_OP:
        return graph_op(index);
      case ANYON_CAPABILITY_TASK:
        return task(index);
      default:
        return nullptr;
    }
  } catch (...) {
    return nullptr;  // no memory for the list
  }
}

const char* anyon_status_name(anyon_status status) noexcept {
  switch (status) {
#define ANYON_STATUS(code) \
  case code:               \
    return #code;
    ANYON_STATUS(ANYON_OK)
    ANYON_STATUS(ANYON_ERROR_INVALID_ARGUMENT)
    ANYON_STATUS(ANYON_ERROR_UNSUPPORTED_OPTION)
    ANYON_STATUS(ANYON_ERROR_IO)
    ANYON_STATUS(ANYON_ERROR_BAD_BUNDLE)
    ANYON_STATUS(ANYON_ERROR_UNSUPPORTED_VERSION)
    ANYON_STATUS(ANYON_ERROR_BAD_TOKENIZER)
    ANYON_STATUS(ANYON_ERROR_BAD_SIGNATURE)
    ANYON_STATUS(ANYON_ERROR_BAD_PROGRAM)
    ANYON_STATUS(ANYON_ERROR_UNSUPPORTED_OP)
    ANYON_STATUS(ANYON_ERROR_UNSUPPORTED_ISA)
    ANYON_STATUS(ANYON_ERROR_BACKEND_FAILED)
    ANYON_STATUS(ANYON_ERROR_BAD_AUDIO)
    ANYON_STATUS(ANYON_ERROR_CANCELLED)
    ANYON_STATUS(ANYON_ERROR_POISONED)
    ANYON_STATUS(ANYON_ERROR_OUT_OF_MEMORY)
    ANYON_STATUS(ANYON_ERROR_BUSY)
    ANYON_STATUS(ANYON_ERROR_INTERNAL)
#undef ANYON_STATUS
    default:
      return "unknown";
  }
}
