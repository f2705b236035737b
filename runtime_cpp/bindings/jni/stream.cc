// Streams: transcribing while the audio comes in.
#include <memory>

#include "answer.h"
#include "methods.h"
#include "options.h"
#include "session.h"

namespace anyon::jni {

namespace {

struct Stream {
  Stream() = default;
  ~Stream() { anyon_stream_free(handle); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  anyon_stream* handle = nullptr;
  Running running;
};

Stream* stream_of(jlong handle) {
  return reinterpret_cast<Stream*>(handle);
}

jbyteArray JNICALL open_stream(JNIEnv* env, jclass, jlong session, jbyteArray options) {
  return answer(env, [&](Writer& writer) {
    auto stream = std::make_unique<Stream>();
    Reader reader(env, options);
    Lists lists;
    anyon_transcribe_params params = transcribe_params(reader, lists);
    stream->running.connect(params);
    const anyon_status status = anyon_stream_open(session_of(session)->handle, &params, &stream->handle);
    writer.outcome(status, anyon_stream_error(stream->handle));
    if (status != ANYON_OK) return;
    writer.number(reinterpret_cast<int64_t>(stream.get()));
    static_cast<void>(stream.release());
  });
}

void JNICALL free_stream(JNIEnv*, jclass, jlong handle) {
  delete stream_of(handle);
}

void JNICALL cancel_stream(JNIEnv*, jclass, jlong handle) {
  anyon_stream_cancel(stream_of(handle)->handle);
}

jbyteArray JNICALL push(JNIEnv* env, jclass, jlong handle, jfloatArray pcm, jint offset, jint length, jint rate) {
  anyon_stream* stream = stream_of(handle)->handle;
  return answer(env, [&](Writer& writer) {
    // Only the part that is pushed is copied out of the Java heap: the array may be a long ring buffer.
    std::vector<float> samples(static_cast<size_t>(length));
    env->GetFloatArrayRegion(pcm, offset, length, samples.data());
    const anyon_status status = anyon_stream_push(stream, samples.data(), samples.size(), rate);
    writer.outcome(status, anyon_stream_error(stream));
  });
}

jbyteArray JNICALL finish(JNIEnv* env, jclass, jlong handle) {
  anyon_stream* stream = stream_of(handle)->handle;
  return answer(env, [&](Writer& writer) {
    const anyon_status status = anyon_stream_finish(stream);
    writer.outcome(status, anyon_stream_error(stream));
  });
}

jbyteArray JNICALL step(JNIEnv* env, jclass, jlong handle, jobject object) {
  Stream& stream = *stream_of(handle);
  Upcalls upcalls(env, object);
  return answer(env, upcalls, [&](Writer& writer) {
    const Connected connected(stream.running, upcalls);
    anyon_step result = ANYON_STEP_NEED_AUDIO;
    const anyon_status status = anyon_stream_step(stream.handle, &result);
    writer.outcome(status, anyon_stream_error(stream.handle));
    if (status != ANYON_OK) return;
    const size_t count = anyon_stream_segment_count(stream.handle);
    writer.number(result).number(static_cast<int32_t>(count));
    for (size_t i = 0; i < count; ++i) writer.segment(*anyon_stream_segment(stream.handle, i));
  });
}

jbyteArray JNICALL preview(JNIEnv* env, jclass, jlong handle) {
  anyon_stream* stream = stream_of(handle)->handle;
  return answer(env, [&](Writer& writer) {
    const char* text = "";
    const anyon_status status = anyon_stream_preview(stream, &text);
    writer.outcome(status, anyon_stream_error(stream));
    if (status == ANYON_OK) writer.text(text);
  });
}

jbyteArray JNICALL stream_info(JNIEnv* env, jclass, jlong handle) {
  return answer(
      env, [&](Writer& writer) { writer.outcome(ANYON_OK, "").info(anyon_stream_info(stream_of(handle)->handle)); });
}

}  // namespace

std::span<const JNINativeMethod> stream_methods() {
  static const JNINativeMethod methods[] = {
      method("openStream", "(J[B)[B", open_stream),
      method("freeStream", "(J)V", free_stream),
      method("cancelStream", "(J)V", cancel_stream),
      method("push", "(J[FIII)[B", push),
      method("finish", "(J)[B", finish),
      method("step", "(JLai/anyon/Upcalls;)[B", step),
      method("preview", "(J)[B", preview),
      method("streamInfo", "(J)[B", stream_info),
  };
  return methods;
}

}  // namespace anyon::jni
