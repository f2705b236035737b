import CAnyon

/// The C struct of some options, with the memory that it points to.
final class TranscribeParams {
  private(set) var params = anyon_transcribe_params_default()
  private var owned: [UnsafeMutableRawPointer] = []

  init(_ options: TranscribeOptions) {
    if let value = options.language { params.language = copy(value) }
    if let value = options.task { params.task = value.rawValue }
    if let values = options.temperatures {
      (params.temperatures, params.temperature_count) = (copy(values), values.count)
    }
    if let value = options.bestOf { params.best_of = value }
    if let value = options.beamSize { params.beam_size = value }
    if let value = options.patience { params.patience = value }
    if let value = options.lengthPenalty { params.length_penalty = value }
    if let value = options.repetitionPenalty { params.repetition_penalty = value }
    if let value = options.noRepeatNgramSize { params.no_repeat_ngram_size = value }
    if let value = options.seed { params.seed = value }
    if let value = options.maxNewTokens { params.max_new_tokens = value }
    if let value = options.compressionRatioThreshold { params.compression_ratio_threshold = value }
    if let value = options.logProbThreshold { params.log_prob_threshold = value }
    if let value = options.noSpeechThreshold { params.no_speech_threshold = value }
    if let value = options.speechGate { params.speech_gate = value ? 1 : 0 }
    if let value = options.batchSize { params.batch_size = value }
    if let value = options.conditionOnPreviousText { params.condition_on_previous_text = value ? 1 : 0 }
    if let value = options.promptResetOnTemperature { params.prompt_reset_on_temperature = value }
    if let value = options.initialPrompt { params.initial_prompt = prompt(value) }
    if let value = options.carryInitialPrompt { params.carry_initial_prompt = value ? 1 : 0 }
    if let value = options.hotwords { params.hotwords = copy(value) }
    if let value = options.prefix { params.prefix = prompt(value) }
    if let value = options.draft { params.draft = prompt(value) }
    if let value = options.suppressBlank { params.suppress_blank = value ? 1 : 0 }
    if let values = options.suppressTokens {
      (params.suppress_tokens, params.suppress_token_count) = (copy(values), values.count)
    }
    if let value = options.suppressNothing { params.suppress_nothing = value ? 1 : 0 }
    if let value = options.withoutTimestamps { params.without_timestamps = value ? 1 : 0 }
    if let value = options.maxInitialTimestamp { params.max_initial_timestamp = value }
    if let value = options.wordTimestamps { params.word_timestamps = value ? 1 : 0 }
    if let value = options.prependPunctuations { params.prepend_punctuations = copy(value) }
    if let value = options.appendPunctuations { params.append_punctuations = copy(value) }
    if let value = options.hallucinationSilenceThreshold { params.hallucination_silence_threshold = value }
    if let values = options.clipTimestamps {
      (params.clip_timestamps, params.clip_timestamp_count) = (copy(values), values.count)
    }
    if let value = options.languageDetectionThreshold { params.language_detection_threshold = value }
    if let value = options.languageDetectionSegments { params.language_detection_segments = value }
  }

  deinit {
    for memory in owned { memory.deallocate() }
  }

  /// Sets the callbacks; `user` must outlive the call.
  func connect(_ user: UnsafeMutableRawPointer, _ set: (inout anyon_transcribe_params) -> Void) {
    params.user = user
    set(&params)
  }

  private func prompt(_ prompt: TranscribeOptions.Prompt) -> anyon_prompt {
    switch prompt {
    case .text(let text): return anyon_prompt(text: copy(text), tokens: nil, token_count: 0)
    case .tokens(let tokens): return anyon_prompt(text: nil, tokens: copy(tokens), token_count: tokens.count)
    }
  }

  private func copy(_ text: String) -> UnsafePointer<CChar> {
    copy(Array(text.utf8CString))
  }

  /// Never nil: an empty list is not a missing one.
  private func copy<T>(_ values: [T]) -> UnsafePointer<T> {
    let memory = UnsafeMutablePointer<T>.allocate(capacity: max(1, values.count))
    memory.initialize(from: values, count: values.count)
    owned.append(UnsafeMutableRawPointer(memory))
    return UnsafePointer(memory)
  }
}
