package ai.anyon;

/** One word with the punctuation that belongs to it. */
public final class Word {
    private final double start;
    private final double end;
    private final double probability;
    private final String word;

    Word(double start, double end, double probability, String word) {
        this.start = start;
        this.end = end;
        this.probability = probability;
        this.word = word;
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
     * How sure the model was.
     *
     * @return 0 to 1
     */
    public double getProbability() {
        return probability;
    }

    /**
     * The word itself.
     *
     * @return the word with the white space before it
     */
    public String getWord() {
        return word;
    }

    @Override
    public String toString() {
        return String.format(java.util.Locale.ROOT, "[%.2f, %.2f]%s", start, end, word);
    }
}
