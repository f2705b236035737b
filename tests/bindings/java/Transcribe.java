import ai.anyon.AnyonModel;
import ai.anyon.ModelOptions;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

/** Prints the kernels that it used and what it heard: {@code Transcribe model.anyon samples.f32}. */
final class Transcribe {
    private Transcribe() {}

    public static void main(String[] arguments) throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(Path.of(arguments[1]))).order(ByteOrder.LITTLE_ENDIAN);
        float[] samples = new float[bytes.remaining() / 4];
        bytes.asFloatBuffer().get(samples);
        ModelOptions options = ModelOptions.builder().threads(1).build();
        try (AnyonModel model = AnyonModel.load(arguments[0], options)) {
            System.out.println(model.getIsa());
            System.out.println(model.transcribe(samples));
        }
    }
}
