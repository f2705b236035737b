package ai.anyon.captions

import ai.anyon.AnyonCancelledException
import ai.anyon.AnyonModel
import ai.anyon.AnyonStream
import ai.anyon.openStream
import java.io.Closeable
import kotlin.concurrent.thread

/** Turns what the microphone hears into captions, on a thread of its own, until it is closed. */
class Captions(
    private val model: AnyonModel,
    private val openMicrophone: (sampleRate: Int) -> Microphone,
    private val listener: Listener,
) : Closeable {
    /** Called from the thread of the captions. */
    interface Listener {
        /** [text] is final and follows what was final before. */
        fun onFinal(text: String)

        /** [text] is what seems to be said now; it replaces the preview before. */
        fun onPreview(text: String)

        fun onError(error: Exception)
    }

    @Volatile private var closed = false
    @Volatile private var stream: AnyonStream? = null

    init {
        thread(name = "captions") { run() }
    }

    /** Ends within one token; nothing is called back afterwards. */
    override fun close() {
        closed = true
        stream?.cancel()
    }

    private fun run() {
        try {
            // Greedy and without second tries: a caption is wanted now.
            val opened = model.openStream {
                beamSize(1)
                temperatures(0f)
            }
            opened.use {
                stream = it
                openMicrophone(model.sampleRate).use { microphone -> listen(it, microphone) }
            }
        } catch (end: AnyonCancelledException) {
            // closed
        } catch (error: Exception) {
            if (!closed) listener.onError(error)
        }
    }

    private fun listen(stream: AnyonStream, microphone: Microphone) {
        val samples = FloatArray(microphone.sampleRate * CHUNK_MILLISECONDS / 1000)
        while (!closed) {
            val count = microphone.read(samples)
            stream.push(samples, 0, count, microphone.sampleRate)
            for (segment in stream.drain()) tell { onFinal(segment.text) }
            val preview = stream.preview()
            tell { onPreview(preview) }
        }
    }

    private inline fun tell(call: Listener.() -> Unit) {
        if (!closed) listener.call()
    }

    private companion object {
        /** Between two previews; each runs the encoder once. */
        const val CHUNK_MILLISECONDS = 500
    }
}
