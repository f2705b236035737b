// Loading models, and what the library says about itself.
#include <memory>

#include "answer.h"
#include "methods.h"
#include "options.h"

namespace anyon::jni {

namespace {

anyon_model* model_of(jlong handle) {
  return reinterpret_cast<anyon_model*>(handle);
}

// The handle and the facts of a model that was loaded; a failed one is freed.
void describe(Writer& writer, anyon_status status, anyon_model* loaded) {
  std::unique_ptr<anyon_model, decltype(&anyon_model_free)> model(loaded, anyon_model_free);
  writer.outcome(status, anyon_model_error(model.get()));
  if (status != ANYON_OK) return;
  writer.number(static_cast<int64_t>(anyon_model_bytes(model.get()))).number(anyon_model_sample_rate(model.get()));
  writer.text(anyon_model_isa(model.get())).text(anyon_model_manifest(model.get()));
  for (const char* field : {"name", "family", "task", "recipe", "licence"}) {
    writer.text(anyon_model_text(model.get(), field));
  }
  int32_t languages = 0;
  while (anyon_model_language(model.get(), static_cast<size_t>(languages)) != nullptr) ++languages;
  writer.number(languages);
  for (int32_t i = 0; i < languages; ++i) writer.text(anyon_model_language(model.get(), static_cast<size_t>(i)));
  // Last, so that nothing throws once Java owns it.
  writer.number(reinterpret_cast<int64_t>(model.get()));
  static_cast<void>(model.release());
}

// Loads with what `open(params, model)` opens.
template <class Open>
jbyteArray load(JNIEnv* env, jbyteArray options, jobject object, Open&& open) {
  Upcalls upcalls(env, object);
  return answer(env, upcalls, [&](Writer& writer) {
    Reader reader(env, options);
    Lists lists;
    anyon_model_params params = model_params(reader, lists);
    params.progress_user = &upcalls;
    params.progress = [](void* user, uint64_t done, uint64_t total) -> int32_t {
      auto& calls = *static_cast<Upcalls*>(user);
      calls.loaded(done, total);
      return calls.failed();
    };
    anyon_model* model = nullptr;
    const anyon_status status = open(upcalls, params, &model);
    if (upcalls.failed()) return anyon_model_free(model);
    describe(writer, status, model);
  });
}

jbyteArray JNICALL load_path(JNIEnv* env, jclass, jbyteArray path, jbyteArray options, jobject object) {
  return load(env, options, object, [&](Upcalls&, const anyon_model_params& params, anyon_model** model) {
    Reader reader(env, path);
    return anyon_model_load(reader.text(), &params, model);
  });
}

// Java's buffer stays reachable until the last handle is freed.
void release_buffer(void* user) {
  JNIEnv* env = nullptr;
  const bool attached = java_vm()->GetEnv(reinterpret_cast<void**>(&env), JNI_VERSION_1_6) == JNI_OK;
#ifdef __ANDROID__
  JNIEnv** const slot = &env;
#else
  void** const slot = reinterpret_cast<void**>(&env);
#endif
  if (!attached && java_vm()->AttachCurrentThreadAsDaemon(slot, nullptr) != JNI_OK) return;
  env->DeleteGlobalRef(static_cast<jobject>(user));
  if (!attached) java_vm()->DetachCurrentThread();
}

jbyteArray JNICALL load_memory(JNIEnv* env, jclass, jobject buffer, jbyteArray options, jobject object) {
  return load(env, options, object, [&](Upcalls&, const anyon_model_params& params, anyon_model** model) {
    const void* data = env->GetDirectBufferAddress(buffer);
    if (data == nullptr) throw std::invalid_argument("buffer: this machine gives no access to it: load from a path");
    const jobject kept = env->NewGlobalRef(buffer);
    if (kept == nullptr) throw std::bad_alloc();
    const auto bytes = static_cast<size_t>(env->GetDirectBufferCapacity(buffer));
    return anyon_model_load_memory(data, bytes, release_buffer, kept, &params, model);
  });
}

jbyteArray JNICALL load_callback(JNIEnv* env, jclass, jlong total_bytes, jbyteArray options, jobject object) {
  return load(env, options, object, [&](Upcalls& upcalls, const anyon_model_params& params, anyon_model** model) {
    const anyon_read_callback read = [](void* user, uint64_t offset, void* to, size_t bytes) {
      return static_cast<Upcalls*>(user)->read(offset, to, bytes);
    };
    return anyon_model_load_callback(read, &upcalls, static_cast<uint64_t>(total_bytes), &params, model);
  });
}

void JNICALL free_model(JNIEnv*, jclass, jlong handle) {
  anyon_model_free(model_of(handle));
}

jbyteArray JNICALL library(JNIEnv* env, jclass) {
  return answer(env, [](Writer& writer) {
    writer.outcome(ANYON_OK, "").text(anyon_version());
    writer.number(anyon_abi_version()).number(anyon_bundle_format_version());
  });
}

jbyteArray JNICALL capabilities(JNIEnv* env, jclass, jint kind) {
  return answer(env, [&](Writer& writer) {
    writer.outcome(ANYON_OK, "");
    int32_t count = 0;
    while (anyon_capability_name(kind, static_cast<size_t>(count)) != nullptr) ++count;
    writer.number(count);
    for (int32_t i = 0; i < count; ++i) writer.text(anyon_capability_name(kind, static_cast<size_t>(i)));
  });
}

}  // namespace

std::span<const JNINativeMethod> model_methods() {
  static const JNINativeMethod methods[] = {
      method("loadPath", "([B[BLai/anyon/Upcalls;)[B", load_path),
      method("loadMemory", "(Ljava/nio/ByteBuffer;[BLai/anyon/Upcalls;)[B", load_memory),
      method("loadCallback", "(J[BLai/anyon/Upcalls;)[B", load_callback),
      method("freeModel", "(J)V", free_model),
      method("library", "()[B", library),
      method("capabilities", "(I)[B", capabilities),
  };
  return methods;
}

}  // namespace anyon::jni
