package ai.anyon;

/** An argument or option is out of range, or not supported by this build or model (status 100 to 199). */
public final class AnyonArgumentException extends AnyonException {
    private static final long serialVersionUID = 1L;

    AnyonArgumentException(int status, String message) {
        super(status, message);
    }
}
