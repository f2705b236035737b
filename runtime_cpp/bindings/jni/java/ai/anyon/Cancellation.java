package ai.anyon;

import java.util.HashSet;
import java.util.Set;

/**
 * Ends the transcriptions and streams that were given it in {@link TranscribeOptions.Builder#cancellation}, within one
 * token, and every later one before it starts. Threads: any.
 */
public final class Cancellation {
    private final Set<Runnable> running = new HashSet<>();
    private boolean cancelled;

    /** Makes one that is not cancelled. */
    public Cancellation() {}

    /** Cancels. They end with {@link AnyonCancelledException}. */
    public void cancel() {
        Runnable[] now;
        synchronized (this) {
            cancelled = true;
            now = running.toArray(new Runnable[0]);
        }
        // Not under the lock: they take locks of their own, under which they may ask this one.
        for (Runnable each : now) {
            each.run();
        }
    }

    /**
     * Whether {@link #cancel} was called.
     *
     * @return it stays true
     */
    public synchronized boolean isCancelled() {
        return cancelled;
    }

    /** From now on {@code cancel} is run by a cancel, at once where there was one. */
    void attach(Runnable cancel) {
        synchronized (this) {
            running.add(cancel);
            if (!cancelled) {
                return;
            }
        }
        cancel.run();
    }

    synchronized void detach(Runnable cancel) {
        running.remove(cancel);
    }
}
