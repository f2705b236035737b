import CAnyon

/// One word with the white space before it and the punctuation that belongs to it. Times are seconds.
public struct Word: Sendable, Equatable {
  public let start, end: Double
  public let probability: Double
  public let word: String
}

/// A stretch of speech, under the names of openai-whisper and faster-whisper. Times are seconds.
public struct Segment: Sendable, Equatable, Identifiable {
  public let id: Int
  /// First frame (10 ms each) of the window that held it.
  public let seek: Int
  public let start, end: Double
  public let text: String
  /// Text and timestamp tokens as the model gave them.
  public let tokens: [Int32]
  public let avgLogprob, compressionRatio, noSpeechProb, temperature: Double
  /// None unless `wordTimestamps`.
  public let words: [Word]

  init(_ segment: anyon_segment) {
    id = Int(segment.id)
    seek = Int(segment.seek)
    start = segment.start
    end = segment.end
    text = String(cString: segment.text)
    tokens = Array(UnsafeBufferPointer(start: segment.tokens, count: segment.token_count))
    avgLogprob = segment.avg_logprob
    compressionRatio = segment.compression_ratio
    noSpeechProb = segment.no_speech_prob
    temperature = segment.temperature
    words = UnsafeBufferPointer(start: segment.words, count: segment.word_count).map {
      Word(start: $0.start, end: $0.end, probability: $0.probability, word: String(cString: $0.word))
    }
  }
}

/// What a recording says.
public struct Transcript: Sendable, Equatable {
  /// The text of all segments, without white space around it.
  public let text: String
  /// The option, or what was detected.
  public let language: String
  public let segments: [Segment]
}
