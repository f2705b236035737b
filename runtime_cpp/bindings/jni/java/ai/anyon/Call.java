package ai.anyon;

/** One transcription of a model: waiting for a session, then running on it. */
final class Call implements Runnable {
    /** Keeps the model from being collected while it transcribes. */
    @SuppressWarnings("unused")
    private final AnyonModel owner;

    private final ModelState state;
    private final Thread thread = Thread.currentThread();
    private long session;
    private boolean cancelled;

    Call(AnyonModel owner, ModelState state) {
        this.owner = owner;
        this.state = state;
    }

    boolean isOfThisThread() {
        return thread == Thread.currentThread();
    }

    synchronized boolean isCancelled() {
        return cancelled;
    }

    /** Cancels, from any thread. */
    @Override
    public void run() {
        synchronized (this) {
            cancelled = true;
            if (session != 0) {
                Native.cancelSession(session);
            }
        }
        state.wake();
    }

    /** From now on a cancel reaches the session. */
    synchronized void begin(long onSession) {
        Native.rearmSession(onSession);
        session = onSession;
        if (cancelled) {
            Native.cancelSession(session);
        }
    }

    /** The session may be given to another call. */
    synchronized void end() {
        session = 0;
    }
}
