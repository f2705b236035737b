// The one symbol that Java finds: it registers the native methods, so that no name has to be exported or kept.
#include "methods.h"
#include "upcalls.h"

namespace {

JavaVM* vm_of_library = nullptr;

}  // namespace

JavaVM* anyon::jni::java_vm() {
  return vm_of_library;
}

extern "C" JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM* vm, void*) {
  using namespace anyon::jni;
  JNIEnv* env = nullptr;
  if (vm->GetEnv(reinterpret_cast<void**>(&env), JNI_VERSION_1_6) != JNI_OK) return JNI_ERR;
  vm_of_library = vm;
  const jclass native = env->FindClass("ai/anyon/Native");
  if (native == nullptr || !Upcalls::find(env)) return JNI_ERR;
  for (const std::span<const JNINativeMethod> methods : {model_methods(), session_methods(), stream_methods()}) {
    if (env->RegisterNatives(native, methods.data(), static_cast<jint>(methods.size())) != JNI_OK) return JNI_ERR;
  }
  return JNI_VERSION_1_6;
}
