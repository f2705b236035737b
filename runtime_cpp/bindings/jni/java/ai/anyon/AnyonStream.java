package ai.anyon;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * Transcribes while the audio comes in. Memory does not grow with the recording. Calls from several threads take turns;
 * {@link #cancel} and {@link #close} may be called at any time from any thread, and from callbacks, which may call
 * nothing else of their stream.
 *
 * <pre>{@code
 * try (AnyonStream stream = model.openStream()) {
 *     while (microphone.read(samples)) {
 *         stream.push(samples, 16000);
 *         stream.drain().forEach(segment -> show(segment.getText()));
 *         showGrey(stream.preview());
 *     }
 *     stream.finish();
 *     stream.drain().forEach(segment -> show(segment.getText()));
 * }
 * }</pre>
 */
public final class AnyonStream implements AutoCloseable {
    private final StreamState state;
    private final TranscribeOptions options;
    private final NativeCleaner.Registration registration;
    private volatile List<Segment> segments = Collections.emptyList();

    /** Takes the session, which is freed with the stream. */
    AnyonStream(long session, TranscribeOptions options) {
        this.options = options;
        state = new StreamState(session, options);
        registration = NativeCleaner.register(this, state);
    }

    /** What a {@link #step} came to. */
    public enum Step {
        /** Push more, or finish. */
        NEED_AUDIO,
        /** A window is done; what became final, which may be nothing, is in {@link #getSegments}. */
        SEGMENTS,
        /** The recording is over. */
        DONE
    }

    /**
     * Appends all samples of an array; see {@link #push(float[], int, int, int)}.
     *
     * @param pcm mono samples, -1 to 1
     * @param sampleRate in hertz, the same in every call
     */
    public void push(float[] pcm, int sampleRate) {
        push(pcm, 0, pcm.length, sampleRate);
    }

    /**
     * Appends samples. Cheap: the work is done by {@link #step}.
     *
     * @param pcm mono samples, -1 to 1
     * @param offset of the first one
     * @param length how many
     * @param sampleRate in hertz, the same in every call
     * @throws AnyonException why it failed
     * @throws IllegalStateException where the stream is closed
     */
    public void push(float[] pcm, int offset, int length, int sampleRate) {
        Objects.requireNonNull(pcm, "pcm");
        if (offset < 0 || length < 0 || length > pcm.length - offset) {
            throw new IndexOutOfBoundsException(
                    "offset " + offset + ", length " + length + ": the array has " + pcm.length + " samples");
        }
        long stream = state.begin(this);
        try {
            Answer.of(Native.push(stream, pcm, offset, length, sampleRate));
        } finally {
            state.end();
        }
    }

    /**
     * No more audio will come.
     *
     * @throws AnyonException why it failed
     */
    public void finish() {
        long stream = state.begin(this);
        try {
            Answer.of(Native.finish(stream));
        } finally {
            state.end();
        }
    }

    /**
     * Works on at most one window (a batch of them where {@link TranscribeOptions.Builder#batchSize} is above 1). What
     * a callback throws is thrown here.
     *
     * @return what is to be done next
     * @throws AnyonCancelledException after {@link #cancel}
     * @throws AnyonException why it failed
     * @throws IllegalStateException where the stream is closed
     */
    public Step step() {
        return step(new ArrayList<>());
    }

    /**
     * What the last {@link #step} made final.
     *
     * @return an unmodifiable list
     */
    public List<Segment> getSegments() {
        return segments;
    }

    /**
     * Steps until more audio is needed or the recording is over.
     *
     * @return what became final, in order
     * @throws AnyonException as {@link #step}; segments of the steps before reach only callbacks then
     */
    public List<Segment> drain() {
        List<Segment> all = new ArrayList<>();
        while (step(all) == Step.SEGMENTS) {
            // The next window.
        }
        return all;
    }

    /**
     * For live captions: the text, so far as it can be told, of what was pushed since the last final segment. It may
     * change with every call. Costs one run of the encoder and a greedy decoding; changes nothing in the result.
     *
     * @return empty where there is nothing yet
     * @throws AnyonException why it failed; also where batchSize is above 1
     */
    public String preview() {
        long stream = state.begin(this);
        try {
            return Answer.of(Native.preview(stream)).text();
        } finally {
            state.end();
        }
    }

    /**
     * How far it is.
     *
     * @return durations, counts and times so far
     */
    public TranscribeInfo getInfo() {
        long stream = state.begin(this);
        try {
            return Answer.of(Native.streamInfo(stream)).info();
        } finally {
            state.end();
        }
    }

    /** Ends the running and every later {@link #step} with {@link AnyonCancelledException}, within one token. */
    public void cancel() {
        state.cancel();
    }

    /**
     * Cancels what runs, waits for it to end, and frees. Called from a callback it does not wait for the step that
     * calls it, which then frees.
     */
    @Override
    public void close() {
        registration.cancel();
        state.run();
    }

    private Step step(List<Segment> into) {
        long stream = state.begin(this);
        try {
            segments = Collections.emptyList();
            Answer answer = Answer.of(Native.step(stream, options.upcalls()));
            Step step = Step.values()[answer.integer()];
            segments = answer.segments();
            into.addAll(segments);
            return step;
        } finally {
            state.end();
        }
    }
}
