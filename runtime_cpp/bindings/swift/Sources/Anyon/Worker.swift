import Dispatch
import Foundation

/// Where calls that compute for long run, one after another: never on Swift's own few threads, which must not block.
final class Worker: Sendable {
  private let queue: DispatchQueue

  init(_ label: String) {
    queue = DispatchQueue(label: label, qos: .userInitiated)
  }

  /// Runs `body` and gives back what it returns or throws. Where the caller's task is cancelled, so is `cancellation`.
  func run<T: Sendable>(
    _ cancellation: Cancellation = Cancellation(), _ body: @escaping @Sendable () throws -> T
  ) async throws -> T {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        queue.async { continuation.resume(with: Result(catching: body)) }
      }
    } onCancel: {
      cancellation.cancel()
    }
  }

  func start(_ body: @escaping @Sendable () -> Void) {
    queue.async(execute: body)
  }
}

/// A flag that any thread may raise; asked before each token.
final class Cancellation: @unchecked Sendable {
  private let lock = NSLock()
  private var raised = false

  var isCancelled: Bool {
    lock.lock()
    defer { lock.unlock() }
    return raised
  }

  func cancel() {
    lock.lock()
    raised = true
    lock.unlock()
  }
}
