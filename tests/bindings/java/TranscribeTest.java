import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.anyon.AnyonArgumentException;
import ai.anyon.AnyonAudioException;
import ai.anyon.AnyonException;
import ai.anyon.AnyonModel;
import ai.anyon.Segment;
import ai.anyon.Task;
import ai.anyon.TranscribeOptions;
import ai.anyon.Transcript;
import ai.anyon.Word;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class TranscribeTest {
    private static AnyonModel model;

    @BeforeAll
    static void load() {
        model = Fixture.model();
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static Transcript hear(String name, UnaryOperator<TranscribeOptions.Builder> set) {
        return model.transcribe(
                Fixture.samples(name), Fixture.RATE, set.apply(TranscribeOptions.builder()).build());
    }

    @Test
    void textsAreThoseThatPythonHears() {
        assertEquals(Fixture.text("short.txt"), model.transcribe(Fixture.samples("short")).getText());
        Transcript transcript = model.transcribe(Fixture.samples("speech"), Fixture.RATE);
        assertEquals(Fixture.text("speech.txt"), transcript.getText());
        assertEquals(Fixture.text("speech.txt"), transcript.toString());
        assertEquals("en", transcript.getLanguage());
        assertTrue(transcript.getSegments().stream().allMatch(segment -> segment.getWords().isEmpty()));
    }

    /** The same code computes both: only the border could change a bit. */
    @Test
    void segmentsAndWordsAreThoseOfPythonToTheLastBit() {
        List<String> lines = new ArrayList<>();
        for (Segment segment : hear("speech", o -> o.wordTimestamps(true)).getSegments()) {
            String tokens = String.join(
                    " ", Arrays.stream(segment.getTokens()).mapToObj(Integer::toString).toArray(String[]::new));
            lines.add(line("S", segment.getStart(), segment.getEnd(), tokens, segment.getText()));
            for (Word word : segment.getWords()) {
                lines.add(line("W", word.getStart(), word.getEnd(), word.getProbability(), word.getWord()));
            }
        }
        List<String> expected = new ArrayList<>();
        for (String line : Fixture.text("speech.tsv").split("\n")) {
            String[] parts = line.split("\t", -1);
            Object third = parts[0].equals("S") ? parts[3] : Double.valueOf(parts[3]);
            expected.add(line(parts[0], Double.parseDouble(parts[1]), Double.parseDouble(parts[2]), third, parts[4]));
        }
        assertEquals(expected, lines);
    }

    private static String line(String kind, double start, double end, Object third, String text) {
        return kind + " " + start + " " + end + " " + third + " " + text;
    }

    @Test
    void theInfoCountsWhatWasDone() {
        float[] samples = Fixture.samples("speech");
        var info = model.transcribe(samples, Fixture.RATE).getInfo();
        assertEquals(samples.length / (double) Fixture.RATE, info.getDuration(), 1e-3);
        assertEquals(info.getDuration(), info.getProgress(), 1e-3);
        assertTrue(info.getWindows() >= 2, "44 s are more than one window");
        assertTrue(info.getTokens() > 50 && info.getSteps() > 50);
        assertTrue(info.getEncoderSeconds() > 0 && info.getDecoderSeconds() > 0);
        assertEquals(1, info.getLanguageProbability());
    }

    @Test
    void anotherRateIsResampled() {
        float[] samples = Fixture.samples("short");
        float[] twice = new float[2 * samples.length];
        for (int i = 0; i < twice.length; ++i) {
            twice[i] = (samples[i / 2] + samples[Math.min((i + 1) / 2, samples.length - 1)]) / 2;
        }
        assertEquals(
                Fixture.text("short.txt").toLowerCase(),
                model.transcribe(twice, 2 * Fixture.RATE).getText().toLowerCase());
    }

    @Test
    void nothingIsHeardInNothing() {
        Transcript transcript = model.transcribe(new float[0], Fixture.RATE);
        assertEquals("", transcript.getText());
        assertEquals(List.of(), transcript.getSegments());
    }

    @Test
    void callbacksBringEachSegmentOnceAndProgressThatRises() {
        List<String> texts = new ArrayList<>();
        List<Double> done = new ArrayList<>();
        Thread here = Thread.currentThread();
        Transcript transcript = hear("speech", o -> o.onSegment(segment -> {
                    assertSame(here, Thread.currentThread());
                    texts.add(segment.getText());
                })
                .onProgress((seconds, total) -> {
                    assertEquals(Fixture.samples("speech").length / (double) Fixture.RATE, total, 1e-3);
                    done.add(seconds);
                }));
        assertEquals(transcript.getSegments().stream().map(Segment::getText).toList(), texts);
        assertEquals(done.stream().sorted().toList(), done);
        assertEquals(transcript.getInfo().getDuration(), done.get(done.size() - 1), 1e-3);
    }

    @Test
    void textKeepsEveryCharacterOnItsWay() {
        // Beyond the basic plane, where JNI's own strings differ from UTF-8.
        assertEquals(Fixture.text("short.txt"), hear("short", o -> o.hotwords("")).getText());
        var error = assertThrows(AnyonException.class, () -> hear("short", o -> o.language("\uD834\uDD1E é")));
        assertTrue(error.getMessage().contains("\uD834\uDD1E é"), error.getMessage());
        assertThrows(AnyonArgumentException.class, () -> hear("short", o -> o.language("en\0")));
    }

    /** Each option reaches the library under its own name: it is refused there, by name, when it is out of range. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("refused")
    void anOptionOutOfRangeIsRefusedByName(String name, UnaryOperator<TranscribeOptions.Builder> set) {
        var error = assertThrows(AnyonArgumentException.class, () -> hear("short", set));
        assertTrue(error.getMessage().contains(name), error.getMessage());
        assertEquals(1, error.getStatus() / 100);
    }

    static Stream<Arguments> refused() {
        float nan = Float.NaN;
        return Stream.of(
                option("language", o -> o.language("xx")),
                option("task", o -> o.task(Task.TRANSLATE)),
                option("temperature", o -> o.temperatures(-1f)),
                option("best_of", o -> o.bestOf(-3)),
                option("beam_size", o -> o.beamSize(65)),
                option("patience", o -> o.patience(-1)),
                option("length_penalty", o -> o.lengthPenalty(7)),
                option("repetition_penalty", o -> o.repetitionPenalty(-1)),
                option("no_repeat_ngram_size", o -> o.noRepeatNgramSize(-1)),
                option("max_new_tokens", o -> o.maxNewTokens(-1)),
                option("batch_size", o -> o.batchSize(0)),
                option("prompt_reset_on_temperature", o -> o.promptResetOnTemperature(nan)),
                option("initial_prompt", o -> o.initialPrompt(-5)),
                option("prefix", o -> o.prefix(-5)),
                option("draft", o -> o.draft(-5).beamSize(1)),
                option("suppress_tokens", o -> o.suppressTokens(1 << 30)),
                option("hallucination_silence_threshold", o -> o.hallucinationSilenceThreshold(2)),
                option("clip_timestamps", o -> o.clipTimestamps(3, 1)),
                option("language_detection_threshold", o -> o.languageDetectionThreshold(nan)),
                option("language_detection_segments", o -> o.languageDetectionSegments(0)));
    }

    private static Arguments option(String name, UnaryOperator<TranscribeOptions.Builder> set) {
        return Arguments.of(name, set);
    }

    @Test
    void optionsThatAreNeverOutOfRangeDoWhatTheySay() {
        Transcript plain = hear("short", o -> o);
        assertEquals(
                "Ever", hear("short", o -> o.maxNewTokens(2).withoutTimestamps(true)).getText().split(" ")[0]);
        // What was said already is not said again.
        assertEquals("ever failed.", hear("short", o -> o.prefix("Ever tried,")).getText());
        assertTrue(hear("short", o -> o.clipTimestamps(0, 1.3)).getText().length() < plain.getText().length());
        int first = plain.getSegments().get(0).getTokens()[1];
        for (int token : hear("short", o -> o.suppressTokens(-1, first)).getSegments().get(0).getTokens()) {
            assertTrue(token != first, "a suppressed token was written");
        }
        // All thresholds off, and every switch at its default, change nothing in clear speech.
        Transcript same = hear("short", o -> o.compressionRatioThreshold(TranscribeOptions.OFF)
                .logProbThreshold(TranscribeOptions.OFF)
                .noSpeechThreshold(TranscribeOptions.OFF)
                .maxInitialTimestamp(1)
                .speechGate(true)
                .suppressBlank(true)
                .suppressNothing(false)
                .carryInitialPrompt(false)
                .conditionOnPreviousText(true)
                .prependPunctuations("(")
                .appendPunctuations(")")
                .seed(7));
        assertArrayEquals(
                plain.getSegments().get(0).getTokens(), same.getSegments().get(0).getTokens());
    }

    @Test
    void soundThatIsNotSoundIsRefused() {
        float[] samples = Fixture.samples("short");
        samples[1000] = Float.NaN;
        var error = assertThrows(AnyonAudioException.class, () -> model.transcribe(samples, Fixture.RATE));
        assertEquals(400, error.getStatus());
        var rate = assertThrows(AnyonArgumentException.class, () -> model.transcribe(samples, 0));
        assertTrue(rate.getMessage().contains("sample_rate"));
        // And the session goes on.
        assertEquals(Fixture.text("short.txt"), model.transcribe(Fixture.samples("short")).getText());
    }
}
