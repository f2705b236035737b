package ai.anyon;

/** Running failed: out of memory, or an earlier failure (status 500 to 599). */
public class AnyonRunException extends AnyonException {
    private static final long serialVersionUID = 1L;

    AnyonRunException(int status, String message) {
        super(status, message);
    }
}
