package ai.anyon.captions

import ai.anyon.AnyonModel
import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.ScrollView
import android.widget.TextView
import java.util.concurrent.Executors

/** One screen: captions, a button to listen, and a way to choose another model. */
class MainActivity : Activity(), Captions.Listener {
    private val background = Executors.newSingleThreadExecutor()
    private lateinit var bundles: Bundles

    /** Set in the background, used on the main thread. */
    @Volatile private var model: AnyonModel? = null
    private var captions: Captions? = null

    private val listen: Button get() = findViewById(R.id.listen)
    private val status: TextView get() = findViewById(R.id.status)
    private val finalText: TextView get() = findViewById(R.id.captions)
    private val previewText: TextView get() = findViewById(R.id.preview)

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        bundles = Bundles(applicationContext)
        listen.setOnClickListener { if (captions == null) start() else stop() }
        findViewById<Button>(R.id.choose).setOnClickListener { choose() }
        prepare { bundles.load() }
    }

    override fun onStop() {
        stop()
        super.onStop()
    }

    override fun onDestroy() {
        // After what is being loaded, which would be forgotten otherwise.
        background.execute { model?.close() }
        background.shutdown()
        super.onDestroy()
    }

    private fun choose() {
        val intent = Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType("*/*")
        startActivityForResult(intent, REQUEST_BUNDLE)
    }

    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        super.onActivityResult(requestCode, resultCode, data)
        val picked: Uri = data?.data ?: return
        if (requestCode == REQUEST_BUNDLE && resultCode == RESULT_OK) prepare { bundles.take(picked) }
    }

    /** Loads a model in the background and uses it from then on. */
    private fun prepare(load: () -> AnyonModel?) {
        stop()
        listen.isEnabled = false
        status.setText(R.string.loading)
        background.execute {
            val loaded = runCatching(load)
            val next = loaded.getOrNull()
            if (next != null) {
                model?.close()
                model = next
            }
            runOnUiThread { show(loaded.exceptionOrNull()) }
        }
    }

    private fun show(error: Throwable?) {
        val usable = model
        listen.isEnabled = usable != null
        status.text = when {
            error != null -> error.message
            usable != null -> getString(R.string.ready, usable.name)
            else -> getString(R.string.no_model)
        }
    }

    private fun start() {
        if (checkSelfPermission(Manifest.permission.RECORD_AUDIO) != PackageManager.PERMISSION_GRANTED) {
            requestPermissions(arrayOf(Manifest.permission.RECORD_AUDIO), REQUEST_MICROPHONE)
            return
        }
        val usable = model ?: return
        captions = Captions(usable, { rate -> Microphone(applicationContext, rate) }, this)
        listen.setText(R.string.stop)
        status.setText(R.string.listening)
    }

    override fun onRequestPermissionsResult(requestCode: Int, permissions: Array<String>, grantResults: IntArray) {
        super.onRequestPermissionsResult(requestCode, permissions, grantResults)
        if (requestCode != REQUEST_MICROPHONE) return
        val granted = grantResults.firstOrNull() == PackageManager.PERMISSION_GRANTED
        if (granted) start() else status.setText(R.string.no_permission)
    }

    private fun stop() {
        captions?.close() ?: return
        captions = null
        listen.setText(R.string.start)
        status.text = ""
        // What was only a preview is all that will be known of it.
        finalText.append(previewText.text)
        previewText.text = ""
    }

    override fun onFinal(text: String) = whileListening {
        finalText.append(text)
        val scroll = findViewById<ScrollView>(R.id.scroll)
        scroll.post { scroll.fullScroll(View.FOCUS_DOWN) }
    }

    override fun onPreview(text: String) = whileListening { previewText.text = " $text" }

    override fun onError(error: Exception) = whileListening {
        stop()
        status.text = error.message
    }

    /** Runs on the main thread, unless the captions were stopped on the way there. */
    private fun whileListening(show: () -> Unit) = runOnUiThread { if (captions != null) show() }

    private companion object {
        const val REQUEST_BUNDLE = 1
        const val REQUEST_MICROPHONE = 2
    }
}
