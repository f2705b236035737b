package ai.anyon;

import java.util.List;
import java.util.Locale;

/** A stretch of speech. Names are those of openai-whisper and faster-whisper. */
public final class Segment {
    private final long id;
    private final long seek;
    private final double start;
    private final double end;
    private final String text;
    private final int[] tokens;
    private final double avgLogprob;
    private final double compressionRatio;
    private final double noSpeechProb;
    private final double temperature;
    private final List<Word> words;

    Segment(
            long id,
            long seek,
            double start,
            double end,
            String text,
            int[] tokens,
            double avgLogprob,
            double compressionRatio,
            double noSpeechProb,
            double temperature,
            List<Word> words) {
        this.id = id;
        this.seek = seek;
        this.start = start;
        this.end = end;
        this.text = text;
        this.tokens = tokens;
        this.avgLogprob = avgLogprob;
        this.compressionRatio = compressionRatio;
        this.noSpeechProb = noSpeechProb;
        this.temperature = temperature;
        this.words = words;
    }

    /**
     * Its number.
     *
     * @return counts from 0 over the recording
     */
    public long getId() {
        return id;
    }

    /**
     * Where the window began that held it.
     *
     * @return the first frame of the window, 10 ms each
     */
    public long getSeek() {
        return seek;
    }

    /**
     * When it begins.
     *
     * @return seconds on the clock of the recording
     */
    public double getStart() {
        return start;
    }

    /**
     * When it ends.
     *
     * @return seconds on the clock of the recording
     */
    public double getEnd() {
        return end;
    }

    /**
     * What was said.
     *
     * @return the text with the white space before it
     */
    public String getText() {
        return text;
    }

    /**
     * Text and timestamp tokens as the model gave them.
     *
     * @return a copy
     */
    public int[] getTokens() {
        return tokens.clone();
    }

    /**
     * How sure the model was.
     *
     * @return the mean log probability of the tokens
     */
    public double getAvgLogprob() {
        return avgLogprob;
    }

    /**
     * How often the text repeats itself.
     *
     * @return the size of the text over its compressed size
     */
    public double getCompressionRatio() {
        return compressionRatio;
    }

    /**
     * How likely it is that nobody spoke.
     *
     * @return 0 to 1
     */
    public double getNoSpeechProb() {
        return noSpeechProb;
    }

    /**
     * The temperature that gave this text.
     *
     * @return 0 where the most likely text was taken
     */
    public double getTemperature() {
        return temperature;
    }

    /**
     * The words with their times.
     *
     * @return an unmodifiable list; empty unless {@link TranscribeOptions.Builder#wordTimestamps} was asked for
     */
    public List<Word> getWords() {
        return words;
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "[%.2f, %.2f]%s", start, end, text);
    }
}
