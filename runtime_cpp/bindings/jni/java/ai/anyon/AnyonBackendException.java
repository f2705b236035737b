package ai.anyon;

/** A program cannot be run on this machine (status 300 to 399). */
public final class AnyonBackendException extends AnyonException {
    private static final long serialVersionUID = 1L;

    AnyonBackendException(int status, String message) {
        super(status, message);
    }
}
