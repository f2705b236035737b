import AVFoundation

/// The microphone as mono floats.
enum Microphone {
  static let sampleRate = 16000

  struct NotAllowed: LocalizedError {
    let errorDescription: String? = "Captions need the microphone: allow it in Settings."
  }

  /// Asks for permission and listens, until nobody reads the chunks any more.
  static func chunks(seconds: Double) async throws -> AsyncStream<[Float]> {
    guard await allowed() else { throw NotAllowed() }
    let session = AVAudioSession.sharedInstance()
    try session.setCategory(.record, mode: .measurement)
    try session.setActive(true)

    let engine = AVAudioEngine()
    let native = engine.inputNode.outputFormat(forBus: 0)
    let wanted = AVAudioFormat(
      commonFormat: .pcmFormatFloat32, sampleRate: Double(sampleRate), channels: 1, interleaved: false)!
    guard let converter = AVAudioConverter(from: native, to: wanted) else { throw CocoaError(.featureUnsupported) }
    let size = Int(seconds * Double(sampleRate))

    let (stream, continuation) = AsyncStream.makeStream(of: [Float].self)
    var pending: [Float] = []
    engine.inputNode.installTap(onBus: 0, bufferSize: 4096, format: native) { buffer, _ in
      pending += converted(buffer, by: converter, to: wanted)
      while pending.count >= size {
        continuation.yield(Array(pending.prefix(size)))
        pending.removeFirst(size)
      }
    }
    continuation.onTermination = { _ in
      engine.stop()
      engine.inputNode.removeTap(onBus: 0)
      try? session.setActive(false)
    }
    try engine.start()
    return stream
  }

  private static func allowed() async -> Bool {
    await withCheckedContinuation { continuation in
      AVAudioSession.sharedInstance().requestRecordPermission { continuation.resume(returning: $0) }
    }
  }

  private static func converted(
    _ buffer: AVAudioPCMBuffer, by converter: AVAudioConverter, to format: AVAudioFormat
  ) -> [Float] {
    let frames = Double(buffer.frameLength) * format.sampleRate / buffer.format.sampleRate
    guard let output = AVAudioPCMBuffer(pcmFormat: format, frameCapacity: AVAudioFrameCount(frames) + 16) else {
      return []
    }
    var given = false
    converter.convert(to: output, error: nil) { _, status in
      // Each buffer is given once; the converter keeps what it needs of it for the next.
      status.pointee = given ? .noDataNow : .haveData
      defer { given = true }
      return given ? nil : buffer
    }
    return Array(UnsafeBufferPointer(start: output.floatChannelData![0], count: Int(output.frameLength)))
  }
}
