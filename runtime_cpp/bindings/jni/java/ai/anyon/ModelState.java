package ai.anyon;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * A native model with the sessions that transcriptions take turns on. It does not refer to its AnyonModel, but through
 * calls that run, so that a model which nobody uses can be collected.
 */
final class ModelState implements Runnable {
    private static final String CLOSED = "the model is closed";

    private final int threads;
    private final int limit;
    private final Deque<Long> idle = new ArrayDeque<>();
    private final Set<Call> calls = new HashSet<>();
    private long model;
    private int lent;
    private boolean closed;

    ModelState(long model, ModelOptions options) {
        this.model = model;
        this.threads = options.threads;
        this.limit = options.sessions > 0 ? options.sessions : Runtime.getRuntime().availableProcessors();
    }

    Transcript transcribe(AnyonModel owner, float[] pcm, int sampleRate, TranscribeOptions options) {
        Call call = enter(owner);
        options.cancellation.attach(call);
        try {
            long session = borrow(call);
            try {
                call.begin(session);
                return Answer.of(Native.transcribe(session, pcm, sampleRate, options.encoded, options.upcalls()))
                        .transcript();
            } finally {
                call.end();
                giveBack(session);
            }
        } finally {
            options.cancellation.detach(call);
            leave(call);
        }
    }

    /** A session of its own for a stream, which frees it. */
    long sessionForStream(AnyonModel owner) {
        Call call = enter(owner);
        try {
            return createSession();
        } finally {
            leave(call);
        }
    }

    /** Cancels what waits and what runs. */
    void cancel() {
        for (Call call : calls()) {
            call.run();
        }
    }

    synchronized boolean isClosed() {
        return closed;
    }

    synchronized void wake() {
        notifyAll();
    }

    /** Frees the sessions that nobody uses now. */
    void trim() {
        List<Long> unused;
        synchronized (this) {
            unused = new ArrayList<>(idle);
            idle.clear();
        }
        unused.forEach(Native::freeSession);
    }

    /** Ends what runs, waits for it, and frees. A callback does not wait for the transcription that calls it. */
    void close() {
        synchronized (this) {
            closed = true;
        }
        cancel();
        boolean interrupted = false;
        synchronized (this) {
            while (!calls.isEmpty() && calls.stream().noneMatch(Call::isOfThisThread)) {
                try {
                    wait();
                } catch (InterruptedException later) {
                    interrupted = true;
                }
            }
            freeWhenUnused();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** For the cleaner. */
    @Override
    public void run() {
        close();
    }

    private synchronized List<Call> calls() {
        return new ArrayList<>(calls);
    }

    private synchronized Call enter(AnyonModel owner) {
        if (closed) {
            throw new IllegalStateException(CLOSED);
        }
        Call call = new Call(owner, this);
        calls.add(call);
        return call;
    }

    private synchronized void leave(Call call) {
        calls.remove(call);
        freeWhenUnused();
        notifyAll();
    }

    /** Called under the lock. The model is freed by whoever leaves last, so never under somebody. */
    private void freeWhenUnused() {
        if (closed && calls.isEmpty() && model != 0) {
            idle.forEach(Native::freeSession);
            idle.clear();
            Native.freeModel(model);
            model = 0;
        }
    }

    private long borrow(Call call) {
        synchronized (this) {
            for (;;) {
                if (closed || call.isCancelled()) {
                    throw new AnyonCancelledException("transcribe: cancelled before it began", Transcript.EMPTY);
                }
                if (!idle.isEmpty()) {
                    ++lent;
                    return idle.pop();
                }
                if (lent < limit) {
                    ++lent;
                    break;
                }
                await();
            }
        }
        long session = 0;
        try {
            session = createSession();
            return session;
        } finally {
            if (session == 0) {
                lendAgain();
            }
        }
    }

    private void await() {
        try {
            wait();
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
            throw new AnyonCancelledException(
                    "transcribe: interrupted while it waited for a session", Transcript.EMPTY);
        }
    }

    /** The caller is among `calls`, so the model stays. */
    private long createSession() {
        return Answer.of(Native.createSession(model, threads)).number();
    }

    private synchronized void giveBack(long session) {
        idle.push(session);
        lendAgain();
    }

    private synchronized void lendAgain() {
        --lent;
        notifyAll();
    }
}
