// The border of the library: no exception passes it, and every failure becomes a status and a message.
#pragma once

#include <string>

#include "anyon/anyon.h"
#include "core/function_ref.h"
#include "core/status.h"

namespace anyon::capi {

// The message of a handle's last failure.
class LastError {
 public:
  const char* text() const noexcept { return fixed_ != nullptr ? fixed_ : text_.c_str(); }
  void clear() noexcept {
    fixed_ = nullptr;
    text_.clear();
  }
  void set(const char* message) noexcept {
    try {
      text_ = message;
      fixed_ = nullptr;
    } catch (...) {
      fixed_ = "out of memory, even for the message";
    }
  }

 private:
  std::string text_;
  const char* fixed_ = nullptr;  // instead of text_, where there was no memory for one
};

// Runs `body`, which may throw.
anyon_status guarded(LastError& error, FunctionRef<void()> body) noexcept;

[[noreturn]] inline void refuse(Parts message) {
  throw_error(Status::kInvalidArgument, {message});
}

}  // namespace anyon::capi
