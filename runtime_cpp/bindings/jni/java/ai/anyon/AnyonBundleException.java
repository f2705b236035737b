package ai.anyon;

/** A bundle cannot be read, is damaged, or needs a newer library (status 200 to 299). */
public final class AnyonBundleException extends AnyonException {
    private static final long serialVersionUID = 1L;

    AnyonBundleException(int status, String message) {
        super(status, message);
    }
}
