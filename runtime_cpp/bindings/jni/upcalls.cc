#include "upcalls.h"

#include <algorithm>

#include "wire.h"

namespace anyon::jni {

namespace {

jmethodID segment_method, progress_method, loaded_method, read_method;

Running& running(void* user) {
  return *static_cast<Running*>(user);
}

}  // namespace

bool Upcalls::find(JNIEnv* env) {
  const jclass type = env->FindClass("ai/anyon/Upcalls");
  // The reference is never given back: the method ids are valid only while the class is loaded.
  if (type == nullptr || env->NewGlobalRef(type) == nullptr) return false;
  return (segment_method = env->GetMethodID(type, "segment", "([B)V")) != nullptr &&
         (progress_method = env->GetMethodID(type, "progress", "(DD)V")) != nullptr &&
         (loaded_method = env->GetMethodID(type, "loaded", "(JJ)V")) != nullptr &&
         (read_method = env->GetMethodID(type, "read", "(J[B)I")) != nullptr;
}

bool Upcalls::fine() noexcept {
  const jthrowable pending = env_->ExceptionOccurred();
  if (pending == nullptr) return true;
  env_->ExceptionClear();
  thrown_ = pending;
  return false;
}

void Upcalls::segment(const anyon_segment& segment) noexcept {
  if (object_ == nullptr || thrown_ != nullptr) return;
  jbyteArray array = nullptr;
  try {
    array = Writer().segment(segment).array(env_);
  } catch (const std::exception&) {
    const jclass type = env_->FindClass("java/lang/OutOfMemoryError");
    if (type != nullptr) env_->ThrowNew(type, "a segment for onSegment");
  }
  if (!fine()) return;
  env_->CallVoidMethod(object_, segment_method, array);
  fine();
  env_->DeleteLocalRef(array);
}

void Upcalls::progress(double seconds_done, double seconds_total) noexcept {
  if (object_ == nullptr || thrown_ != nullptr) return;
  env_->CallVoidMethod(object_, progress_method, seconds_done, seconds_total);
  fine();
}

void Upcalls::loaded(uint64_t bytes_done, uint64_t bytes_total) noexcept {
  if (object_ == nullptr || thrown_ != nullptr) return;
  env_->CallVoidMethod(object_, loaded_method, static_cast<jlong>(bytes_done), static_cast<jlong>(bytes_total));
  fine();
}

int64_t Upcalls::read(uint64_t offset, void* buffer, size_t bytes) noexcept {
  constexpr size_t kPiece = 1 << 20;  // what is copied through the Java heap at once
  if (object_ == nullptr || thrown_ != nullptr) return -1;
  const jbyteArray piece = env_->NewByteArray(static_cast<jsize>(std::min(bytes, kPiece)));
  if (!fine()) return -1;
  size_t done = 0;
  while (done < bytes) {
    // The last piece comes through a shorter array: Java fills what it is given.
    const auto wanted = static_cast<jsize>(std::min(bytes - done, kPiece));
    const jbyteArray array = wanted == env_->GetArrayLength(piece) ? piece : env_->NewByteArray(wanted);
    if (!fine()) return -1;
    const jint got = env_->CallIntMethod(object_, read_method, static_cast<jlong>(offset + done), array);
    if (!fine()) return -1;
    const jsize usable = std::clamp(static_cast<jsize>(got), 0, wanted);
    env_->GetByteArrayRegion(array, 0, usable, static_cast<jbyte*>(buffer) + done);
    if (array != piece) env_->DeleteLocalRef(array);
    done += static_cast<size_t>(usable);
    if (usable < wanted) break;
  }
  env_->DeleteLocalRef(piece);
  return static_cast<int64_t>(done);
}

void Running::connect(anyon_transcribe_params& params) {
  params.user = this;
  params.on_segment = [](void* user, const anyon_segment* segment) {
    if (running(user).upcalls != nullptr) running(user).upcalls->segment(*segment);
  };
  params.on_progress = [](void* user, double done, double total) {
    if (running(user).upcalls != nullptr) running(user).upcalls->progress(done, total);
  };
  params.should_cancel = [](void* user) -> int32_t {
    const Running& state = running(user);
    return state.cancelled.load(std::memory_order_relaxed) || (state.upcalls != nullptr && state.upcalls->failed());
  };
}

}  // namespace anyon::jni
