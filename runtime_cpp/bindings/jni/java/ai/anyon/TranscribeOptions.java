package ai.anyon;

import java.util.Objects;
import java.util.function.Consumer;

/**
 * How to transcribe: the settings of openai-whisper and faster-whisper, under their names. Immutable; made by
 * {@link #builder}. What is out of range is refused by name when it is used.
 */
public final class TranscribeOptions {
    /** Switches a threshold off. */
    public static final float OFF = Float.NaN;

    static final TranscribeOptions DEFAULT = builder().build();

    final byte[] encoded;
    final Cancellation cancellation;
    private final Consumer<Segment> onSegment;
    private final ProgressListener onProgress;

    private TranscribeOptions(Builder builder) {
        encoded = builder.options.toBytes();
        cancellation = builder.cancellation;
        onSegment = builder.onSegment;
        onProgress = builder.onProgress;
    }

    /**
     * Begins with the defaults.
     *
     * @return a builder
     */
    public static Builder builder() {
        return new Builder();
    }

    /** What C++ calls back; null where nobody listens. */
    Upcalls upcalls() {
        if (onSegment == null && onProgress == null) {
            return null;
        }
        return new Upcalls() {
            @Override
            void segment(byte[] segment) {
                if (onSegment != null) {
                    onSegment.accept(Answer.segment(segment));
                }
            }

            @Override
            void progress(double secondsDone, double secondsTotal) {
                if (onProgress != null) {
                    onProgress.onProgress(secondsDone, secondsTotal);
                }
            }
        };
    }

    /** Collects options. Threads: one. */
    public static final class Builder {
        private final OptionWriter options = new OptionWriter();
        private Cancellation cancellation = new Cancellation();
        private Consumer<Segment> onSegment;
        private ProgressListener onProgress;

        private Builder() {}

        /**
         * The language that is spoken; without it, it is detected.
         *
         * @param language a code such as {@code en}, {@code fr}; empty: detected
         * @return this
         */
        public Builder language(String language) {
            options.put("language", language);
            return this;
        }

        /**
         * What to write.
         *
         * @param task transcribe without this
         * @return this
         */
        public Builder task(Task task) {
            options.put("task", task.ordinal());
            return this;
        }

        /**
         * Tried in order until a result passes the thresholds.
         *
         * @param temperatures each 0 to 10; 0, 0.2, 0.4, 0.6, 0.8, 1 without this
         * @return this
         */
        public Builder temperatures(float... temperatures) {
            options.put("temperatures", temperatures);
            return this;
        }

        /**
         * Samples drawn at a temperature above 0.
         *
         * @param bestOf 1 to 64; 5 without this
         * @return this
         */
        public Builder bestOf(int bestOf) {
            options.put("best_of", bestOf);
            return this;
        }

        /**
         * Beams at temperature 0.
         *
         * @param beamSize 1, which is greedy, to 64; 5 without this
         * @return this
         */
        public Builder beamSize(int beamSize) {
            options.put("beam_size", beamSize);
            return this;
        }

        /**
         * How long beams are waited for.
         *
         * @param patience 1 without this
         * @return this
         */
        public Builder patience(float patience) {
            options.put("patience", patience);
            return this;
        }

        /**
         * How results of different lengths are compared.
         *
         * @param lengthPenalty 0 to 1; {@link #OFF}, as without this: divided by the length
         * @return this
         */
        public Builder lengthPenalty(float lengthPenalty) {
            options.put("length_penalty", lengthPenalty);
            return this;
        }

        /**
         * How tokens that were there already are held back.
         *
         * @param repetitionPenalty 1 without this: not
         * @return this
         */
        public Builder repetitionPenalty(float repetitionPenalty) {
            options.put("repetition_penalty", repetitionPenalty);
            return this;
        }

        /**
         * Sequences of so many tokens are never repeated.
         *
         * @param noRepeatNgramSize 0 without this: off
         * @return this
         */
        public Builder noRepeatNgramSize(int noRepeatNgramSize) {
            options.put("no_repeat_ngram_size", noRepeatNgramSize);
            return this;
        }

        /**
         * The same seed gives the same text.
         *
         * @param seed 0 without this
         * @return this
         */
        public Builder seed(long seed) {
            options.put("seed", seed);
            return this;
        }

