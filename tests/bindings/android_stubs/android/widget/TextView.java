package android.widget;

import android.view.View;

public class TextView extends View {
    public final void setText(CharSequence text) {}

    public final void setText(int id) {}

    public CharSequence getText() {
        return "";
    }

    public final void append(CharSequence text) {}
}
