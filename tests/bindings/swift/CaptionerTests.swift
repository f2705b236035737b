import Foundation
import XCTest

@testable import Anyon

/// The example's Captioner, which is compiled into these tests, with a recording in place of the microphone.
final class CaptionerTests: XCTestCase {
  func testChunksBecomeCaptions() async throws { try await Self.chunksBecomeCaptions() }

  func testAMissingModelIsSaid() async { await Self.aMissingModelIsSaid() }

  @MainActor
  private static func chunksBecomeCaptions() async throws {
    let folder = URL(fileURLWithPath: ProcessInfo.processInfo.environment["ANYON_SPEECH"] ?? "/nonexistent")
    let bytes = try Data(contentsOf: folder.appendingPathComponent("short.f32"))
    let samples = bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    let captioner = Captioner()
    var states: [Captioner.State] = []
    await captioner.load(folder.appendingPathComponent("tiny.en.anyon")) { states.append($0) }
    XCTAssertEqual(states.map(\.isReady), [true])

    let halves = [Array(samples.prefix(samples.count / 2)), Array(samples.dropFirst(samples.count / 2))]
    let chunks = AsyncStream { continuation in
      for half in halves { continuation.yield(half) }
      continuation.finish()
    }
    await captioner.listen(to: { chunks }, at: 16000) { states.append($0) }
    // One state to begin with, one for each chunk, and one at the end, where the preview is all that is known.
    XCTAssertEqual(states.dropFirst().map(\.isListening), [true, true, true, false])
    XCTAssertTrue(states[3].preview.contains("failed"), states[3].preview)
    XCTAssertEqual(states[4].heard, states[3].heard + states[3].preview)
    XCTAssertEqual(states[4].preview, "")
  }

  @MainActor
  private static func aMissingModelIsSaid() async {
    var states: [Captioner.State] = []
    await Captioner().load(nil) { states.append($0) }
    XCTAssertEqual(states.map(\.isReady), [false])
    XCTAssertTrue(states[0].message.hasPrefix("No model"))
  }
}
