import SwiftUI

@main
struct CaptionsApp: App {
  var body: some Scene {
    WindowGroup { CaptionsScreen() }
  }
}

/// One screen: captions, and a button to listen.
struct CaptionsScreen: View {
  @StateObject private var captioner = ObservableCaptioner()

  var body: some View {
    VStack(alignment: .leading, spacing: 16) {
      ScrollViewReader { scroll in
        ScrollView {
          Text("\(captioner.state.heard)\(Text(captioner.state.preview).foregroundColor(.secondary))")
            .font(.title2)
            .lineSpacing(6)
            .frame(maxWidth: .infinity, alignment: .leading)
            .textSelection(.enabled)
            .id("end")
        }
        .onChange(of: captioner.state.heard) { _ in scroll.scrollTo("end", anchor: .bottom) }
      }
      Text(captioner.state.message).font(.footnote).foregroundColor(.secondary)
      Button(captioner.state.isListening ? "Stop" : "Listen") { captioner.toggle() }
        .buttonStyle(.borderedProminent)
        .controlSize(.large)
        .frame(maxWidth: .infinity)
        .disabled(!captioner.state.isReady)
    }
    .padding(24)
    .task { await captioner.load() }
  }
}

/// The captioner, as SwiftUI watches it.
@MainActor
final class ObservableCaptioner: ObservableObject {
  @Published private(set) var state = Captioner.State()
  private let captioner = Captioner()
  private var listening: Task<Void, Never>?

  func load() async {
    await captioner.load(Bundle.main.url(forResource: "model", withExtension: "anyon")) { self.state = $0 }
  }

  func toggle() {
    if let listening {
      listening.cancel()  // and it ends in a moment
      return
    }
    listening = Task {
      await captioner.listen(to: { try await Microphone.chunks(seconds: 0.5) }, at: Microphone.sampleRate) {
        self.state = $0
      }
      listening = nil
    }
  }
}
