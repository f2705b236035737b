/// The settings of openai-whisper and faster-whisper, under their names; nil leaves the library's default.
public struct TranscribeOptions: Sendable {
  /// What to write: what is said, or what is said in English.
  public enum Task: Int32, Sendable {
    case transcribe = 0
    case translate = 1
  }

  /// What the decoder is told: text, or token ids that are used as they are.
  public enum Prompt: Sendable {
    case text(String)
    case tokens([Int32])
  }

  /// Switches a threshold off.
  public static let off = Float.nan

  /// The language that is spoken; without it, it is detected. A code such as `en`, `fr`; empty: detected.
  public var language: String?
  /// What to write. Transcribe without this.
  public var task: Task?
  /// Tried in order until a result passes the thresholds. Each 0 to 10; 0, 0.2, 0.4, 0.6, 0.8, 1 without this.
  public var temperatures: [Float]?
  /// Samples drawn at a temperature above 0. 1 to 64; 5 without this.
  public var bestOf: Int32?
  /// Beams at temperature 0. 1, which is greedy, to 64; 5 without this.
  public var beamSize: Int32?
  /// How long beams are waited for. 1 without this.
  public var patience: Float?
  /// How results of different lengths are compared. 0 to 1; `off`, as without this: divided by the length.
  public var lengthPenalty: Float?
  /// How tokens that were there already are held back. 1 without this: not.
  public var repetitionPenalty: Float?
  /// Sequences of so many tokens are never repeated. 0 without this: off.
  public var noRepeatNgramSize: Int32?
  /// The same seed gives the same text. 0 without this.
  public var seed: UInt64?
  /// The most tokens of each window. 0, as without this: half of the text context.
  public var maxNewTokens: Int32?
  /// Text that repeats itself more is not believed. 2.4 without this; `off`: never.
  public var compressionRatioThreshold: Float?
  /// Text with a lower mean log probability is not believed. -1 without this; `off`: never.
  public var logProbThreshold: Float?
  /// From which probability of no speech on text of low probability is silence. 0.6 without this; `off`: never.
  public var noSpeechThreshold: Float?
  /// Whether text is refused where neither model nor signal speak for speech. True without this.
  public var speechGate: Bool?
  /// Windows decoded together, cut at pauses. 1, as without this, to 64.
  public var batchSize: Int32?
  /// Whether each window is told the text before it. Without this: where batchSize is 1.
  public var conditionOnPreviousText: Bool?
  /// Above which temperature the text before is forgotten. 0.5 without this.
  public var promptResetOnTemperature: Float?
  /// What the decoder is told before it starts. As it would have been said.
  public var initialPrompt: Prompt?
  /// Whether every window is told the initial prompt. False without this.
  public var carryInitialPrompt: Bool?
  /// Words that are likely. Text; none without this.
  public var hotwords: String?
  /// How the text of the first window begins. As it would have been said.
  public var prefix: Prompt?
  /// What the text probably is; needs beamSize 1, first temperature 0, batchSize 1. As it would have been said.
  public var draft: Prompt?
  /// Whether no window may begin with white space alone. True without this.
  public var suppressBlank: Bool?
  /// Tokens that are never written. Ids; -1 stands for the model's own list, which is taken without this.
  public var suppressTokens: [Int32]?
  /// Whether not even the model's own list is suppressed. False without this.
  public var suppressNothing: Bool?
  /// Whether segments have no times of their own. False without this.
  public var withoutTimestamps: Bool?
  /// The latest start of a window's first segment. Seconds; 1 without this; `off`: never.
  public var maxInitialTimestamp: Float?
  /// Whether each word gets its times. False without this.
  public var wordTimestamps: Bool?
  /// Punctuation that belongs to the word after it. Characters.
  public var prependPunctuations: String?
  /// Punctuation that belongs to the word before it. Characters.
  public var appendPunctuations: String?
  /// Silences longer than this are skipped where text is doubtful; needs wordTimestamps. Seconds; `off`, as without
  /// this: never.
  public var hallucinationSilenceThreshold: Float?
  /// What to listen to. Start, end, start, end, ... in seconds; a missing last end is the recording's.
  public var clipTimestamps: [Double]?
  /// Windows are heard until one is surer of its language than this. 0.5 without this.
  public var languageDetectionThreshold: Float?
  /// The most windows that are heard to detect the language. 1 without this.
  public var languageDetectionSegments: Int32?

  public init() {}
}
