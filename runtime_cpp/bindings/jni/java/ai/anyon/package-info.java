/**
 * anyon: speech to text on the device, from one bundle file.
 *
 * <pre>{@code
 * try (AnyonModel model = AnyonModel.load("tiny.en.anyon")) {
 *     System.out.println(model.transcribe(pcm, 16000).getText());
 * }
 * }</pre>
 *
 * <p>Nothing in this package is ever null: no argument may be, and no method returns it. What is missing is the empty
 * string or the empty list. Failures of the library are {@link ai.anyon.AnyonException}; using what was closed is an
 * {@link IllegalStateException}.
 *
 * <p>The native library {@code anyon_jni} is loaded from {@code java.library.path}, on Android from the app's own
 * libraries; the system property {@code anyon.library} may name another file.
 */
package ai.anyon;
