package android.media;

public class AudioRecord {
    public static final int READ_BLOCKING = 0;
    public static final int STATE_INITIALIZED = 1;

    public AudioRecord(int source, int sampleRate, int channels, int encoding, int bytes) {}

    public static int getMinBufferSize(int sampleRate, int channels, int encoding) {
        return 0;
    }

    public int getState() {
        return 0;
    }

    public void startRecording() {}

    public int read(float[] samples, int offset, int count, int mode) {
        return 0;
    }

    public void stop() {}

    public void release() {}
}
