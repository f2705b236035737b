// Transcribes recordings with WhisperEncoder.mlpackage, WhisperDecoder.mlpackage and tokenizer.json, which lie beside
// this file. Needs macOS 15 or iOS 18. As a command:
//
//     swiftc -O -parse-as-library Transcribe.swift -o transcribe
//     ./transcribe FOLDER RECORDING
//
// In an app, add the packages and tokenizer.json to the target (Xcode compiles the packages), leave `Command` out, and
// call `Transcriber(folder: Bundle.main.resourceURL!)`.

import AVFoundation
import Accelerate
import CoreML
import Foundation

enum TranscriberError: Error {
    case missing(String)
    case unsupported(String)
}

/// How the model decodes; the decoder package carries it as "anyon.loop".
struct Settings: Decodable {
    let multilingual: Bool
    let nTextCtx: Int
    let sot: Int32
    let eot: Int32
    let transcribe: Int32?
    let noTimestamps: Int32
    let timestampBegin: Int
    let languages: [String: Int32]
    let suppressTokens: [Int]
    let beginSuppressTokens: [Int]

    static func read(from decoder: MLModel) throws -> Settings {
        guard
            let facts = decoder.modelDescription.metadata[.creatorDefinedKey] as? [String: String],
            let text = facts["anyon.loop"]
        else { throw TranscriberError.missing("anyon.loop in the decoder's metadata") }
        let reader = JSONDecoder()
        reader.keyDecodingStrategy = .convertFromSnakeCase
        return try reader.decode(Settings.self, from: Data(text.utf8))
    }

    /// What stands before the text: start, language and task where the model has them, no timestamps.
    func prompt(language: String) throws -> [Int32] {
        guard multilingual else { return [sot, noTimestamps] }
        guard let spoken = languages[language], let transcribe else {
            throw TranscriberError.unsupported("language \(language)")
        }
        return [sot, spoken, transcribe, noTimestamps]
    }
}

/// Log-mel spectrograms as Whisper was trained on: windows of 25 ms every 10 ms of sound at 16 kHz.
struct LogMel {
    static let sampleRate = 16_000
    private static let size = 400
    private static let hop = 160
    private static let bins = size / 2 + 1

    let bands: Int
    let frames: Int
    private let cosines: [Float]  // (bins, size), times the Hann window
    private let sines: [Float]
    private let filters: [Float]  // (bands, bins)

    init(bands: Int, frames: Int) {
        self.bands = bands
        self.frames = frames
        let hann = (0..<Self.size).map { 0.5 - 0.5 * cos(2 * Double.pi * Double($0) / Double(Self.size)) }
        func table(_ wave: (Double) -> Double) -> [Float] {
            (0..<Self.bins).flatMap { bin in
                (0..<Self.size).map { n in
                    Float(hann[n] * wave(2 * .pi * Double(bin * n % Self.size) / Double(Self.size)))
                }
            }
        }
        cosines = table(cos)
        sines = table(sin)
        filters = Self.triangles(bands)
    }

    /// Samples in one call; what is missing is silence, what is more is left out.
    var samples: Int { frames * Self.hop }

    /// Mono samples at 16 kHz -> (bands, frames).
    func callAsFunction(_ sound: ArraySlice<Float>) -> [Float] {
        let margin = Self.size / 2
        let whole = Array(sound.prefix(samples)) + [Float](repeating: 0, count: max(0, samples - sound.count))
        let before = whole[1...margin].reversed()  // reflected, as in training
        let after = whole[(samples - 1 - margin)..<(samples - 1)].reversed()
        let padded = Array(before) + whole + Array(after)
        var windows = [Float](repeating: 0, count: Self.size * frames)  // (size, frames)
        for n in 0..<Self.size {
            for frame in 0..<frames { windows[n * frames + frame] = padded[frame * Self.hop + n] }
        }
        let real = product(cosines, windows, rows: Self.bins, inner: Self.size)
        let imaginary = product(sines, windows, rows: Self.bins, inner: Self.size)
        let power = vDSP.add(vDSP.square(real), vDSP.square(imaginary))
        var mel = product(filters, power, rows: bands, inner: Self.bins)
        mel = vForce.log10(vDSP.threshold(mel, to: 1e-10, with: .clampToThreshold))
        mel = vDSP.threshold(mel, to: vDSP.maximum(mel) - 8, with: .clampToThreshold)
        return vDSP.divide(vDSP.add(4, mel), 4)
    }

