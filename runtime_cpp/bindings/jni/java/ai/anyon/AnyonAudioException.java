package ai.anyon;

/** What was given is not sound: samples that are not finite, a rate that changes (status 400 to 499). */
public final class AnyonAudioException extends AnyonException {
    private static final long serialVersionUID = 1L;

    AnyonAudioException(int status, String message) {
        super(status, message);
    }
}
