import CAnyon
import Foundation

/// The library could not do what was asked. What was cancelled throws `CancellationError` instead.
public struct AnyonError: Error, LocalizedError, Sendable, Equatable {
  /// What the failure is about; new statuses fall into these.
  public enum Area: Sendable {
    case argument, bundle, backend, audio, running, unknown
  }

  /// The `ANYON_ERROR_*` of the C API.
  public let status: Int32
  /// What, where, and what to try.
  public let message: String

  public var area: Area {
    switch status / 100 {
    case 1: return .argument
    case 2: return .bundle
    case 3: return .backend
    case 4: return .audio
    case 5: return .running
    default: return .unknown
    }
  }

  public var errorDescription: String? { message }
}

/// Throws what a status means; `message` is asked for only then.
func check(_ status: anyon_status, _ message: () -> UnsafePointer<CChar>?) throws {
  if status == anyon_status(ANYON_OK) { return }
  if status == anyon_status(ANYON_ERROR_CANCELLED) { throw CancellationError() }
  throw AnyonError(status: status, message: text(message()))
}

func text(_ characters: UnsafePointer<CChar>?) -> String {
  characters.map { String(cString: $0) } ?? ""
}
