import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.anyon.AnyonArgumentException;
import ai.anyon.AnyonCancelledException;
import ai.anyon.AnyonModel;
import ai.anyon.AnyonStream;
import ai.anyon.Cancellation;
import ai.anyon.Segment;
import ai.anyon.TranscribeOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class StreamTest {
    private static final float[] SPEECH = Fixture.samples("speech");
    private static final float[] SHORT = Fixture.samples("short");
    private static AnyonModel model;

    @BeforeAll
    static void load() {
        model = Fixture.model();
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static String text(List<Segment> segments) {
        return segments.stream().map(Segment::getText).collect(Collectors.joining()).strip();
    }

    /** Everything is pushed in the end, and the windows lie where they lie in one recording. */
    @Test
    void pushedInPiecesItHearsWhatTheWholeRecordingSays() {
        List<Segment> segments = new ArrayList<>();
        List<String> called = new ArrayList<>();
        TranscribeOptions options =
                TranscribeOptions.builder().onSegment(segment -> called.add(segment.getText())).build();
        try (AnyonStream stream = model.openStream(options)) {
            assertEquals(AnyonStream.Step.NEED_AUDIO, stream.step());
            for (int at = 0; at < SPEECH.length; at += 4000) {
                stream.push(SPEECH, at, Math.min(4000, SPEECH.length - at), Fixture.RATE);
                segments.addAll(stream.drain());
            }
            assertFalse(segments.isEmpty(), "the first window is final before the end");
            stream.finish();
            segments.addAll(stream.drain());
            assertEquals(AnyonStream.Step.DONE, stream.step());
            assertEquals(SPEECH.length / (double) Fixture.RATE, stream.getInfo().getProgress(), 1e-3);
        }
        assertEquals(Fixture.text("speech.txt"), text(segments));
        assertEquals(segments.stream().map(Segment::getText).toList(), called);
    }

    @Test
    void aPreviewTellsWhatIsNotFinalAndChangesNothing() {
        try (AnyonStream stream = model.openStream()) {
            assertEquals("", stream.preview());
            stream.push(SHORT, Fixture.RATE);
            assertEquals(List.of(), stream.drain());
            assertTrue(stream.preview().contains("failed"), stream.preview());
            stream.finish();
            assertEquals(Fixture.text("short.txt"), text(stream.drain()));
        }
    }

    @Test
    void aStreamGoesOnWhenItsModelIsClosed() {
        AnyonModel own = Fixture.model();
        try (AnyonStream stream = own.openStream()) {
            own.close();
            stream.push(SHORT, Fixture.RATE);
            stream.finish();
            assertEquals(Fixture.text("short.txt"), text(stream.drain()));
        }
    }

    @Test
    void aClosedStreamIsRefused() {
        AnyonStream stream = model.openStream();
        stream.close();
        stream.close();
        stream.cancel();
        assertThrows(IllegalStateException.class, () -> stream.push(SHORT, Fixture.RATE));
        assertThrows(IllegalStateException.class, stream::step);
        assertThrows(IllegalStateException.class, stream::preview);
        assertThrows(IllegalStateException.class, stream::getInfo);
        assertThrows(IllegalStateException.class, stream::finish);
    }

    @Test
    void partsOutsideOfTheArrayAreRefused() {
        try (AnyonStream stream = model.openStream()) {
            int end = SHORT.length;
            assertThrows(IndexOutOfBoundsException.class, () -> stream.push(SHORT, 0, end + 1, Fixture.RATE));
            assertThrows(IndexOutOfBoundsException.class, () -> stream.push(SHORT, -1, 1, Fixture.RATE));
            assertThrows(IndexOutOfBoundsException.class, () -> stream.push(SHORT, end, 1, Fixture.RATE));
            assertThrows(IndexOutOfBoundsException.class, () -> stream.push(SHORT, 2, Integer.MAX_VALUE, Fixture.RATE));
            stream.push(SHORT, end, 0, Fixture.RATE);
            assertEquals(0, stream.getInfo().getDuration());
        }
        var refused = assertThrows(
                AnyonArgumentException.class,
                () -> model.openStream(TranscribeOptions.builder().beamSize(-1).build()));
        assertTrue(refused.getMessage().contains("beam_size"));
    }

    @Test
    void cancelEndsAStreamFromAnotherThreadAndThroughACancellation() throws Exception {
        CountDownLatch heard = new CountDownLatch(1);
        CountDownLatch cancelled = new CountDownLatch(1);
        TranscribeOptions options = TranscribeOptions.builder()
                .onSegment(segment -> {
                    heard.countDown();
                    try {
                        cancelled.await();
                    } catch (InterruptedException stop) {
                        Thread.currentThread().interrupt();
                    }
                })
                .build();
        try (AnyonStream stream = model.openStream(options)) {
            stream.push(SPEECH, Fixture.RATE);
            stream.finish();
            CompletableFuture<Void> other = CompletableFuture.runAsync(() -> {
                try {
                    heard.await();
                } catch (InterruptedException stop) {
                    return;
                }
                stream.cancel();
                cancelled.countDown();
            });
            assertThrows(AnyonCancelledException.class, () -> Fixture.soon(stream::drain));
            other.join();
        }
        Cancellation cancellation = new Cancellation();
        TranscribeOptions second = TranscribeOptions.builder().cancellation(cancellation).build();
        try (AnyonStream stream = model.openStream(second)) {
            stream.push(SHORT, Fixture.RATE);
            stream.finish();
            cancellation.cancel();
            assertThrows(AnyonCancelledException.class, stream::step);
        }
    }

    @Test
    void aCallbackMayCloseItsStreamAndMayNotUseIt() {
        RuntimeException[] refused = new RuntimeException[1];
        AnyonStream[] own = new AnyonStream[1];
        TranscribeOptions options = TranscribeOptions.builder()
                .onSegment(segment -> {
                    refused[0] = assertThrows(IllegalStateException.class, () -> own[0].preview());
                    own[0].close();
                })
                .build();
        own[0] = model.openStream(options);
        own[0].push(SHORT, Fixture.RATE);
        own[0].finish();
        Fixture.soon(own[0]::step);
        assertTrue(refused[0].getMessage().contains("callback"));
        assertThrows(IllegalStateException.class, own[0]::step);
    }

    @Test
    void whatACallbackThrowsIsThrownByStep() {
        RuntimeException ours = new RuntimeException("ours");
        TranscribeOptions options = TranscribeOptions.builder()
                .onSegment(segment -> {
                    throw ours;
                })
                .build();
        try (AnyonStream stream = model.openStream(options)) {
            stream.push(SHORT, Fixture.RATE);
            stream.finish();
            assertSame(ours, assertThrows(RuntimeException.class, stream::step));
        }
    }

    @Test
    void closingFromAnotherThreadWaitsForTheStep() throws Exception {
        for (int round = 0; round < 5; ++round) {
            AnyonStream stream = model.openStream();
            stream.push(SPEECH, Fixture.RATE);
            stream.finish();
            CompletableFuture<Void> running = CompletableFuture.runAsync(() -> {
                RuntimeException end = assertThrows(RuntimeException.class, () -> {
                    for (;;) {
                        stream.step();
                    }
                });
                assertTrue(end instanceof AnyonCancelledException || end instanceof IllegalStateException, end::toString);
            });
            Thread.sleep(20L * round);
            Fixture.soon(() -> {
                stream.close();
                return running.join();
            });
        }
    }
}
