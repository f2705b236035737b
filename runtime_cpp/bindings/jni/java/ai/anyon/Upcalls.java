package ai.anyon;

import java.io.IOException;

/** What C++ calls, on the thread that called it. What a method throws ends the native call, which throws it again. */
class Upcalls {
    /** A segment, as {@link Answer#segment} reads it. */
    void segment(byte[] segment) {}

    void progress(double secondsDone, double secondsTotal) {}

    void loaded(long bytesDone, long bytesTotal) {}

    /** Fills the buffer from {@code offset} on and returns how many bytes there were. */
    int read(long offset, byte[] buffer) throws IOException {
        return 0;
    }
}
