package ai.anyon;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;

/**
 * A model that hears speech. Threads: any number may use it at once.
 *
 * <p><b>Memory.</b> The weights are there once, mapped from their file. Every transcription that runs at the same time
 * has a session of its own: the memory of activations and caches, about 30 MB for Whisper tiny, 60 MB with word times,
 * and more for larger models; a stream has one too. Sessions are kept for the next transcription until {@link #trim} or {@link #close}; there are never more than
 * {@link ModelOptions.Builder#sessions}, and who comes when all are taken waits for one. The garbage collector does not
 * see this memory: close the model. One that is forgotten is freed some time after it became unreachable.
 */
public final class AnyonModel implements AutoCloseable {
    private final ModelState state;
    private final NativeCleaner.Registration registration;

    private final long bytes;
    private final int sampleRate;
    private final String isa;
    private final String manifest;
    private final String name;
    private final String family;
    private final String task;
    private final String recipe;
    private final String licence;
    private final List<String> languages;

    private AnyonModel(Answer answer, ModelOptions options) {
        bytes = answer.number();
        sampleRate = answer.integer();
        isa = answer.text();
        manifest = answer.text();
        name = answer.text();
        family = answer.text();
        task = answer.text();
        recipe = answer.text();
        licence = answer.text();
        languages = answer.texts();
        state = new ModelState(answer.number(), options);
        registration = NativeCleaner.register(this, state);
    }

    /**
     * Maps a bundle file. Do not change or cut the file while the model is open; replace it by renaming.
     *
     * @param path of the bundle
     * @return a model, to be closed
     * @throws AnyonBundleException where the file is missing, damaged or too new
     */
    public static AnyonModel load(String path) {
        return load(path, ModelOptions.DEFAULT);
    }

    /**
     * As {@link #load(String)}, with options.
     *
     * @param path of the bundle
     * @param options how to load it
     * @return a model, to be closed
     * @throws AnyonException why it could not be loaded
     */
    public static AnyonModel load(String path, ModelOptions options) {
        byte[] encoded = OptionWriter.encode("path", path);
        return new AnyonModel(Answer.of(Native.loadPath(encoded, options.encoded, options.upcalls(null))), options);
    }

    /**
     * As {@link #load(String)}. (On Android since version 8.)
     *
     * @param path of the bundle
     * @return a model, to be closed
     * @throws AnyonException why it could not be loaded
     */
    public static AnyonModel load(Path path) {
        return load(path.toString(), ModelOptions.DEFAULT);
    }

    /**
     * As {@link #load(String, ModelOptions)}. (On Android since version 8.)
     *
     * @param path of the bundle
     * @param options how to load it
     * @return a model, to be closed
     * @throws AnyonException why it could not be loaded
     */
    public static AnyonModel load(Path path, ModelOptions options) {
        return load(path.toString(), options);
    }

    /**
     * A bundle in memory, from the buffer's position to its limit. It is used where it lies when it starts on a 64-byte
     * boundary, as a mapped file does, else copied. Its content must not change while the model or a stream is open.
     *
     * @param buffer a direct or mapped one
     * @return a model, to be closed
     * @throws IllegalArgumentException where the buffer is not direct
     * @throws AnyonException why it could not be loaded
     */
    public static AnyonModel load(ByteBuffer buffer) {
        return load(buffer, ModelOptions.DEFAULT);
    }

    /**
     * As {@link #load(ByteBuffer)}, with options.
     *
     * @param buffer a direct or mapped one
     * @param options how to load it
     * @return a model, to be closed
     * @throws IllegalArgumentException where the buffer is not direct
     * @throws AnyonException why it could not be loaded
     */
    public static AnyonModel load(ByteBuffer buffer, ModelOptions options) {
        if (!buffer.isDirect()) {
            throw new IllegalArgumentException(
                    "buffer: it is on the Java heap, which moves: use ByteBuffer.allocateDirect or FileChannel.map");
        }
        byte[] answer = Native.loadMemory(buffer.slice(), options.encoded, options.upcalls(null));
        return new AnyonModel(Answer.of(answer), options);
    }

    /**
     * A bundle that a reader brings; it is copied into memory.
     *
     * @param reader where it comes from
     * @param totalBytes its size
     * @return a model, to be closed
     * @throws IOException what the reader threw
     * @throws AnyonException why it could not be loaded
     */
    public static AnyonModel load(BundleReader reader, long totalBytes) throws IOException {
        return load(reader, totalBytes, ModelOptions.DEFAULT);
    }

    /**
     * As {@link #load(BundleReader, long)}, with options.
     *
     * @param reader where it comes from
     * @param totalBytes its size
     * @param options how to load it
     * @return a model, to be closed
     * @throws IOException what the reader threw
     * @throws AnyonException why it could not be loaded
     */
    public static AnyonModel load(BundleReader reader, long totalBytes, ModelOptions options) throws IOException {
        Objects.requireNonNull(reader, "reader");
        if (totalBytes < 0) {
            throw new IllegalArgumentException("totalBytes: " + totalBytes + ": expected the size of the bundle");
        }
        try {
            byte[] answer = Native.loadCallback(totalBytes, options.encoded, options.upcalls(reader));
            return new AnyonModel(Answer.of(answer), options);
        } catch (ModelOptions.ReaderFailure failure) {
            throw failure.getCause();
        }
    }

