// The border to Java: no C++ exception passes it. An answer is a status, then its message, then what was asked for.
#pragma once

#include <new>
#include <stdexcept>

#include "upcalls.h"
#include "wire.h"

namespace anyon::jni {

inline jbyteArray failure(JNIEnv* env, anyon_status status, const char* message) noexcept {
  if (env->ExceptionCheck()) return nullptr;  // Java's own, such as an OutOfMemoryError, says more
  try {
    return Writer().outcome(status, message).array(env);
  } catch (...) {
    const jclass type = env->FindClass("java/lang/OutOfMemoryError");
    if (type != nullptr) env->ThrowNew(type, message);
    return nullptr;
  }
}

// `body(writer)` writes the whole answer. NULL with an exception pending where a callback threw one.
template <class Body>
jbyteArray answer(JNIEnv* env, const Upcalls& upcalls, Body&& body) noexcept {
  try {
    Writer writer;
    body(writer);
    return upcalls.rethrow() ? nullptr : writer.array(env);
  } catch (const std::bad_alloc&) {
    return failure(env, ANYON_ERROR_OUT_OF_MEMORY, "out of memory: free some, or use a smaller model");
  } catch (const std::logic_error& error) {
    return failure(env, ANYON_ERROR_INVALID_ARGUMENT, error.what());
  } catch (const std::exception& error) {
    return failure(env, ANYON_ERROR_INTERNAL, error.what());
  } catch (...) {
    return failure(env, ANYON_ERROR_INTERNAL, "an unknown exception");
  }
}

template <class Body>
jbyteArray answer(JNIEnv* env, Body&& body) noexcept {
  return answer(env, Upcalls(env, nullptr), static_cast<Body&&>(body));
}

// The samples of a Java array, for reading; empty, with an exception pending, where they cannot be had.
class Samples {
 public:
  Samples(JNIEnv* env, jfloatArray array)
      : env_(env),
        array_(array),
        data_(env->GetFloatArrayElements(array, nullptr)),
        count_(data_ == nullptr ? 0 : static_cast<size_t>(env->GetArrayLength(array))) {}
  ~Samples() {
    if (data_ != nullptr) env_->ReleaseFloatArrayElements(array_, data_, JNI_ABORT);
  }
  Samples(const Samples&) = delete;
  Samples& operator=(const Samples&) = delete;

  explicit operator bool() const { return data_ != nullptr; }
  const float* data() const { return data_; }
  size_t count() const { return count_; }

 private:
  JNIEnv* const env_;
  const jfloatArray array_;
  jfloat* const data_;
  const size_t count_;
};

}  // namespace anyon::jni
