package ai.anyon;

/** Told how far a transcription is. */
@FunctionalInterface
public interface ProgressListener {
    /**
     * Some more is done. What this throws ends the transcription and is thrown by it.
     *
     * @param secondsDone of the recording
     * @param secondsTotal of the recording; in a stream what was pushed so far
     */
    void onProgress(double secondsDone, double secondsTotal);
}