        /**
         * The most tokens of each window.
         *
         * @param maxNewTokens 0, as without this: half of the text context
         * @return this
         */
        public Builder maxNewTokens(int maxNewTokens) {
            options.put("max_new_tokens", maxNewTokens);
            return this;
        }

        /**
         * Text that repeats itself more is not believed.
         *
         * @param compressionRatioThreshold 2.4 without this; {@link #OFF}: never
         * @return this
         */
        public Builder compressionRatioThreshold(float compressionRatioThreshold) {
            options.put("compression_ratio_threshold", compressionRatioThreshold);
            return this;
        }

        /**
         * Text with a lower mean log probability is not believed.
         *
         * @param logProbThreshold -1 without this; {@link #OFF}: never
         * @return this
         */
        public Builder logProbThreshold(float logProbThreshold) {
            options.put("log_prob_threshold", logProbThreshold);
            return this;
        }

        /**
         * From which probability of no speech on text of low probability is silence.
         *
         * @param noSpeechThreshold 0.6 without this; {@link #OFF}: never
         * @return this
         */
        public Builder noSpeechThreshold(float noSpeechThreshold) {
            options.put("no_speech_threshold", noSpeechThreshold);
            return this;
        }

        /**
         * Whether text is refused where neither model nor signal speak for speech.
         *
         * @param speechGate true without this
         * @return this
         */
        public Builder speechGate(boolean speechGate) {
            options.put("speech_gate", speechGate);
            return this;
        }

        /**
         * Windows decoded together, cut at pauses.
         *
         * @param batchSize 1, as without this, to 64
         * @return this
         */
        public Builder batchSize(int batchSize) {
            options.put("batch_size", batchSize);
            return this;
        }

        /**
         * Whether each window is told the text before it.
         *
         * @param conditionOnPreviousText without this: where batchSize is 1
         * @return this
         */
        public Builder conditionOnPreviousText(boolean conditionOnPreviousText) {
            options.put("condition_on_previous_text", conditionOnPreviousText);
            return this;
        }

        /**
         * Above which temperature the text before is forgotten.
         *
         * @param promptResetOnTemperature 0.5 without this
         * @return this
         */
        public Builder promptResetOnTemperature(float promptResetOnTemperature) {
            options.put("prompt_reset_on_temperature", promptResetOnTemperature);
            return this;
        }

        /**
         * What the decoder is told before it starts.
         *
         * @param text as it would have been said
         * @return this
         */
        public Builder initialPrompt(String text) {
            options.putPrompt("initial_prompt", text);
            return this;
        }

        /**
         * What the decoder is told before it starts.
         *
         * @param tokens ids that are used as they are
         * @return this
         */
        public Builder initialPrompt(int... tokens) {
            options.putPrompt("initial_prompt", tokens);
            return this;
        }

        /**
         * Whether every window is told the initial prompt.
         *
         * @param carryInitialPrompt false without this
         * @return this
         */
        public Builder carryInitialPrompt(boolean carryInitialPrompt) {
            options.put("carry_initial_prompt", carryInitialPrompt);
            return this;
        }

        /**
         * Words that are likely.
         *
         * @param hotwords text; none without this
         * @return this
         */
        public Builder hotwords(String hotwords) {
            options.put("hotwords", hotwords);
            return this;
        }

        /**
         * How the text of the first window begins.
         *
         * @param text as it would have been said
         * @return this
         */
        public Builder prefix(String text) {
            options.putPrompt("prefix", text);
            return this;
        }

        /**
         * How the text of the first window begins.
         *
         * @param tokens ids that are used as they are
         * @return this
         */
        public Builder prefix(int... tokens) {
            options.putPrompt("prefix", tokens);
            return this;
        }

        /**
         * What the text probably is; needs beamSize 1, first temperature 0, batchSize 1.
         *
         * @param text as it would have been said
         * @return this
         */
        public Builder draft(String text) {
            options.putPrompt("draft", text);
            return this;
        }

        /**
         * What the text probably is; needs beamSize 1, first temperature 0, batchSize 1.
         *
         * @param tokens ids that are used as they are
         * @return this
         */
        public Builder draft(int... tokens) {
            options.putPrompt("draft", tokens);
            return this;
        }

        /**
         * Whether no window may begin with white space alone.
         *
         * @param suppressBlank true without this
         * @return this
         */
        public Builder suppressBlank(boolean suppressBlank) {
            options.put("suppress_blank", suppressBlank);
            return this;
        }

