package ai.anyon;

/** What to write. */
public enum Task {
    /** What is said, in its own language. */
    TRANSCRIBE,
    /** What is said, in English. */
    TRANSLATE
}
