import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.anyon.Anyon;
import ai.anyon.AnyonArgumentException;
import ai.anyon.AnyonBackendException;
import ai.anyon.AnyonBundleException;
import ai.anyon.AnyonModel;
import ai.anyon.ModelOptions;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LoadTest {
    private static void expectSpeech(AnyonModel model) {
        try (model) {
            assertEquals(Fixture.text("short.txt"), model.transcribe(Fixture.samples("short")).getText());
        }
    }

    @Test
    void fromAPath() {
        expectSpeech(AnyonModel.load(Fixture.BUNDLE));
        expectSpeech(AnyonModel.load(Fixture.BUNDLE.toString()));
    }

    @Test
    void fromAMappedFileThatNobodyElseRefersTo() throws IOException {
        AnyonModel model;
        try (FileChannel file = FileChannel.open(Fixture.BUNDLE)) {
            MappedByteBuffer map = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size());
            model = AnyonModel.load(map);
        }
        System.gc();
        expectSpeech(model);
    }

    @Test
    void fromTheMiddleOfADirectBuffer() throws IOException {
        byte[] bundle = Files.readAllBytes(Fixture.BUNDLE);
        ByteBuffer buffer = ByteBuffer.allocateDirect(bundle.length + 100);
        buffer.position(37);
        buffer.put(bundle).flip().position(37);
        expectSpeech(AnyonModel.load(buffer));
        var error = assertThrows(IllegalArgumentException.class, () -> AnyonModel.load(ByteBuffer.wrap(bundle)));
        assertTrue(error.getMessage().contains("allocateDirect"));
    }

    @Test
    void fromAReaderAndFromAStream() throws IOException {
        byte[] bundle = Files.readAllBytes(Fixture.BUNDLE);
        List<Long> offsets = new ArrayList<>();
        expectSpeech(AnyonModel.load(
                (offset, buffer) -> {
                    offsets.add(offset);
                    int count = (int) Math.min(buffer.length, bundle.length - offset);
                    System.arraycopy(bundle, (int) offset, buffer, 0, count);
                    return count;
                },
                bundle.length));
        assertEquals(offsets.stream().sorted().toList(), offsets);
        expectSpeech(AnyonModel.load(
                new ByteArrayInputStream(bundle), bundle.length, ModelOptions.builder().build()));
    }

    @Test
    void whatAReaderThrowsReachesTheCaller() throws IOException {
        IOException broken = new IOException("the card was pulled out");
        assertSame(
                broken,
                assertThrows(
                        IOException.class,
                        () -> AnyonModel.load(
                                (offset, buffer) -> {
                                    throw broken;
                                },
                                1000)));
        // A stream that ends early is an error of the bundle.
        var error = assertThrows(
                AnyonBundleException.class,
                () -> AnyonModel.load(new ByteArrayInputStream(new byte[10]), 1000, ModelOptions.builder().build()));
        assertEquals(200, error.getStatus());
    }

    @Test
    void loadingReportsProgressAndEndsWhereTheListenerThrows() {
        List<Long> done = new ArrayList<>();
        long[] total = new long[1];
        AnyonModel.load(
                        Fixture.BUNDLE,
                        ModelOptions.builder()
                                .onProgress((bytes, all) -> {
                                    done.add(bytes);
                                    total[0] = all;
                                })
                                .build())
                .close();
        assertEquals(total[0], done.get(done.size() - 1));
        RuntimeException enough = new RuntimeException("enough");
        ModelOptions options = ModelOptions.builder()
                .onProgress((bytes, all) -> {
                    throw enough;
                })
                .build();
        assertSame(enough, assertThrows(RuntimeException.class, () -> AnyonModel.load(Fixture.BUNDLE, options)));
    }

    @Test
    void factsAreThoseOfTheBundle() throws IOException {
        try (AnyonModel model = AnyonModel.load(Fixture.BUNDLE)) {
            assertEquals("whisper-tiny.en", model.getName());
            assertEquals("whisper", model.getFamily());
            assertEquals("transcribe", model.getTask());
            assertEquals("int8", model.getRecipe());
            assertEquals(Files.size(Fixture.BUNDLE), model.getBytes());
            assertEquals(16000, model.getSampleRate());
            assertEquals(List.of("en"), model.getLanguages());
            assertTrue(model.getManifest().startsWith("{") && model.getManifest().contains("\"int8\""));
            assertTrue(Anyon.capabilities(Anyon.Capability.ISA).contains(model.getIsa()));
        }
        assertTrue(Anyon.capabilities(Anyon.Capability.TASK).contains("transcribe"));
        assertTrue(Anyon.version().matches("\\d+\\.\\d+\\.\\d+"));
        assertTrue(Anyon.bundleFormatVersion() >= 1);
    }

    @Test
    void anIsaIsTakenOrRefused() {
        try (AnyonModel model = AnyonModel.load(
                Fixture.BUNDLE, ModelOptions.builder().isa("scalar").build())) {
            assertEquals("scalar", model.getIsa());
        }
        var error = assertThrows(
                AnyonBackendException.class,
                () -> AnyonModel.load(Fixture.BUNDLE, ModelOptions.builder().isa("mmx").build()));
        assertTrue(error.getMessage().contains("mmx"));
        assertEquals(302, error.getStatus());
    }

    @Test
    void damageIsABundleException(@TempDir Path folder) throws IOException {
        var missing = assertThrows(AnyonBundleException.class, () -> AnyonModel.load(folder.resolve("no.anyon")));
        assertTrue(missing.getMessage().contains("no.anyon"));
        byte[] bundle = Files.readAllBytes(Fixture.BUNDLE);
        bundle[bundle.length - 1] ^= 1;
        Path damaged = Files.write(folder.resolve("damaged.anyon"), bundle);
        assertEquals(201, assertThrows(AnyonBundleException.class, () -> AnyonModel.load(damaged)).getStatus());
        AnyonModel.load(damaged, ModelOptions.builder().verifyData(false).build()).close();
    }

    @Test
    void numbersOutOfRangeAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> ModelOptions.builder().sessions(0));
        assertThrows(IllegalArgumentException.class, () -> AnyonModel.load((offset, buffer) -> 0, -1));
        try (AnyonModel model = AnyonModel.load(
                Fixture.BUNDLE, ModelOptions.builder().threads(257).build())) {
            var error = assertThrows(AnyonArgumentException.class, () -> model.transcribe(new float[0]));
            assertTrue(error.getMessage().contains("thread"), error.getMessage());
            // A session that could not be made is not counted as taken.
            for (int i = 0; i < 20; ++i) {
                assertThrows(AnyonArgumentException.class, () -> model.transcribe(new float[0]));
            }
        }
    }
}