    /// (rows, inner) times (inner, frames).
    private func product(_ left: [Float], _ right: [Float], rows: Int, inner: Int) -> [Float] {
        var result = [Float](repeating: 0, count: rows * frames)
        vDSP_mmul(left, 1, right, 1, &result, 1, vDSP_Length(rows), vDSP_Length(frames), vDSP_Length(inner))
        return result
    }

    /// Triangles of equal area on Slaney's mel scale: linear to 1 kHz, then logarithmic.
    private static func triangles(_ bands: Int) -> [Float] {
        let step = log(6.4) / 27
        let top = 15 + log(Double(sampleRate) / 2 / 1000) / step
        let edges = (0..<bands + 2).map { index -> Double in
            let mel = top * Double(index) / Double(bands + 1)
            return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * step)
        }
        return (0..<bands).flatMap { band in
            (0..<bins).map { bin in
                let hertz = Double(bin * sampleRate) / Double(size)
                let rising = (hertz - edges[band]) / (edges[band + 1] - edges[band])
                let falling = (edges[band + 2] - hertz) / (edges[band + 2] - edges[band + 1])
                return Float(max(0, min(rising, falling)) * 2 / (edges[band + 2] - edges[band]))
            }
        }
    }
}

/// Token ids -> text, from tokenizer.json of a byte-level vocabulary.
struct Tokenizer {
    private struct File: Decodable {
        struct Model: Decodable { let vocab: [String: Int] }
        let model: Model
    }

    private let bytes: [Int: [UInt8]]

    init(contentsOf file: URL) throws {
        let vocabulary = try JSONDecoder().decode(File.self, from: Data(contentsOf: file)).model.vocab
        // Bytes that print stand for themselves, the others for the letters from U+0100 on.
        let visible = Set([0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF].joined())
        let hidden = (0..<256).filter { !visible.contains($0) }
        var letters: [UInt32: UInt8] = [:]
        for byte in visible { letters[UInt32(byte)] = UInt8(byte) }
        for (index, byte) in hidden.enumerated() { letters[UInt32(0x100 + index)] = UInt8(byte) }
        var bytes: [Int: [UInt8]] = [:]
        for (text, id) in vocabulary { bytes[id] = text.unicodeScalars.compactMap { letters[$0.value] } }
        self.bytes = bytes
    }

    /// Special tokens have no text.
    func text(of tokens: [Int32]) -> String {
        String(decoding: tokens.flatMap { bytes[Int($0)] ?? [] }, as: UTF8.self)
    }
}

