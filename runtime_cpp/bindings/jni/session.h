// What Java's session handle points to.
#pragma once

#include <jni.h>

#include "upcalls.h"

namespace anyon::jni {

struct Session {
  Session() = default;
  ~Session() { anyon_session_free(handle); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  anyon_session* handle = nullptr;
  Running running;
};

inline Session* session_of(jlong handle) {
  return reinterpret_cast<Session*>(handle);
}

}  // namespace anyon::jni
