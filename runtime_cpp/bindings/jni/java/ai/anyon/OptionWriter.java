package ai.anyon;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Collects the options that were set, by their names in the C API; what was not set has the library's default. A later
 * value of the same option wins.
 */
final class OptionWriter {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    OptionWriter put(String name, boolean value) {
        return put(name, value ? 1 : 0);
    }

    OptionWriter put(String name, int value) {
        return begin(name, 'i').add(buffer(4).putInt(value));
    }

    OptionWriter put(String name, long value) {
        return begin(name, 'l').add(buffer(8).putLong(value));
    }

    OptionWriter put(String name, float value) {
        return begin(name, 'f').add(buffer(4).putFloat(value));
    }

    OptionWriter put(String name, String value) {
        requireText(name, value);
        return begin(name, 's').text(value);
    }

    OptionWriter put(String name, float[] values) {
        ByteBuffer list = buffer(4 + 4 * values.length).putInt(values.length);
        for (float value : values) {
            list.putFloat(value);
        }
        return begin(name, 'F').add(list);
    }

    OptionWriter put(String name, double[] values) {
        ByteBuffer list = buffer(4 + 8 * values.length).putInt(values.length);
        for (double value : values) {
            list.putDouble(value);
        }
        return begin(name, 'D').add(list);
    }

    OptionWriter put(String name, int[] values) {
        return begin(name, 'I').add(list(values));
    }

    OptionWriter put(String name, byte[] values) {
        return begin(name, 'B').add(buffer(4 + values.length).putInt(values.length).put(values));
    }

    OptionWriter putPrompt(String name, String text) {
        requireText(name, text);
        begin(name, 'p').bytes.write('s');
        return text(text);
    }

    OptionWriter putPrompt(String name, int[] tokens) {
        begin(name, 'p').bytes.write('I');
        return add(list(tokens));
    }

    byte[] toBytes() {
        return bytes.toByteArray();
    }

    /** A text as C++ reads it outside of options. */
    static byte[] encode(String name, String value) {
        requireText(name, value);
        return new OptionWriter().text(value).toBytes();
    }

    private static void requireText(String name, String value) {
        if (value.indexOf('\0') >= 0) {
            throw new AnyonArgumentException(
                    AnyonException.INVALID_ARGUMENT, name + ": a zero character inside: remove it");
        }
    }

    private static ByteBuffer list(int[] values) {
        ByteBuffer list = buffer(4 + 4 * values.length).putInt(values.length);
        for (int value : values) {
            list.putInt(value);
        }
        return list;
    }

    private OptionWriter begin(String name, char type) {
        text(name).bytes.write(type);
        return this;
    }

    private OptionWriter text(String value) {
        byte[] text = value.getBytes(StandardCharsets.UTF_8);
        return add(buffer(4 + text.length + 1).putInt(text.length).put(text).put((byte) 0));
    }

    private OptionWriter add(ByteBuffer value) {
        bytes.write(value.array(), 0, value.capacity());
        return this;
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.nativeOrder());
    }
}
