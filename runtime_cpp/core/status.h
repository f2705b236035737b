// One error type for the whole runtime; the C API and the bindings translate it at their border.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "core/message.h"

namespace anyon {

// Ranges by area, so that a caller can act on the area without knowing every code.
enum class Status : int32_t {
  kOk = 0,
  // 100-199: the caller's arguments
  kInvalidArgument = 100,
  kUnsupportedOption = 101,
  // 200-299: files and bundles
  kIoError = 200,
  kBadBundle = 201,
  kUnsupportedVersion = 202,
  kBadTokenizer = 203,
  kBadSignature = 204,
  // 300-399: programs and backends
  kBadProgram = 300,
  kUnsupportedOp = 301,
  kUnsupportedIsa = 302,
  kBackendFailed = 303,
  // 400-499: signals
  kBadAudio = 400,
  // 500-599: running
  kCancelled = 500,
  kPoisoned = 501,
  kOutOfMemory = 502,
  kBusy = 503,
  kInternal = 599,
};

// The message says what, where and what to try.
class Error : public std::runtime_error {
 public:
  Error(Status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

[[noreturn]] void throw_error(Status status, Parts message);

}  // namespace anyon
