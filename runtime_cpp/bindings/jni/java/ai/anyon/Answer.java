package ai.anyon;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Reads what C++ wrote: a status, its message, then the content, in the machine's byte order. */
final class Answer {
    private static final int OK = 0;
    private static final int CANCELLED = 500;

    private final ByteBuffer bytes;

    private Answer(byte[] bytes) {
        this.bytes = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
    }

    /** The content after a status that is good; throws the exception of one that is not. */
    static Answer of(byte[] bytes) {
        Answer answer = new Answer(bytes);
        int status = answer.integer();
        String message = answer.text();
        if (status == OK) {
            return answer;
        }
        if (status == CANCELLED) {
            throw new AnyonCancelledException(
                    message, answer.bytes.hasRemaining() ? answer.transcript() : Transcript.EMPTY);
        }
        throw AnyonException.of(status, message);
    }

    /** A segment alone, as callbacks get it. */
    static Segment segment(byte[] bytes) {
        return new Answer(bytes).segment();
    }

    int integer() {
        return bytes.getInt();
    }

    long number() {
        return bytes.getLong();
    }

    String text() {
        byte[] text = new byte[bytes.getInt()];
        bytes.get(text);
        return new String(text, StandardCharsets.UTF_8);
    }

    List<String> texts() {
        int count = integer();
        List<String> texts = new ArrayList<>(count);
        for (int i = 0; i < count; ++i) {
            texts.add(text());
        }
        return Collections.unmodifiableList(texts);
    }

    Transcript transcript() {
        TranscribeInfo info = info();
        String text = text();
        return new Transcript(text, info, segments());
    }

    List<Segment> segments() {
        int count = integer();
        List<Segment> segments = new ArrayList<>(count);
        for (int i = 0; i < count; ++i) {
            segments.add(segment());
        }
        return Collections.unmodifiableList(segments);
    }

    TranscribeInfo info() {
        return new TranscribeInfo(
                text(),
                bytes.getDouble(),
                bytes.getDouble(),
                bytes.getDouble(),
                number(),
                number(),
                number(),
                number(),
                bytes.getDouble(),
                bytes.getDouble(),
                bytes.getDouble(),
                bytes.getDouble());
    }

    private Segment segment() {
        long id = number();
        long seek = number();
        double start = bytes.getDouble();
        double end = bytes.getDouble();
        String text = text();
        int[] tokens = new int[integer()];
        for (int i = 0; i < tokens.length; ++i) {
            tokens[i] = integer();
        }
        double avgLogprob = bytes.getDouble();
        double compressionRatio = bytes.getDouble();
        double noSpeechProb = bytes.getDouble();
        double temperature = bytes.getDouble();
        List<Word> words = words();
        return new Segment(
                id, seek, start, end, text, tokens, avgLogprob, compressionRatio, noSpeechProb, temperature, words);
    }

    private List<Word> words() {
        int count = integer();
        List<Word> words = new ArrayList<>(count);
        for (int i = 0; i < count; ++i) {
            words.add(new Word(bytes.getDouble(), bytes.getDouble(), bytes.getDouble(), text()));
        }
        return Collections.unmodifiableList(words);
    }
}
