package ai.anyon;

import java.io.IOException;

/** Reads a bundle from an archive, an asset, encrypted storage. */
@FunctionalInterface
public interface BundleReader {
    /**
     * Fills a buffer; called on the thread that loads, with offsets that follow each other, until loading returns.
     *
     * @param offset where in the bundle
     * @param buffer to be filled from its start
     * @return how many bytes were read: fewer than the buffer holds only where the bundle ends
     * @throws IOException ends loading; the caller of load gets it
     */
    int read(long offset, byte[] buffer) throws IOException;
}
