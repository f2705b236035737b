/* For the tests: the bytes that malloc has handed out, in all arenas and mappings. */
#include <jni.h>
#include <malloc.h>

JNIEXPORT jlong JNICALL Java_NativeMemory_inUse(JNIEnv* env, jclass type) {
  (void)env, (void)type;
  const struct mallinfo2 info = mallinfo2();
  return (jlong)(info.uordblks + info.hblkhd);
}
