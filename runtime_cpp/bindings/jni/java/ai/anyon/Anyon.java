package ai.anyon;

import java.util.List;

/** What the library is and can do. */
public final class Anyon {
    private Anyon() {}

    /**
     * The version of the library.
     *
     * @return such as {@code 0.1.0}
     */
    public static String version() {
        return Answer.of(Native.library()).text();
    }

    /**
     * The newest bundle format that the library reads; it reads all before.
     *
     * @return the number that bundles carry
     */
    public static int bundleFormatVersion() {
        Answer answer = Answer.of(Native.library());
        answer.text();
        answer.integer();
        return answer.integer();
    }

    /**
     * Names of what this build can do on this machine.
     *
     * @param kind what to ask for
     * @return an unmodifiable list
     */
    public static List<String> capabilities(Capability kind) {
        return Answer.of(Native.capabilities(kind.ordinal())).texts();
    }

    /** What to ask {@link #capabilities} for. */
    public enum Capability {
        /** Instruction sets, slowest first; one of them may be {@link ModelOptions.Builder#isa}. */
        ISA,
        /** Ops of fused programs. */
        OP,
        /** ONNX operators of graph programs; none where the build left graphs out. */
        GRAPH_OP,
        /** {@code transcribe}, {@code translate}. */
        TASK
    }
}
