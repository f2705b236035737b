package ai.anyon;

/** A transcription, a stream or the loading of a model was cancelled. */
public final class AnyonCancelledException extends AnyonRunException {
    private static final long serialVersionUID = 1L;
    private static final int STATUS = 500;

    private final transient Transcript transcript;

    AnyonCancelledException(String message, Transcript transcript) {
        super(STATUS, message);
        this.transcript = transcript;
    }

    /**
     * What was final before the cancel.
     *
     * @return empty where nothing was
     */
    public Transcript getTranscript() {
        return transcript == null ? Transcript.EMPTY : transcript;
    }
}
