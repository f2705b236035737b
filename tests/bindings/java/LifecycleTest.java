import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.anyon.AnyonCancelledException;
import ai.anyon.AnyonModel;
import ai.anyon.Cancellation;
import ai.anyon.ModelOptions;
import ai.anyon.TranscribeOptions;
import ai.anyon.Transcript;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

/** Closing, cancelling, and callbacks that throw: nothing of it may crash, hang, or be lost. */
class LifecycleTest {
    private static final float[] SPEECH = Fixture.samples("speech");
    private static final float[] SHORT = Fixture.samples("short");

    /** Runs until the first window is heard, and then until `ended` lets it go on. */
    private static TranscribeOptions pausing(CountDownLatch heard, CountDownLatch ended) {
        return TranscribeOptions.builder()
                .onSegment(segment -> {
                    heard.countDown();
                    awaitQuietly(ended);
                })
                .build();
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
        }
    }

    private static CompletableFuture<Transcript> start(AnyonModel model, TranscribeOptions options) {
        return CompletableFuture.supplyAsync(
                () -> model.transcribe(SPEECH, Fixture.RATE, options), task -> new Thread(task).start());
    }

    /** The cancelled transcription's exception. */
    private static AnyonCancelledException cancelled(CompletableFuture<Transcript> transcript) {
        Throwable error = assertThrows(CompletionException.class, () -> Fixture.soon(transcript::join)).getCause();
        return (AnyonCancelledException) error;
    }

    @Test
    void aClosedModelIsRefusedAndMayBeClosedAgain() {
        AnyonModel model = Fixture.model();
        model.transcribe(SHORT);
        assertFalse(model.isClosed());
        model.close();
        model.close();
        assertTrue(model.isClosed());
        assertThrows(IllegalStateException.class, () -> model.transcribe(SHORT));
        assertThrows(IllegalStateException.class, model::openStream);
        model.cancel();
        model.trim();
        assertEquals("whisper-tiny.en", model.getName());
    }

    @Test
    void closingEndsWhatRunsAndWaitsForIt() throws Exception {
        AnyonModel model = Fixture.model();
        CountDownLatch heard = new CountDownLatch(1);
        CountDownLatch ended = new CountDownLatch(1);
        CompletableFuture<Transcript> running = start(model, pausing(heard, ended));
        heard.await();
        CompletableFuture<Void> closing = CompletableFuture.runAsync(model::close, task -> new Thread(task).start());
        Thread.sleep(50);
        assertFalse(closing.isDone(), "close did not wait for the transcription");
        ended.countDown();
        Fixture.soon(closing::join);
        AnyonCancelledException error = cancelled(running);
        assertFalse(error.getTranscript().getSegments().isEmpty(), "what was final is kept");
        assertTrue(Fixture.text("speech.txt").startsWith(error.getTranscript().getText()));
    }

    @Test
    void aCallbackMayCloseTheModelThatCallsIt() {
        AnyonModel model = Fixture.model();
        TranscribeOptions options =
                TranscribeOptions.builder().onSegment(segment -> model.close()).build();
        Fixture.soon(() -> assertThrows(
                AnyonCancelledException.class, () -> model.transcribe(SPEECH, Fixture.RATE, options)));
        assertThrows(IllegalStateException.class, () -> model.transcribe(SHORT));
    }

    @Test
    void closingWhileManyThreadsTranscribeNeverCrashes() {
        for (int round = 0; round < 5; ++round) {
            AnyonModel model = AnyonModel.load(
                    Fixture.BUNDLE, ModelOptions.builder().threads(1).sessions(2).build());
            List<CompletableFuture<String>> running = new ArrayList<>();
            for (int i = 0; i < 6; ++i) {
                running.add(CompletableFuture.supplyAsync(
                        () -> {
                            for (;;) {
                                assertEquals(Fixture.text("short.txt"), model.transcribe(SHORT).getText());
                            }
                        },
                        task -> new Thread(task).start()));
            }
            Fixture.soon(() -> {
                Thread.sleep(150);
                model.close();
                return null;
            });
            for (CompletableFuture<String> each : running) {
                Throwable end = assertThrows(CompletionException.class, () -> Fixture.soon(each::join)).getCause();
                assertTrue(end instanceof IllegalStateException || end instanceof AnyonCancelledException, () -> "" + end);
            }
        }
    }

    @Test
    void cancelFromAnotherThreadEndsWhatRunsAndNotWhatComesAfter() throws Exception {
        try (AnyonModel model = Fixture.model()) {
            CountDownLatch heard = new CountDownLatch(1);
            CountDownLatch ended = new CountDownLatch(1);
            CompletableFuture<Transcript> running = start(model, pausing(heard, ended));
            heard.await();
            model.cancel();
            ended.countDown();
            assertEquals(500, cancelled(running).getStatus());
            assertEquals(Fixture.text("short.txt"), model.transcribe(SHORT).getText());
        }
    }

    @Test
    void aCancellationEndsItsOwnTranscriptionsAlone() throws Exception {
        try (AnyonModel model = Fixture.model()) {
            Cancellation cancellation = new Cancellation();
            CountDownLatch heard = new CountDownLatch(2);
            CountDownLatch ended = new CountDownLatch(1);
            CompletableFuture<Transcript> other = start(model, pausing(heard, ended));
            CompletableFuture<Transcript> running = start(
                    model,
                    TranscribeOptions.builder()
                            .cancellation(cancellation)
                            .onSegment(segment -> {
                                heard.countDown();
                                awaitQuietly(ended);
                            })
                            .build());
            heard.await();
            cancellation.cancel();
            ended.countDown();
            cancelled(running);
            assertEquals(Fixture.text("speech.txt"), Fixture.soon(other::join).getText());
            assertTrue(cancellation.isCancelled());
            TranscribeOptions late =
                    TranscribeOptions.builder().cancellation(cancellation).build();
            AnyonCancelledException before = assertThrows(
                    AnyonCancelledException.class, () -> model.transcribe(SHORT, Fixture.RATE, late));
            assertEquals("", before.getTranscript().getText());
        }
    }

    @Test
    void whatACallbackThrowsIsThrownByTranscribeAndEndsIt() {
        try (AnyonModel model = Fixture.model()) {
            Error ours = new AssertionError("ours");
            int[] calls = new int[1];
            TranscribeOptions options = TranscribeOptions.builder()
                    .onSegment(segment -> {
                        ++calls[0];
                        throw ours;
                    })
                    .build();
            assertSame(ours, assertThrows(Error.class, () -> model.transcribe(SPEECH, Fixture.RATE, options)));
            assertEquals(1, calls[0]);
            RuntimeException progress = new RuntimeException("progress");
            TranscribeOptions second = TranscribeOptions.builder()
                    .onProgress((done, total) -> {
                        throw progress;
                    })
                    .build();
            assertSame(
                    progress,
                    assertThrows(RuntimeException.class, () -> model.transcribe(SPEECH, Fixture.RATE, second)));
            assertEquals(Fixture.text("short.txt"), model.transcribe(SHORT).getText());
        }
    }

    @Test
    void aCallbackMayTranscribeWithTheSameModel() {
        try (AnyonModel model = AnyonModel.load(
                Fixture.BUNDLE, ModelOptions.builder().threads(1).sessions(2).build())) {
            List<String> inner = new ArrayList<>();
            TranscribeOptions options = TranscribeOptions.builder()
                    .onSegment(segment -> inner.add(model.transcribe(SHORT).getText()))
                    .build();
            Transcript outer = Fixture.soon(() -> model.transcribe(SPEECH, Fixture.RATE, options));
            assertEquals(Fixture.text("speech.txt"), outer.getText());
            assertEquals(outer.getSegments().size(), inner.size());
            assertTrue(inner.stream().allMatch(Fixture.text("short.txt")::equals));
        }
    }

    @Test
    void whoWaitsForASessionGetsOneOrIsCancelled() throws Exception {
        try (AnyonModel model = AnyonModel.load(
                Fixture.BUNDLE, ModelOptions.builder().threads(1).sessions(1).build())) {
            CountDownLatch heard = new CountDownLatch(1);
            CountDownLatch ended = new CountDownLatch(1);
            CompletableFuture<Transcript> running = start(model, pausing(heard, ended));
            heard.await();
            Cancellation cancellation = new Cancellation();
            CompletableFuture<Transcript> waiting = start(
                    model, TranscribeOptions.builder().cancellation(cancellation).build());
            CompletableFuture<Transcript> patient = start(model, TranscribeOptions.builder().build());
            Thread.sleep(50);
            assertFalse(waiting.isDone() || patient.isDone(), "there is one session only");
            cancellation.cancel();
            cancelled(waiting);
            ended.countDown();
            assertEquals(Fixture.text("speech.txt"), Fixture.soon(running::join).getText());
            assertEquals(Fixture.text("speech.txt"), Fixture.soon(patient::join).getText());
        }
    }

    /** Each model maps its file, and a mapping shows in /proc. */
    @Test
    void aForgottenModelIsFreedSomeTime() throws Exception {
        int before = mappings();
        for (int i = 0; i < 3; ++i) {
            Fixture.model().transcribe(SHORT);
        }
        assertEquals(before + 3, mappings());
        for (int i = 0; i < 100 && mappings() > before; ++i) {
            System.gc();
            Thread.sleep(20);
        }
        assertEquals(before, mappings());
    }

    private static int mappings() throws Exception {
        return (int) Files.lines(Path.of("/proc/self/maps"))
                .filter(line -> line.endsWith("tiny.en.anyon"))
                .count();
    }
}