    /**
     * A bundle from a stream, such as an asset's; it is copied into memory. The stream is not closed.
     *
     * @param stream at the bundle's first byte
     * @param totalBytes its size
     * @param options how to load it
     * @return a model, to be closed
     * @throws IOException what the stream threw
     * @throws AnyonException why it could not be loaded
     */
    public static AnyonModel load(InputStream stream, long totalBytes, ModelOptions options) throws IOException {
        Objects.requireNonNull(stream, "stream");
        return load((offset, buffer) -> readFully(stream, buffer), totalBytes, options);
    }

    /**
     * As {@link #transcribe(float[], int, TranscribeOptions)}, at the model's own {@link #getSampleRate}.
     *
     * @param pcm mono samples, -1 to 1
     * @return what was said
     */
    public Transcript transcribe(float[] pcm) {
        return transcribe(pcm, sampleRate, TranscribeOptions.DEFAULT);
    }

    /**
     * As {@link #transcribe(float[], int, TranscribeOptions)}, with the defaults.
     *
     * @param pcm mono samples, -1 to 1
     * @param sampleRate in hertz
     * @return what was said
     */
    public Transcript transcribe(float[] pcm, int sampleRate) {
        return transcribe(pcm, sampleRate, TranscribeOptions.DEFAULT);
    }

    /**
     * Transcribes a whole recording. Threads: any number at once. What a callback throws ends the transcription and is
     * thrown here.
     *
     * @param pcm mono samples, -1 to 1
     * @param sampleRate in hertz; other rates than the model's are resampled
     * @param options how
     * @return what was said
     * @throws AnyonCancelledException after a cancel, or where the thread was interrupted while all sessions were taken
     * @throws AnyonException why it failed
     * @throws IllegalStateException where the model is closed
     */
    public Transcript transcribe(float[] pcm, int sampleRate, TranscribeOptions options) {
        Objects.requireNonNull(pcm, "pcm");
        Objects.requireNonNull(options, "options");
        return state.transcribe(this, pcm, sampleRate, options);
    }

    /**
     * As {@link #openStream(TranscribeOptions)}, with the defaults.
     *
     * @return a stream, to be closed
     */
    public AnyonStream openStream() {
        return openStream(TranscribeOptions.DEFAULT);
    }

    /**
     * Begins to transcribe while the audio comes in. The stream has a session of its own, beside those of
     * {@link ModelOptions.Builder#sessions}, and goes on when the model is closed.
     *
     * @param options how
     * @return a stream, to be closed
     * @throws AnyonException why it could not be opened
     * @throws IllegalStateException where the model is closed
     */
    public AnyonStream openStream(TranscribeOptions options) {
        Objects.requireNonNull(options, "options");
        return new AnyonStream(state.sessionForStream(this), options);
    }

    /** Ends all transcriptions that run or wait now, within one token. Threads: any. Streams are not touched. */
    public void cancel() {
        state.cancel();
    }

    /** Frees the memory of the sessions that nobody uses now; later transcriptions make new ones. Threads: any. */
    public void trim() {
        state.trim();
    }

    /**
     * Cancels what runs, waits for it to end (no longer than one token or one run of the encoder takes), and frees.
     * Called from a callback it does not wait for the transcription that calls it, which then frees. Threads: any.
     */
    @Override
    public void close() {
        registration.cancel();
        state.close();
    }

    /**
     * Whether {@link #close} was called.
     *
     * @return then nothing but the facts below can be asked
     */
    public boolean isClosed() {
        return state.isClosed();
    }

    /**
     * The bundle's name.
     *
     * @return such as {@code tiny.en}
     */
    public String getName() {
        return name;
    }

    /**
     * The family of models.
     *
     * @return such as {@code whisper}
     */
    public String getFamily() {
        return family;
    }

    /**
     * What it was made for.
     *
     * @return such as {@code transcribe}
     */
    public String getTask() {
        return task;
    }

    /**
     * How its weights are quantised.
     *
     * @return such as {@code int8}
     */
    public String getRecipe() {
        return recipe;
    }

    /**
     * The licence of its weights.
     *
     * @return such as {@code MIT}
     */
    public String getLicence() {
        return licence;
    }

    /**
     * The manifest of the bundle.
     *
     * @return JSON
     */
    public String getManifest() {
        return manifest;
    }

    /**
     * The size of the bundle.
     *
     * @return bytes
     */
    public long getBytes() {
        return bytes;
    }

    /**
     * The instruction set that its kernels use here.
     *
     * @return one of {@link Anyon.Capability#ISA}
     */
    public String getIsa() {
        return isa;
    }

    /**
     * The rate that the model hears at.
     *
     * @return hertz
     */
    public int getSampleRate() {
        return sampleRate;
    }

    /**
     * The languages it knows.
     *
     * @return codes; {@code en} alone for an English-only model
     */
    public List<String> getLanguages() {
        return languages;
    }

    private static int readFully(InputStream stream, byte[] buffer) throws IOException {
        int done = 0;
        while (done < buffer.length) {
            int got = stream.read(buffer, done, buffer.length - done);
            if (got < 0) {
                break;
            }
            done += got;
        }
        return done;
    }
}
