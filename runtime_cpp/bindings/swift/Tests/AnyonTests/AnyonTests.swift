import Foundation
import XCTest

@testable import Anyon

/// With the folder that tests/bindings/conftest.py describes, in the environment variable ANYON_SPEECH.
final class AnyonTests: XCTestCase {
  private let folder = URL(fileURLWithPath: ProcessInfo.processInfo.environment["ANYON_SPEECH"] ?? "/nonexistent")
  private var bundle: URL { folder.appendingPathComponent("tiny.en.anyon") }

  private func samples(_ name: String) throws -> [Float] {
    let bytes = try Data(contentsOf: folder.appendingPathComponent("\(name).f32"))
    return bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
  }

  private func expected(_ name: String) throws -> String {
    try String(contentsOf: folder.appendingPathComponent("\(name).txt"), encoding: .utf8)
  }

  private func trimmed(_ segments: [Segment]) -> String {
    segments.map(\.text).joined().trimmingCharacters(in: .whitespaces)
  }

  func testSegmentsAreThoseThatPythonHears() async throws {
    let model = try await AnyonModel(contentsOf: bundle)
    XCTAssertEqual(model.name, "whisper-tiny.en")
    XCTAssertEqual(model.recipe, "int8")
    XCTAssertEqual(model.languages, ["en"])
    XCTAssertEqual(model.sampleRate, 16000)
    var segments: [Segment] = []
    for try await segment in model.transcribe(try samples("speech"), sampleRate: 16000) { segments.append(segment) }
    XCTAssertEqual(trimmed(segments), try expected("speech"))
    XCTAssertGreaterThan(segments.count, 1)
  }

  func testWordsMakeUpTheText() async throws {
    let model = try await AnyonModel(contentsOf: bundle)
    var options = TranscribeOptions()
    options.wordTimestamps = true
    options.temperatures = [0]
    let transcript = try await model.transcript(of: try samples("short"), sampleRate: 16000, options: options)
    XCTAssertEqual(transcript.text, try expected("short"))
    XCTAssertEqual(transcript.language, "en")
    let words = transcript.segments.flatMap(\.words)
    XCTAssertEqual(words.map(\.word).joined().trimmingCharacters(in: .whitespaces), transcript.text)
    XCTAssertTrue(zip(words, words.dropFirst()).allSatisfy { $0.start <= $1.start })
  }

  func testManyTasksShareAModel() async throws {
    let model = try await AnyonModel(contentsOf: bundle)
    let (samples, expected) = (try samples("short"), try expected("short"))
    try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<8 {
        group.addTask { try await model.transcript(of: samples, sampleRate: 16000).text }
      }
      for try await text in group { XCTAssertEqual(text, expected) }
    }
  }

  func testCancellingTheTaskCancelsTheTranscription() async throws {
    let model = try await AnyonModel(contentsOf: bundle)
    let samples = try samples("speech")
    let work = Task { try await model.transcript(of: samples, sampleRate: 16000) }
    work.cancel()
    do {
      _ = try await work.value
      XCTFail("it was not cancelled")
    } catch is CancellationError {
    }
    // Who stops reading ends the work too, and the next one is whole.
    for try await _ in model.transcribe(samples, sampleRate: 16000) { break }
    let text = try await model.transcript(of: samples, sampleRate: 16000).text
    XCTAssertEqual(text, try expected("speech"))
  }

  func testErrorsSayWhatWhereAndWhatToTry() async throws {
    do {
      _ = try await AnyonModel(contentsOf: folder.appendingPathComponent("no.anyon"))
      XCTFail("a missing file was loaded")
    } catch let error as AnyonError {
      XCTAssertEqual(error.area, .bundle)
      XCTAssertTrue(error.message.contains("no.anyon"), error.message)
    }
    let model = try await AnyonModel(contentsOf: bundle)
    var options = TranscribeOptions()
    options.beamSize = 65
    do {
      _ = try await model.transcript(of: [], sampleRate: 16000, options: options)
      XCTFail("65 beams were taken")
    } catch let error as AnyonError {
      XCTAssertEqual(error.area, .argument)
      XCTAssertTrue(error.localizedDescription.contains("beam_size"), error.message)
    }
  }

  func testAStreamPreviewsAndThenHearsTheSame() async throws {
    let model = try await AnyonModel(contentsOf: bundle)
    let stream = try await model.makeSession().makeStream()
    let samples = try samples("speech")
    var segments: [Segment] = []
    var previewed = ""
    for start in stride(from: 0, to: samples.count, by: 160000) {
      segments += try await stream.push(Array(samples[start..<min(start + 160000, samples.count)]), sampleRate: 16000)
      previewed = try await stream.preview()
    }
    segments += try await stream.finish()
    XCTAssertEqual(trimmed(segments), try expected("speech"))
    XCTAssertFalse(previewed.isEmpty)
    stream.cancel()
    do {
      _ = try await stream.preview()
      XCTFail("a cancelled stream went on")
    } catch is CancellationError {
    }
  }
}
