import CAnyon

/// Transcribes while the audio comes in; memory does not grow with the recording. Any task may call it; calls take
/// their turns. Cancelling a task that calls it cancels the stream: from then on it throws `CancellationError`.
public final class AnyonStream: @unchecked Sendable {
  private let session: AnyonSession  // outlives the stream
  // Used on the session's worker alone, but for cancelling.
  private let pointer: OpaquePointer
  private let worker: Worker
  private let cancellation = Cancellation()
  private let call: Call

  init(_ session: AnyonSession, _ sessionPointer: OpaquePointer, _ worker: Worker, _ options: TranscribeOptions)
    throws
  {
    self.session = session
    self.worker = worker
    call = Call(cancellation, nil)
    var made: OpaquePointer?
    let status = call.connected(TranscribeParams(options)) { anyon_stream_open(sessionPointer, $0, &made) }
    do {
      try check(status) { anyon_stream_error(made) }
    } catch {
      anyon_stream_free(made)
      throw error
    }
    pointer = made!
  }

  deinit {
    // In turn with what else the session does; it and the callbacks' object go after the stream.
    let (stream, session, call) = (Freed(pointer: pointer), session, call)
    worker.start {
      anyon_stream_free(stream.pointer)
      withExtendedLifetime((session, call)) {}
    }
  }

  /// Appends mono samples (-1...1), at the same rate in every call, and gives what became final with them.
  public func push(_ samples: [Float], sampleRate: Int) async throws -> [Segment] {
    try await worker.run(cancellation) { [self] in
      try check(anyon_stream_push(pointer, samples, samples.count, Int32(clamping: sampleRate))) {
        anyon_stream_error(pointer)
      }
      return try drain()
    }
  }

  /// No more audio will come: gives the rest.
  public func finish() async throws -> [Segment] {
    try await worker.run(cancellation) { [self] in
      try check(anyon_stream_finish(pointer)) { anyon_stream_error(pointer) }
      return try drain()
    }
  }

  /// For live captions: the text, so far as it can be told, of what was pushed since the last final segment. It may
  /// change with every call. Costs one run of the encoder and a greedy decoding; changes nothing in the result.
  public func preview() async throws -> String {
    try await worker.run(cancellation) { [self] in
      var preview: UnsafePointer<CChar>?
      try check(anyon_stream_preview(pointer, &preview)) { anyon_stream_error(pointer) }
      return text(preview)
    }
  }

  /// Ends what runs, and every later call, within one token.
  public func cancel() {
    cancellation.cancel()
  }

  private func drain() throws -> [Segment] {
    var segments: [Segment] = []
    var step: anyon_step = 0
    repeat {
      try check(anyon_stream_step(pointer, &step)) { anyon_stream_error(pointer) }
      segments += (0..<anyon_stream_segment_count(pointer)).map {
        Segment(anyon_stream_segment(pointer, $0)!.pointee)
      }
    } while step == anyon_step(ANYON_STEP_SEGMENTS)
    return segments
  }
}

/// A pointer that nobody else has any more, on its way to where it is freed.
private struct Freed: @unchecked Sendable {
  let pointer: OpaquePointer
}
