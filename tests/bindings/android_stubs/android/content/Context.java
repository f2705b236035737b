package android.content;

import android.content.res.AssetManager;
import java.io.File;

public abstract class Context {
    public File getFilesDir() {
        return null;
    }

    public ContentResolver getContentResolver() {
        return null;
    }

    public AssetManager getAssets() {
        return null;
    }

    public Context getApplicationContext() {
        return null;
    }

    public int checkSelfPermission(String permission) {
        return 0;
    }

    public final String getString(int id) {
        return null;
    }

    public final String getString(int id, Object... arguments) {
        return null;
    }
}