/// Whisper on Core ML. Recordings are read one after another, whoever asks.
actor Transcriber {
    private let encoder: MLModel
    private let decoder: MLModel
    private let tokenizer: Tokenizer
    private let settings: Settings
    private let logMel: LogMel
    private let suppressed: [Int]

    /// Loads compiled models (.mlmodelc, as Xcode puts them into an app), else compiles the packages.
    init(folder: URL, computeUnits: MLComputeUnits = .all) async throws {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = computeUnits
        encoder = try await MLModel(
            contentsOf: Self.compiled("WhisperEncoder", in: folder), configuration: configuration)
        decoder = try await MLModel(
            contentsOf: Self.compiled("WhisperDecoder", in: folder), configuration: configuration)
        tokenizer = try Tokenizer(contentsOf: folder.appendingPathComponent("tokenizer.json"))
        settings = try Settings.read(from: decoder)
        guard
            let mel = encoder.modelDescription.inputDescriptionsByName["mel"]?.multiArrayConstraint?.shape,
            let logits = decoder.modelDescription.outputDescriptionsByName["logits"]?.multiArrayConstraint?.shape
        else { throw TranscriberError.missing("mel or logits: are these packages of Whisper?") }
        logMel = LogMel(bands: mel[1].intValue, frames: mel[2].intValue)
        suppressed = settings.suppressTokens + Array(settings.timestampBegin..<logits[1].intValue)
    }

    /// What is said in mono samples at 16 kHz. Windows of 30 s are read one after another; a word across their border
    /// may be lost. language: of multilingual models, as a code such as "en".
    func transcribe(_ samples: [Float], language: String = "en") throws -> String {
        let prompt = try settings.prompt(language: language)
        let state = decoder.makeState()
        var texts: [String] = []
        for start in stride(from: 0, to: samples.count, by: logMel.samples) {
            let mel = logMel(samples[start..<min(start + logMel.samples, samples.count)])
            let input = MLShapedArray<Float>(scalars: mel, shape: [1, logMel.bands, logMel.frames])
            let features = try MLDictionaryFeatureProvider(dictionary: ["mel": MLMultiArray(input)])
            let audio = try encoder.prediction(from: features)
            texts.append(tokenizer.text(of: try decode(audio, prompt: prompt, state: state)))
        }
        return texts.joined().trimmingCharacters(in: .whitespaces)
    }

    /// Greedy decoding of one window. Position 0 begins anew: the decoder masks whatever the state holds behind it.
    private func decode(_ audio: MLFeatureProvider, prompt: [Int32], state: MLState) throws -> [Int32] {
        var inputs: [String: Any] = [:]
        // cross_key_0, cross_value_0, ...: what the encoder gives is what the decoder takes.
        for name in audio.featureNames { inputs[name] = audio.featureValue(for: name) }
        var tokens = prompt
        var position = 0
        var text: [Int32] = []
        while text.count < settings.nTextCtx / 2 {
            inputs["tokens"] = MLMultiArray(MLShapedArray<Int32>(scalars: tokens, shape: [1, tokens.count]))
            inputs["position"] = MLMultiArray(MLShapedArray<Int32>(scalars: [Int32(position)], shape: [1]))
            let output = try decoder.prediction(from: MLDictionaryFeatureProvider(dictionary: inputs), using: state)
            guard let logits = output.featureValue(for: "logits")?.multiArrayValue else {
                throw TranscriberError.missing("logits")
            }
            let next = best(logits, without: text.isEmpty ? suppressed + settings.beginSuppressTokens : suppressed)
            if next == settings.eot { break }
            text.append(next)
            position += tokens.count
            tokens = [next]
        }
        return text
    }

    private func best(_ logits: MLMultiArray, without suppressed: [Int]) -> Int32 {
        var scores = MLShapedArray<Float>(logits).scalars
        for token in suppressed { scores[token] = -.infinity }
        return Int32(vDSP.indexOfMaximum(scores).0)
    }

    private static func compiled(_ name: String, in folder: URL) async throws -> URL {
        let ready = folder.appendingPathComponent("\(name).mlmodelc")
        if FileManager.default.fileExists(atPath: ready.path) { return ready }
        return try await MLModel.compileModel(at: folder.appendingPathComponent("\(name).mlpackage"))
    }
}

/// A recording of any format that the system reads, as mono samples at 16 kHz.
func readAudio(_ file: URL) throws -> [Float] {
    let recording = try AVAudioFile(forReading: file)
    let rate = Double(LogMel.sampleRate)
    guard
        let format = AVAudioFormat(commonFormat: .pcmFormatFloat32, sampleRate: rate, channels: 1, interleaved: false),
        let converter = AVAudioConverter(from: recording.processingFormat, to: format),
        let part = AVAudioPCMBuffer(pcmFormat: format, frameCapacity: 1 << 16)
    else { throw TranscriberError.unsupported("the format of \(file.lastPathComponent)") }
    var samples: [Float] = []
    while true {
        var failure: NSError?
        let status = converter.convert(to: part, error: &failure) { wanted, status in
            let source = AVAudioPCMBuffer(pcmFormat: recording.processingFormat, frameCapacity: wanted)
            guard let source, (try? recording.read(into: source, frameCount: wanted)) != nil, source.frameLength > 0
            else {
                status.pointee = .endOfStream
                return nil
            }
            status.pointee = .haveData
            return source
        }
        if let failure { throw failure }
        if let channel = part.floatChannelData?[0] {
            samples += UnsafeBufferPointer(start: channel, count: Int(part.frameLength))
        }
        if status == .endOfStream { return samples }
    }
}

@main
struct Command {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { return print("usage: transcribe FOLDER RECORDING") }
        let transcriber = try await Transcriber(folder: URL(fileURLWithPath: arguments[1], isDirectory: true))
        print(try await transcriber.transcribe(readAudio(URL(fileURLWithPath: arguments[2]))))
    }
}
