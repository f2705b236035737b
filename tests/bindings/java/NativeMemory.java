/** What the C library has handed out, which is where a leak shows before the operating system sees it. */
final class NativeMemory {
    static {
        System.load(System.getProperty("native.memory"));
    }

    private NativeMemory() {}

    static native long inUse();
}
