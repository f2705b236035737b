package ai.anyon;

import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Frees what was forgotten to be closed, some time after the garbage collector found it. In place of
 * java.lang.ref.Cleaner, which Android has only since version 13.
 */
final class NativeCleaner {
    private static final ReferenceQueue<Object> QUEUE = new ReferenceQueue<>();
    private static final Set<Registration> REGISTERED = ConcurrentHashMap.newKeySet();

    static {
        Thread thread = new Thread(NativeCleaner::run, "anyon-cleaner");
        thread.setDaemon(true);
        thread.start();
    }

    private NativeCleaner() {}

    /** Runs {@code free}, which must not refer to {@code owner}, when nothing refers to {@code owner} any more. */
    static Registration register(Object owner, Runnable free) {
        Registration registration = new Registration(owner, free);
        REGISTERED.add(registration);
        return registration;
    }

    private static void run() {
        for (;;) {
            try {
                Registration registration = (Registration) QUEUE.remove();
                registration.cancel();
                registration.free.run();
            } catch (InterruptedException | RuntimeException ignored) {
                // The thread serves everybody: it goes on.
            }
        }
    }

    static final class Registration extends PhantomReference<Object> {
        private final Runnable free;

        Registration(Object owner, Runnable free) {
            super(owner, QUEUE);
            this.free = free;
        }

        /** The owner was closed: there is nothing left to do. */
        void cancel() {
            REGISTERED.remove(this);
            clear();
        }
    }
}
