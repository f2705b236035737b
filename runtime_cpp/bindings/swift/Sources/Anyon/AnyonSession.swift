import CAnyon

/// The memory and the threads of one transcription at a time. Any task may call it; calls take their turns.
public final class AnyonSession: @unchecked Sendable {
  // Used on the worker alone.
  private let pointer: OpaquePointer
  private let worker = Worker("anyon.session")

  init(_ model: ModelHandle, _ threads: Int32) throws {
    var params = anyon_session_params_default()
    params.threads = threads
    var made: OpaquePointer?
    do {
      try check(anyon_session_create(model.pointer, &params, &made)) { anyon_session_error(made) }
    } catch {
      anyon_session_free(made)
      throw error
    }
    pointer = made!
  }

  deinit {
    anyon_session_free(pointer)
  }

  /// Transcribes a whole recording of mono samples (-1...1). `onSegment` is called on a thread of the session's.
  public func transcript(
    of samples: [Float], sampleRate: Int, options: TranscribeOptions = TranscribeOptions(),
    onSegment: (@Sendable (Segment) -> Void)? = nil
  ) async throws -> Transcript {
    let cancellation = Cancellation()
    return try await worker.run(cancellation) { [self] in
      let call = Call(cancellation, onSegment)
      let params = TranscribeParams(options)
      let status = call.connected(params) {
        anyon_session_transcribe(pointer, samples, samples.count, Int32(clamping: sampleRate), $0)
      }
      try check(status) { anyon_session_error(pointer) }
      let segments = (0..<anyon_session_segment_count(pointer)).map {
        Segment(anyon_session_segment(pointer, $0)!.pointee)
      }
      let language = text(anyon_session_info(pointer)?.pointee.language)
      return Transcript(text: text(anyon_session_text(pointer)), language: language, segments: segments)
    }
  }

  /// Begins to transcribe while the audio comes in. The stream keeps this session; do not use it until then.
  public func makeStream(options: TranscribeOptions = TranscribeOptions()) async throws -> AnyonStream {
    try await worker.run { [self] in try AnyonStream(self, pointer, worker, options) }
  }
}

/// What the C callbacks of one call work on.
final class Call: Sendable {
  private let cancellation: Cancellation
  private let onSegment: (@Sendable (Segment) -> Void)?

  init(_ cancellation: Cancellation, _ onSegment: (@Sendable (Segment) -> Void)?) {
    self.cancellation = cancellation
    self.onSegment = onSegment
  }

  /// Runs `body` with the parameters; the callbacks are this object's while it lasts.
  func connected<T>(_ params: TranscribeParams, _ body: (UnsafePointer<anyon_transcribe_params>) -> T) -> T {
    withExtendedLifetime((self, params)) {
      params.connect(Unmanaged.passUnretained(self).toOpaque()) {
        $0.should_cancel = { Call.of($0).cancellation.isCancelled ? 1 : 0 }
        $0.on_segment = { Call.of($0).onSegment?(Segment($1!.pointee)) }
      }
      var values = params.params
      return body(&values)
    }
  }

  private static func of(_ user: UnsafeMutableRawPointer?) -> Call {
    Unmanaged<Call>.fromOpaque(user!).takeUnretainedValue()
  }
}
