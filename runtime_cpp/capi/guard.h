// The border of the library: no exception passes it, and every failure becomes a status and a message.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "anyon/anyon.h"
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
template <class Body>
anyon_status guarded(LastError& error, Body&& body) noexcept {
  error.clear();
  try {
    std::forward<Body>(body)();
    return ANYON_OK;
  } catch (const Error& failure) {
    error.set(failure.what());
    return static_cast<anyon_status>(failure.status());
  } catch (const std::bad_alloc&) {
    error.set("out of memory: free some, or use a smaller model or batch");
    return ANYON_ERROR_OUT_OF_MEMORY;
  } catch (const std::exception& failure) {
    error.set(failure.what());
    return ANYON_ERROR_INTERNAL;
  } catch (...) {
    error.set("an unknown exception (did a callback throw?)");
    return ANYON_ERROR_INTERNAL;
  }
}

[[noreturn]] inline void refuse(const std::string& message) {
  throw Error(Status::kInvalidArgument, message);
}

}  // namespace anyon::capi
