package ai.anyon;

/**
 * The library could not do what was asked. The message says what, where, and what to try. The subclasses tell the areas
 * apart; {@link #getStatus} tells the exact code.
 */
public class AnyonException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    static final int INVALID_ARGUMENT = 100;

    /** As in the C API. */
    private final int status;

    AnyonException(int status, String message) {
        super(message);
        this.status = status;
    }

    /**
     * The code of the C API.
     *
     * @return one of the {@code ANYON_ERROR_*} values of {@code anyon/anyon.h}; new ones may appear
     */
    public int getStatus() {
        return status;
    }

    static AnyonException of(int status, String message) {
        switch (status / 100) {
            case 1:
                return new AnyonArgumentException(status, message);
            case 2:
                return new AnyonBundleException(status, message);
            case 3:
                return new AnyonBackendException(status, message);
            case 4:
                return new AnyonAudioException(status, message);
            case 5:
                return new AnyonRunException(status, message);
            default:
                return new AnyonException(status, message);
        }
    }
}
