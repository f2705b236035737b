import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import ai.anyon.AnyonModel;
import ai.anyon.ModelOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.function.ThrowingSupplier;

/** The folder that conftest.py describes, from the system property {@code speech}. */
final class Fixture {
    static final int RATE = 16000;
    static final Path FOLDER = Path.of(System.getProperty("speech"));
    static final Path BUNDLE = FOLDER.resolve("tiny.en.anyon");

    private Fixture() {}

    static float[] samples(String name) {
        ByteBuffer bytes = ByteBuffer.wrap(read(name + ".f32")).order(ByteOrder.LITTLE_ENDIAN);
        float[] samples = new float[bytes.remaining() / 4];
        bytes.asFloatBuffer().get(samples);
        return samples;
    }

    static String text(String name) {
        return new String(read(name), StandardCharsets.UTF_8);
    }

    static AnyonModel model() {
        return AnyonModel.load(BUNDLE, ModelOptions.builder().threads(1).build());
    }

    /** What must not hang: a deadlock is a failure within a minute, not a run without an end. */
    static <T> T soon(ThrowingSupplier<T> work) {
        return assertTimeoutPreemptively(Duration.ofSeconds(60), work);
    }

    private static byte[] read(String name) {
        try {
            return Files.readAllBytes(FOLDER.resolve(name));
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }
}
