// The native methods of ai.anyon.Native, one table for each kind of handle.
#pragma once

#include <jni.h>

#include <span>

namespace anyon::jni {

std::span<const JNINativeMethod> model_methods();
std::span<const JNINativeMethod> session_methods();
std::span<const JNINativeMethod> stream_methods();

template <class Function>
JNINativeMethod method(const char* name, const char* signature, Function* function) {
  // JDK and NDK disagree about const here.
  return {const_cast<char*>(name), const_cast<char*>(signature), reinterpret_cast<void*>(function)};
}

// For release callbacks, which may come from any thread.
JavaVM* java_vm();

}  // namespace anyon::jni
