import ai.anyon.AnyonCancelledException
import ai.anyon.AnyonModel
import ai.anyon.loadAnyonModel
import ai.anyon.modelOptions
import ai.anyon.openStream
import ai.anyon.segments
import ai.anyon.transcribe
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class KotlinTest {
    private val folder = File(System.getProperty("speech"))
    private val bundle = folder.resolve("tiny.en.anyon")
    private val short = samples("short")

    private fun samples(name: String): FloatArray {
        val buffer = ByteBuffer.wrap(folder.resolve("$name.f32").readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(buffer.remaining()).also { buffer.get(it) }
    }

    private fun expected(name: String): String = folder.resolve("$name.txt").readText()

    @Test
    fun useClosesTheModelAndPropertiesReadAsInKotlin() {
        val model = AnyonModel.load(bundle.path)
        val text: String = model.use { it.transcribe(short).text }
        assertEquals(expected("short"), text)
        assertTrue(model.isClosed)
        assertThrows(IllegalStateException::class.java) { model.transcribe(short) }
    }

    @Test
    fun optionsAreSetInABlock() {
        AnyonModel.load(bundle.path, modelOptions { threads(1) }).use { model ->
            val heard = mutableListOf<String>()
            val transcript = model.transcribe(short) {
                wordTimestamps(true)
                onSegment { heard += it.text }
            }
            assertEquals(heard, transcript.segments.map { it.text })
            val words = transcript.segments.flatMap { it.words }
            assertEquals(transcript.text, words.joinToString("") { it.word }.trim())
        }
    }

    @Test
    fun segmentsComeWhileChunksAreRead() {
        val pcm = samples("speech")
        var pushed = 0
        var pushedAtFirstSegment = 0
        val chunks = pcm.asList().chunked(16000).asSequence().map { it.toFloatArray() }.onEach { pushed += it.size }
        AnyonModel.load(bundle.path, modelOptions { threads(1) }).use { model ->
            val text = model.segments(chunks)
                .onEach { if (pushedAtFirstSegment == 0) pushedAtFirstSegment = pushed }
                .joinToString("") { it.text }
            assertEquals(expected("speech"), text.trim())
        }
        assertEquals(pcm.size, pushed)
        assertTrue(pushedAtFirstSegment < pcm.size)
    }

    @Test
    fun anAssetIsReadFromItsStream() {
        bundle.inputStream().loadAnyonModel(bundle.length()).use { assertEquals(expected("short"), it.transcribe(short).text) }
    }

    @Test
    fun aStreamIsOpenedWithABlockAndCancelled() {
        AnyonModel.load(bundle.path).use { model ->
            model.openStream { beamSize(1) }.use { stream ->
                stream.push(short, model.sampleRate)
                assertFalse(stream.preview().isEmpty())
                stream.cancel()
                assertThrows(AnyonCancelledException::class.java) { stream.step() }
            }
        }
    }
}