        /**
         * Tokens that are never written.
         *
         * @param suppressTokens ids; -1 stands for the model's own list, which is taken without this
         * @return this
         */
        public Builder suppressTokens(int... suppressTokens) {
            options.put("suppress_tokens", suppressTokens);
            return this;
        }

        /**
         * Whether not even the model's own list is suppressed.
         *
         * @param suppressNothing false without this
         * @return this
         */
        public Builder suppressNothing(boolean suppressNothing) {
            options.put("suppress_nothing", suppressNothing);
            return this;
        }

        /**
         * Whether segments have no times of their own.
         *
         * @param withoutTimestamps false without this
         * @return this
         */
        public Builder withoutTimestamps(boolean withoutTimestamps) {
            options.put("without_timestamps", withoutTimestamps);
            return this;
        }

        /**
         * The latest start of a window's first segment.
         *
         * @param maxInitialTimestamp seconds; 1 without this; {@link #OFF}: never
         * @return this
         */
        public Builder maxInitialTimestamp(float maxInitialTimestamp) {
            options.put("max_initial_timestamp", maxInitialTimestamp);
            return this;
        }

        /**
         * Whether each word gets its times.
         *
         * @param wordTimestamps false without this
         * @return this
         */
        public Builder wordTimestamps(boolean wordTimestamps) {
            options.put("word_timestamps", wordTimestamps);
            return this;
        }

        /**
         * Punctuation that belongs to the word after it.
         *
         * @param prependPunctuations characters
         * @return this
         */
        public Builder prependPunctuations(String prependPunctuations) {
            options.put("prepend_punctuations", prependPunctuations);
            return this;
        }

        /**
         * Punctuation that belongs to the word before it.
         *
         * @param appendPunctuations characters
         * @return this
         */
        public Builder appendPunctuations(String appendPunctuations) {
            options.put("append_punctuations", appendPunctuations);
            return this;
        }

        /**
         * Silences longer than this are skipped where text is doubtful; needs wordTimestamps.
         *
         * @param hallucinationSilenceThreshold seconds; {@link #OFF}, as without this: never
         * @return this
         */
        public Builder hallucinationSilenceThreshold(float hallucinationSilenceThreshold) {
            options.put("hallucination_silence_threshold", hallucinationSilenceThreshold);
            return this;
        }

        /**
         * What to listen to.
         *
         * @param clipTimestamps start, end, start, end, ... in seconds; a missing last end is the recording's
         * @return this
         */
        public Builder clipTimestamps(double... clipTimestamps) {
            options.put("clip_timestamps", clipTimestamps);
            return this;
        }

        /**
         * Windows are heard until one is surer of its language than this.
         *
         * @param languageDetectionThreshold 0.5 without this
         * @return this
         */
        public Builder languageDetectionThreshold(float languageDetectionThreshold) {
            options.put("language_detection_threshold", languageDetectionThreshold);
            return this;
        }

        /**
         * The most windows that are heard to detect the language.
         *
         * @param languageDetectionSegments 1 without this
         * @return this
         */
        public Builder languageDetectionSegments(int languageDetectionSegments) {
            options.put("language_detection_segments", languageDetectionSegments);
            return this;
        }

        /**
         * What ends the transcription from elsewhere.
         *
         * @param cancellation may serve any number of transcriptions and streams
         * @return this
         */
        public Builder cancellation(Cancellation cancellation) {
            this.cancellation = Objects.requireNonNull(cancellation, "cancellation");
            return this;
        }

        /**
         * Who is given each segment as soon as it is final.
         *
         * @param onSegment called from the thread that transcribes; what it throws ends the transcription and is thrown
         *     by it
         * @return this
         */
        public Builder onSegment(Consumer<Segment> onSegment) {
            this.onSegment = Objects.requireNonNull(onSegment, "onSegment");
            return this;
        }

        /**
         * Who is told how far it is.
         *
         * @param onProgress called from the thread that transcribes
         * @return this
         */
        public Builder onProgress(ProgressListener onProgress) {
            this.onProgress = Objects.requireNonNull(onProgress, "onProgress");
            return this;
        }

        /**
         * Makes the options.
         *
         * @return immutable
         */
        public TranscribeOptions build() {
            return new TranscribeOptions(this);
        }
    }
}
