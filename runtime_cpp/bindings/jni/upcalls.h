// Calls from C++ back into Java during one native call, on the thread that made it.
#pragma once

#include <jni.h>

#include <atomic>

#include "anyon/anyon.h"

namespace anyon::jni {

// The Java object ai.anyon.Upcalls; none where the caller did not ask for callbacks. An exception that it throws is
// kept, no further call is made, and the native call ends by throwing it.
class Upcalls {
 public:
  // Looks the Java methods up, once. False: a Java exception is pending.
  static bool find(JNIEnv* env);

  Upcalls(JNIEnv* env, jobject object) : env_(env), object_(object) {}
  Upcalls(const Upcalls&) = delete;
  Upcalls& operator=(const Upcalls&) = delete;

  bool wanted() const { return object_ != nullptr; }
  bool failed() const { return thrown_ != nullptr; }
  // Throws in Java what a callback threw. True where there was something.
  bool rethrow() const { return thrown_ != nullptr && env_->Throw(thrown_) == JNI_OK; }

  void segment(const anyon_segment& segment) noexcept;
  void progress(double seconds_done, double seconds_total) noexcept;
  void loaded(uint64_t bytes_done, uint64_t bytes_total) noexcept;
  // As anyon_read_callback.
  int64_t read(uint64_t offset, void* buffer, size_t bytes) noexcept;

 private:
  // Keeps a pending exception. True where there is none.
  bool fine() noexcept;

  JNIEnv* const env_;
  const jobject object_;
  jthrowable thrown_ = nullptr;  // a local reference: it lives as long as the native call
};

// What a session's or stream's callbacks work on, for as long as the handle lives.
struct Running {
  std::atomic<bool> cancelled{false};
  Upcalls* upcalls = nullptr;  // of the call that runs now

  // Sets the callbacks that the caller wants, and the one that ends the call.
  void connect(anyon_transcribe_params& params);
};

// The upcalls of one native call on a handle.
class Connected {
 public:
  Connected(Running& running, Upcalls& upcalls) : running_(running) { running_.upcalls = &upcalls; }
  ~Connected() { running_.upcalls = nullptr; }
  Connected(const Connected&) = delete;
  Connected& operator=(const Connected&) = delete;

 private:
  Running& running_;
};

}  // namespace anyon::jni
