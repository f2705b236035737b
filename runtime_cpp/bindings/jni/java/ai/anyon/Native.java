package ai.anyon;

import java.nio.ByteBuffer;

/** The C++ side. Handles are pointers: the callers see to it that none is used after it was freed. */
final class Native {
    static {
        String file = System.getProperty("anyon.library");
        if (file == null) {
            System.loadLibrary("anyon_jni");
        } else {
            System.load(file);
        }
    }

    private Native() {}

    // Every byte[] that is returned is an answer: see Answer.

    static native byte[] loadPath(byte[] path, byte[] options, Upcalls upcalls);

    static native byte[] loadMemory(ByteBuffer direct, byte[] options, Upcalls upcalls);

    static native byte[] loadCallback(long totalBytes, byte[] options, Upcalls upcalls);

    static native void freeModel(long model);

    static native byte[] library();

    static native byte[] capabilities(int kind);

    static native byte[] createSession(long model, int threads);

    static native void freeSession(long session);

    static native void cancelSession(long session);

    static native void rearmSession(long session);

    static native byte[] transcribe(long session, float[] pcm, int sampleRate, byte[] options, Upcalls upcalls);

    static native byte[] openStream(long session, byte[] options);

    static native void freeStream(long stream);

    static native void cancelStream(long stream);

    static native byte[] push(long stream, float[] pcm, int offset, int length, int sampleRate);

    static native byte[] finish(long stream);

    static native byte[] step(long stream, Upcalls upcalls);

    static native byte[] preview(long stream);

    static native byte[] streamInfo(long stream);
}
