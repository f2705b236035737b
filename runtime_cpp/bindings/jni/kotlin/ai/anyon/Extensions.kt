/** The Java API as Kotlin would have it; nothing here needs more than Kotlin's standard library. */
package ai.anyon

import java.io.InputStream

/** Options as `modelOptions { threads(2) }`. */
public inline fun modelOptions(set: ModelOptions.Builder.() -> Unit): ModelOptions =
    ModelOptions.builder().apply(set).build()

/** Options as `transcribeOptions { language("en"); beamSize(1) }`. */
public inline fun transcribeOptions(set: TranscribeOptions.Builder.() -> Unit): TranscribeOptions =
    TranscribeOptions.builder().apply(set).build()

/**
 * Transcribes a whole recording: `model.transcribe(pcm, 16000) { wordTimestamps(true) }`.
 *
 * @see AnyonModel.transcribe
 */
public inline fun AnyonModel.transcribe(
    pcm: FloatArray,
    sampleRate: Int = this.sampleRate,
    set: TranscribeOptions.Builder.() -> Unit,
): Transcript = transcribe(pcm, sampleRate, transcribeOptions(set))

/** Begins to transcribe while the audio comes in: `model.openStream { beamSize(1) }.use { ... }`. */
public inline fun AnyonModel.openStream(set: TranscribeOptions.Builder.() -> Unit): AnyonStream =
    openStream(transcribeOptions(set))

/** Loads a bundle of [totalBytes] bytes from this stream, such as an asset's, and closes the stream. */
public fun InputStream.loadAnyonModel(totalBytes: Long, options: ModelOptions = modelOptions { }): AnyonModel =
    use { AnyonModel.load(it, totalBytes, options) }

/**
 * Transcribes what [chunks] bring, piece by piece, and gives each segment as soon as it is final. The stream lives as long
 * as the sequence is read to its end; a reader that stops early leaves it to the garbage collector.
 */
public fun AnyonModel.segments(
    chunks: Sequence<FloatArray>,
    sampleRate: Int = this.sampleRate,
    options: TranscribeOptions = transcribeOptions { },
): Sequence<Segment> = sequence {
    openStream(options).use { stream ->
        for (chunk in chunks) {
            stream.push(chunk, sampleRate)
            yieldAll(stream.drain())
        }
        stream.finish()
        yieldAll(stream.drain())
    }
}
