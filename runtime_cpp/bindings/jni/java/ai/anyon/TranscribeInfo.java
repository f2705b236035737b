package ai.anyon;

/** The facts of one transcription. */
public final class TranscribeInfo {
    static final TranscribeInfo NONE = new TranscribeInfo("", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

    private final String language;
    private final double languageProbability;
    private final double duration;
    private final double progress;
    private final long windows;
    private final long fallbacks;
    private final long tokens;
    private final long steps;
    private final double melSeconds;
    private final double encoderSeconds;
    private final double decoderSeconds;
    private final double alignSeconds;

    TranscribeInfo(
            String language,
            double languageProbability,
            double duration,
            double progress,
            long windows,
            long fallbacks,
            long tokens,
            long steps,
            double melSeconds,
            double encoderSeconds,
            double decoderSeconds,
            double alignSeconds) {
        this.language = language;
        this.languageProbability = languageProbability;
        this.duration = duration;
        this.progress = progress;
        this.windows = windows;
        this.fallbacks = fallbacks;
        this.tokens = tokens;
        this.steps = steps;
        this.melSeconds = melSeconds;
        this.encoderSeconds = encoderSeconds;
        this.decoderSeconds = decoderSeconds;
        this.alignSeconds = alignSeconds;
    }

    /**
     * The language: the option, or what was detected.
     *
     * @return a code such as {@code en}; empty before anything was heard
     */
    public String getLanguage() {
        return language;
    }

    /**
     * How sure the detection was.
     *
     * @return 0 to 1; 1 where nothing had to be detected
     */
    public double getLanguageProbability() {
        return languageProbability;
    }

    /**
     * How much audio there was.
     *
     * @return seconds
     */
    public double getDuration() {
        return duration;
    }

    /**
     * How much of it was transcribed.
     *
     * @return seconds
     */
    public double getProgress() {
        return progress;
    }

    /**
     * Windows that were heard.
     *
     * @return a count
     */
    public long getWindows() {
        return windows;
    }

    /**
     * Windows that were decoded again at a higher temperature.
     *
     * @return a count
     */
    public long getFallbacks() {
        return fallbacks;
    }

    /**
     * Tokens that were written.
     *
     * @return a count
     */
    public long getTokens() {
        return tokens;
    }

    /**
     * Runs of the decoder.
     *
     * @return a count
     */
    public long getSteps() {
        return steps;
    }

    /**
     * Time that the frontend took.
     *
     * @return seconds
     */
    public double getMelSeconds() {
        return melSeconds;
    }

    /**
     * Time that the encoder took.
     *
     * @return seconds
     */
    public double getEncoderSeconds() {
        return encoderSeconds;
    }

    /**
     * Time that the decoder took.
     *
     * @return seconds
     */
    public double getDecoderSeconds() {
        return decoderSeconds;
    }

    /**
     * Time that the words' times took.
     *
     * @return seconds
     */
    public double getAlignSeconds() {
        return alignSeconds;
    }
}
