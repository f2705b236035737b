package ai.anyon.captions

import ai.anyon.AnyonModel
import android.content.Context
import android.net.Uri
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.nio.channels.FileChannel

/** Where the app's bundle is: the one that was chosen, else `model.anyon` among the assets. */
class Bundles(private val context: Context) {
    private val chosen = File(context.filesDir, NAME)

    /** Opens the bundle; null where there is none. Takes a moment: not on the main thread. */
    fun load(): AnyonModel? = if (chosen.exists()) AnyonModel.load(chosen.path) else loadAsset()

    /** Copies a bundle that the user picked and loads it; a damaged one is refused and the one before stays. */
    fun take(picked: Uri): AnyonModel {
        // Written beside and then renamed, so that the app never finds half a bundle.
        val incoming = File(context.filesDir, "$NAME.new")
        try {
            val input = context.contentResolver.openInputStream(picked) ?: throw IOException("$picked: cannot be read")
            input.use { from -> incoming.outputStream().use { to -> from.copyTo(to) } }
            AnyonModel.load(incoming.path).close()
            if (!incoming.renameTo(chosen)) throw IOException("$chosen: cannot be written: is the storage full?")
        } finally {
            incoming.delete()
        }
        return AnyonModel.load(chosen.path)
    }

    private fun loadAsset(): AnyonModel? {
        val asset = try {
            context.assets.openFd(NAME)
        } catch (none: FileNotFoundException) {
            return null
        }
        return asset.use {
            it.createInputStream().channel.use { file ->
                AnyonModel.load(file.map(FileChannel.MapMode.READ_ONLY, it.startOffset, it.declaredLength))
            }
        }
    }

    private companion object {
        const val NAME = "model.anyon"
    }
}
