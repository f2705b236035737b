package ai.anyon;

import java.io.IOException;
import java.util.Objects;

/** How a model is loaded and how much it may use. Immutable; made by {@link #builder}. */
public final class ModelOptions {
    private static final LoadListener NONE = (done, total) -> {};
    static final ModelOptions DEFAULT = builder().build();

    final byte[] encoded;
    final int threads;
    final int sessions;
    private final LoadListener listener;

    private ModelOptions(Builder builder) {
        encoded = builder.options.toBytes();
        threads = builder.threads;
        sessions = builder.sessions;
        listener = builder.listener;
    }

    /**
     * Begins with the defaults.
     *
     * @return a builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /** What loading calls back; {@code reader} is null where the bundle does not come from one. */
    Upcalls upcalls(BundleReader reader) {
        return new Upcalls() {
            @Override
            void loaded(long bytesDone, long bytesTotal) {
                listener.onProgress(bytesDone, bytesTotal);
            }

            @Override
            int read(long offset, byte[] buffer) {
                try {
                    return reader.read(offset, buffer);
                } catch (IOException failure) {
                    throw new ReaderFailure(failure);
                }
            }
        };
    }

    /** Called while bytes are read and verified. */
    @FunctionalInterface
    public interface LoadListener {
        /**
         * Some more is done. What this throws ends loading.
         *
         * @param bytesDone so far
         * @param bytesTotal of the bundle
         */
        void onProgress(long bytesDone, long bytesTotal);
    }

    /** Carries a reader's exception through the native call, so that it is told from the caller's own. */
    static final class ReaderFailure extends RuntimeException {
        private static final long serialVersionUID = 1L;

        ReaderFailure(IOException cause) {
            super(cause);
        }

        @Override
        public synchronized IOException getCause() {
            return (IOException) super.getCause();
        }
    }

    /** Collects options. Threads: one. */
    public static final class Builder {
        private final OptionWriter options = new OptionWriter();
        private int threads;
        private int sessions;
        private LoadListener listener = NONE;

        private Builder() {}

        /**
         * Which kernels to use; without it what the environment variable ANYON_ISA names, else the fastest.
         *
         * @param isa one of {@link Anyon.Capability#ISA}
         * @return this
         */
        public Builder isa(String isa) {
            options.put("isa", isa);
            return this;
        }

        /**
         * Whether the whole file is compared with its hashes, so that damage is never text.
         *
         * @param verifyData true without this
         * @return this
         */
        public Builder verifyData(boolean verifyData) {
            options.put("verify_data", verifyData);
            return this;
        }

        /**
         * The key that the bundle's detached signature must verify with.
         *
         * @param publicKeyPem an ECDSA P-256 key; without it no signature is asked for
         * @return this
         */
        public Builder publicKeyPem(String publicKeyPem) {
            options.put("public_key_pem", publicKeyPem);
            return this;
        }

        /**
         * The content of the signature, needed where the bundle does not come from a path.
         *
         * @param signature as in {@code <bundle>.sig}
         * @return this
         */
        public Builder signature(byte[] signature) {
            options.put("signature", signature);
            return this;
        }

        /**
         * Threads that compute in each transcription, the caller's included.
         *
         * @param threads 1 to 256; 0, as without this: one for each fast core, at most 4
         * @return this
         */
        public Builder threads(int threads) {
            this.threads = threads;
            return this;
        }

        /**
         * The most transcriptions at once; more callers wait for their turn.
         *
         * @param sessions above 0; without this the number of processors
         * @return this
         */
        public Builder sessions(int sessions) {
            if (sessions < 1) {
                throw new IllegalArgumentException("sessions: " + sessions + ": expected 1 or more");
            }
            this.sessions = sessions;
            return this;
        }

        /**
         * Who is told while the bundle is read.
         *
         * @param listener called from the thread that loads
         * @return this
         */
        public Builder onProgress(LoadListener listener) {
            this.listener = Objects.requireNonNull(listener, "listener");
            return this;
        }

        /**
         * Makes the options.
         *
         * @return immutable
         */
        public ModelOptions build() {
            return new ModelOptions(this);
        }
    }
}
