package ai.anyon;

import java.util.concurrent.locks.ReentrantLock;

/** A native stream and its session: one thread at a time in, and freed when the last one is out. */
final class StreamState implements Runnable {
    private final ReentrantLock turn = new ReentrantLock();
    private final Cancellation cancellation;
    private final Runnable cancel = this::cancel;

    /** Keeps the stream from being collected while it works. */
    @SuppressWarnings("unused")
    private AnyonStream busy;

    private volatile boolean closed;

    // A cancel, which does not wait for its turn, uses the handle under this object's lock; so it is freed under it.
    private long stream;
    private long session;

    StreamState(long session, TranscribeOptions options) {
        this.session = session;
        this.cancellation = options.cancellation;
        try {
            stream = Answer.of(Native.openStream(session, options.encoded)).number();
        } finally {
            if (stream == 0) {
                free();
            }
        }
        cancellation.attach(cancel);
    }

    /** Waits for the turn of this thread. Every begin has its {@link #end}. */
    long begin(AnyonStream owner) {
        if (turn.isHeldByCurrentThread()) {
            throw new IllegalStateException("a callback may only cancel or close the stream that calls it");
        }
        turn.lock();
        if (closed) {
            turn.unlock();
            throw new IllegalStateException("the stream is closed");
        }
        busy = owner;
        return stream;
    }

    void end() {
        busy = null;
        if (closed) {
            free();
        }
        turn.unlock();
    }

    synchronized void cancel() {
        if (stream != 0) {
            Native.cancelStream(stream);
        }
    }

    /** Closes. */
    @Override
    public void run() {
        closed = true;
        cancel();
        if (turn.isHeldByCurrentThread()) {
            return; // a callback: end() frees
        }
        turn.lock();
        try {
            free();
        } finally {
            turn.unlock();
        }
    }

    private void free() {
        cancellation.detach(cancel);
        synchronized (this) {
            if (stream != 0) {
                Native.freeStream(stream);
                stream = 0;
            }
            if (session != 0) {
                Native.freeSession(session);
                session = 0;
            }
        }
    }
}
