package ai.anyon;

import java.util.Collections;
import java.util.List;

/** What a recording says. */
public final class Transcript {
    static final Transcript EMPTY = new Transcript("", TranscribeInfo.NONE, Collections.emptyList());

    private final String text;
    private final TranscribeInfo info;
    private final List<Segment> segments;

    Transcript(String text, TranscribeInfo info, List<Segment> segments) {
        this.text = text;
        this.info = info;
        this.segments = segments;
    }

    /**
     * The text of all segments.
     *
     * @return without white space around it; empty where nothing was said
     */
    public String getText() {
        return text;
    }

    /**
     * The language: the option, or what was detected.
     *
     * @return a code such as {@code en}; empty before anything was heard
     */
    public String getLanguage() {
        return info.getLanguage();
    }

    /**
     * The segments in order.
     *
     * @return an unmodifiable list
     */
    public List<Segment> getSegments() {
        return segments;
    }

    /**
     * How it was made.
     *
     * @return durations, counts and times
     */
    public TranscribeInfo getInfo() {
        return info;
    }

    /** Returns the text. */
    @Override
    public String toString() {
        return text;
    }
}
