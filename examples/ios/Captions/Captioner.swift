import Anyon
import Foundation

/// Turns what a microphone hears into captions. Knows nothing of the screen or of the microphone's framework.
@MainActor
final class Captioner {
  struct State: Sendable {
    /// What is final.
    var heard = ""
    /// What seems to be said now.
    var preview = ""
    var message = "Loading the model…"
    var isReady = false
    var isListening = false
  }

  private var state = State()
  private var model: AnyonModel?

  /// Loads the bundle; `show` is given every change.
  func load(_ bundle: URL?, show: @MainActor (State) -> Void) async {
    do {
      guard let bundle else { throw CocoaError(.fileNoSuchFile) }
      let loaded = try await AnyonModel(contentsOf: bundle)
      model = loaded
      state.isReady = true
      state.message = "\(loaded.name) is ready."
    } catch {
      state.message = "No model: \(error.localizedDescription)"
    }
    show(state)
  }

  /// Listens until the task is cancelled or the chunks end.
  func listen(
    to chunks: @Sendable () async throws -> AsyncStream<[Float]>, at sampleRate: Int, show: @MainActor (State) -> Void
  ) async {
    guard let model else { return }
    (state.isListening, state.message) = (true, "Listening…")
    show(state)
    do {
      // Greedy and without second tries: a caption is wanted now.
      var options = TranscribeOptions()
      options.beamSize = 1
      options.temperatures = [0]
      let stream = try await model.makeSession().makeStream(options: options)
      for await chunk in try await chunks() {
        state.heard += try await stream.push(chunk, sampleRate: sampleRate).map(\.text).joined()
        state.preview = " " + (try await stream.preview())
        show(state)
      }
      state.message = ""
    } catch is CancellationError {
      state.message = ""
    } catch {
      state.message = error.localizedDescription
    }
    // What was only a preview is all that will be known of it.
    state.heard += state.preview
    (state.preview, state.isListening) = ("", false)
    show(state)
  }
}
