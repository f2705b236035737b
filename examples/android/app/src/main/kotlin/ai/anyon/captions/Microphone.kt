package ai.anyon.captions

import android.Manifest
import android.annotation.SuppressLint
import android.content.Context
import android.content.pm.PackageManager
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder
import java.io.Closeable
import java.io.IOException

/** The microphone as mono floats at [sampleRate]. It listens from the start until it is closed. */
@SuppressLint("MissingPermission") // asked for by MainActivity, and checked here
class Microphone(context: Context, val sampleRate: Int) : Closeable {
    private val record: AudioRecord

    init {
        val allowed = context.checkSelfPermission(Manifest.permission.RECORD_AUDIO) == PackageManager.PERMISSION_GRANTED
        if (!allowed) throw IOException("microphone: not allowed")
        val channel = AudioFormat.CHANNEL_IN_MONO
        val encoding = AudioFormat.ENCODING_PCM_FLOAT
        // Room for what arrives while a window is transcribed; what does not fit is lost.
        val room = sampleRate * SECONDS_OF_ROOM * Float.SIZE_BYTES
        val bytes = maxOf(AudioRecord.getMinBufferSize(sampleRate, channel, encoding), room)
        record = AudioRecord(MediaRecorder.AudioSource.VOICE_RECOGNITION, sampleRate, channel, encoding, bytes)
        if (record.state != AudioRecord.STATE_INITIALIZED) {
            record.release()
            throw IOException("microphone: in use by another app, or it does not record at $sampleRate Hz")
        }
        record.startRecording()
    }

    /** Waits until [samples] are filled, and returns how many there are: fewer when the microphone was closed. */
    fun read(samples: FloatArray): Int {
        val count = record.read(samples, 0, samples.size, AudioRecord.READ_BLOCKING)
        if (count < 0) throw IOException("microphone: error $count while reading")
        return count
    }

    override fun close() {
        record.stop()
        record.release()
    }

    private companion object {
        const val SECONDS_OF_ROOM = 10
    }
}
