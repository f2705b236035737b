package android.view;

public class View {
    public static final int FOCUS_DOWN = 130;

    public void setOnClickListener(OnClickListener listener) {}

    public void setEnabled(boolean enabled) {}

    public boolean isEnabled() {
        return true;
    }

    public boolean post(Runnable action) {
        return true;
    }

    public interface OnClickListener {
        void onClick(View view);
    }
}
