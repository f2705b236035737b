import CAnyon
import Foundation

/// How a model is loaded.
public struct ModelOptions: Sendable {
  /// Which kernels to use; nil: the fastest that this machine runs.
  public var isa: String?
  /// Compare the whole file with its hashes, so that damage is never text.
  public var verifyData = true
  /// Threads that compute in each session; 0: one for each fast core, at most 4.
  public var threads: Int32 = 0

  public init() {}
}

/// A model that hears speech. Immutable: any number of tasks may use it at once.
///
/// The weights are mapped once. Each transcription that runs at the same time has a session of its own, about 30 MB for
/// Whisper tiny; a session that is free is taken again. All of it is freed when nobody refers to the model any more.
///
///     let model = try await AnyonModel(contentsOf: url)
///     for try await segment in model.transcribe(samples, sampleRate: 16000) { print(segment.text) }
public final class AnyonModel: Sendable {
  public let name, family, task, recipe, licence, isa: String
  /// Hertz that the model hears at; other rates are resampled.
  public let sampleRate: Int
  /// Codes of the languages it knows; "en" alone for an English-only model.
  public let languages: [String]
  /// The size of the bundle.
  public let bytes: Int

  private let handle: ModelHandle
  private let options: ModelOptions
  private let idle = IdleSessions()

  /// Maps a bundle file. Do not change or cut the file while the model is there; replace it by renaming.
  public init(contentsOf url: URL, options: ModelOptions = ModelOptions()) async throws {
    let path = url.path
    let loaded = try await Worker("anyon.load").run { try ModelHandle(path, options) }
    let pointer = loaded.pointer
    func fact(_ field: String) -> String { text(anyon_model_text(pointer, field)) }
    (name, family, task) = (fact("name"), fact("family"), fact("task"))
    (recipe, licence, isa) = (fact("recipe"), fact("licence"), text(anyon_model_isa(pointer)))
    sampleRate = Int(anyon_model_sample_rate(pointer))
    bytes = Int(anyon_model_bytes(pointer))
    languages = (0...).lazy.map { anyon_model_language(pointer, $0) }.prefix { $0 != nil }.map { text($0) }
    handle = loaded
    self.options = options
  }

  /// A session that is yours; transcriptions on it follow each other. Its memory is made here.
  public func makeSession() async throws -> AnyonSession {
    let (handle, threads) = (handle, options.threads)
    return try await Worker("anyon.session").run { try AnyonSession(handle, threads) }
  }

  /// Transcribes a whole recording of mono samples (-1...1): each segment as soon as it is final. It begins at once.
  /// It is cancelled with the task that reads it, whose loop then ends, or when nobody reads it any more.
  public func transcribe(
    _ samples: [Float], sampleRate: Int, options: TranscribeOptions = TranscribeOptions()
  ) -> AsyncThrowingStream<Segment, Error> {
    AsyncThrowingStream { continuation in
      let work = Task {
        do {
          _ = try await withSession { session in
            try await session.transcript(of: samples, sampleRate: sampleRate, options: options) {
              continuation.yield($0)
            }
          }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in work.cancel() }
    }
  }

  /// Transcribes a whole recording. Throws `CancellationError` where its task is cancelled.
  public func transcript(
    of samples: [Float], sampleRate: Int, options: TranscribeOptions = TranscribeOptions()
  ) async throws -> Transcript {
    try await withSession { try await $0.transcript(of: samples, sampleRate: sampleRate, options: options) }
  }

  private func withSession<T: Sendable>(_ body: (AnyonSession) async throws -> T) async throws -> T {
    let session: AnyonSession
    if let free = idle.take() {
      session = free
    } else {
      session = try await makeSession()
    }
    defer { idle.give(session) }
    return try await body(session)
  }
}

/// The C model; freed with the last who refers to it.
final class ModelHandle: @unchecked Sendable {
  let pointer: OpaquePointer

  init(_ path: String, _ options: ModelOptions) throws {
    var params = anyon_model_params_default()
    params.verify_data = options.verifyData ? 1 : 0
    var made: OpaquePointer?
    let status = withOptionalCString(options.isa) { isa in
      params.isa = isa
      return anyon_model_load(path, &params, &made)
    }
    do {
      try check(status) { anyon_model_error(made) }
    } catch {
      anyon_model_free(made)
      throw error
    }
    pointer = made!
  }

  deinit {
    anyon_model_free(pointer)
  }
}

/// Sessions that nobody uses now.
private final class IdleSessions: @unchecked Sendable {
  private let lock = NSLock()
  private var sessions: [AnyonSession] = []

  func take() -> AnyonSession? {
    lock.lock()
    defer { lock.unlock() }
    return sessions.popLast()
  }

  func give(_ session: AnyonSession) {
    lock.lock()
    defer { lock.unlock() }
    if sessions.count < ProcessInfo.processInfo.activeProcessorCount { sessions.append(session) }
  }
}

private func withOptionalCString<T>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> T) -> T {
  guard let text else { return body(nil) }
  return text.withCString(body)
}
