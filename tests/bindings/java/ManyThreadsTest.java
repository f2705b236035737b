import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.anyon.AnyonModel;
import ai.anyon.ModelOptions;
import ai.anyon.TranscribeOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** One model, eight threads: the texts of Python, and native memory that does not grow. */
class ManyThreadsTest {
    private static final int THREADS = 8;
    private static final int RUNS = Integer.getInteger("runs", 8);
    /** What the Java machine itself still allocates: code that is compiled, threads' bookkeeping. */
    private static final double GROWTH = 1.02;

    @Test
    void eightThreadsHearTheSameInTheSameMemory() throws Exception {
        float[] samples = Fixture.samples("short");
        String expected = Fixture.text("short.txt");
        TranscribeOptions options = TranscribeOptions.builder().beamSize(5).wordTimestamps(true).build();
        ExecutorService threads = Executors.newFixedThreadPool(THREADS);
        try (AnyonModel model = AnyonModel.load(
                Fixture.BUNDLE, ModelOptions.builder().threads(1).sessions(THREADS).build())) {
            long rss = 0;
            long allocated = 0;
            // Rounds of equal work: the first two warm up, and in each pause nothing runs.
            int rounds = 12;
            for (int round = 0; round < rounds; ++round) {
                List<Future<List<String>>> heard = new ArrayList<>();
                for (int thread = 0; thread < THREADS; ++thread) {
                    heard.add(threads.submit(() -> {
                        List<String> texts = new ArrayList<>();
                        for (int i = 0; i < Math.max(1, RUNS / 10); ++i) {
                            texts.add(model.transcribe(samples, Fixture.RATE, options).getText());
                        }
                        return texts;
                    }));
                }
                for (Future<List<String>> each : heard) {
                    for (String text : each.get()) {
                        assertEquals(expected, text);
                    }
                }
                System.gc();
                System.out.printf("round %d: rss %d KiB, malloc %d bytes%n", round, rssKib(), NativeMemory.inUse());
                if (round == 1) {
                    rss = rssKib();
                    allocated = NativeMemory.inUse();
                }
            }
            assertTrue(rssKib() <= rss * GROWTH, "rss " + rss + " to " + rssKib() + " KiB");
            assertTrue(
                    NativeMemory.inUse() <= allocated * GROWTH,
                    "malloc " + allocated + " to " + NativeMemory.inUse() + " bytes");
        } finally {
            threads.shutdown();
            threads.awaitTermination(10, TimeUnit.SECONDS);
        }
    }

    private static long rssKib() throws IOException {
        return Files.lines(Path.of("/proc/self/smaps_rollup"))
                .filter(line -> line.startsWith("Rss:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D+", "")))
                .sum();
    }
}
