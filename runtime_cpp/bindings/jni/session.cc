// Sessions, and whole recordings.
#include "session.h"

#include <memory>

#include "answer.h"
#include "methods.h"
#include "options.h"

namespace anyon::jni {

namespace {

jbyteArray JNICALL create_session(JNIEnv* env, jclass, jlong model, jint threads) {
  return answer(env, [&](Writer& writer) {
    auto session = std::make_unique<Session>();
    anyon_session_params params = anyon_session_params_default();
    params.threads = threads;
    const anyon_status status =
        anyon_session_create(reinterpret_cast<const anyon_model*>(model), &params, &session->handle);
    writer.outcome(status, anyon_session_error(session->handle));
    if (status != ANYON_OK) return;
    writer.number(reinterpret_cast<int64_t>(session.get()));
    static_cast<void>(session.release());
  });
}

void JNICALL free_session(JNIEnv*, jclass, jlong handle) {
  delete session_of(handle);
}

void JNICALL cancel_session(JNIEnv*, jclass, jlong handle) {
  session_of(handle)->running.cancelled.store(true, std::memory_order_relaxed);
}

// Forgets a cancel that came too late for the transcription before.
void JNICALL rearm_session(JNIEnv*, jclass, jlong handle) {
  session_of(handle)->running.cancelled.store(false, std::memory_order_relaxed);
}

jbyteArray JNICALL transcribe(JNIEnv* env, jclass, jlong handle, jfloatArray pcm, jint sample_rate, jbyteArray options,
                              jobject object) {
  Session& session = *session_of(handle);
  Upcalls upcalls(env, object);
  return answer(env, upcalls, [&](Writer& writer) {
    Reader reader(env, options);
    Lists lists;
    anyon_transcribe_params params = transcribe_params(reader, lists);
    session.running.connect(params);
    const Samples samples(env, pcm);
    if (!samples) throw std::bad_alloc();
    const Connected connected(session.running, upcalls);
    const anyon_status status =
        anyon_session_transcribe(session.handle, samples.data(), samples.count(), sample_rate, &params);
    writer.outcome(status, anyon_session_error(session.handle));
    // After a cancel, what was final by then.
    if (status == ANYON_OK || status == ANYON_ERROR_CANCELLED) writer.transcript(session.handle);
  });
}

}  // namespace

std::span<const JNINativeMethod> session_methods() {
  static const JNINativeMethod methods[] = {
      method("createSession", "(JI)[B", create_session),
      method("freeSession", "(J)V", free_session),
      method("cancelSession", "(J)V", cancel_session),
      method("rearmSession", "(J)V", rearm_session),
      method("transcribe", "(J[FI[BLai/anyon/Upcalls;)[B", transcribe),
  };
  return methods;
}

}  // namespace anyon::jni
