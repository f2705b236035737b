"""Our PyTorch Whisper against transformers' with the same real weights on real speech.

Tolerance 1e-4 on logits up to about 40 (f32, the same arithmetic in another order); a wrong mask, scale or position
moves them by more than 0.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import whisper_case

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install 'anyon[dev]'")

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def theirs() -> Any:
    import speech_models
    from test_transformers_parity import reference_model

    whisper_case.checkpoint()
    folder = speech_models.tiny_en_folder()
    assert folder is not None
    model = reference_model(folder)
    model.config._attn_implementation = "eager"
    return model


@pytest.fixture(scope="module")
def encoded(theirs: Any) -> Any:
    from anyon_export.engines import plain_arithmetic

    with plain_arithmetic():
        return theirs.model.encoder(torch.from_numpy(whisper_case.trace().mel)).last_hidden_state


def test_encoder_agrees(encoded: Any) -> None:
    from anyon_export.engines import plain_arithmetic

    with plain_arithmetic():
        ours = whisper_case.model().encoder(torch.from_numpy(whisper_case.trace().mel))
    # Hidden states reach 12 here and one column is amplified by the last layer norm: rounding is about 2e-4.
    assert (ours - encoded).abs().max() <= 5e-4


def test_logits_agree_step_by_step_with_the_cache(theirs: Any, encoded: Any) -> None:
    trace = whisper_case.trace()
    tokens = np.concatenate([run[0] for run in trace.inputs], axis=1)
    with torch.no_grad():
        whole = theirs(encoder_outputs=(encoded,), decoder_input_ids=torch.from_numpy(tokens)).logits.numpy()
    begin = 0
    for run, outputs in zip(trace.inputs, trace.outputs, strict=True):
        time = run[0].shape[1]
        assert np.abs(outputs[0] - whole[:, begin : begin + time]).max() <= TOLERANCE, f"tokens from {begin} on"
        begin += time
    assert begin == tokens.shape[1] == 2 + whisper_case.STEPS + 3


def test_a_chunk_behind_a_past_equals_single_steps() -> None:
    from anyon_export.engines import TorchEngine

    trace = whisper_case.trace()
    tokens = np.concatenate([run[0] for run in trace.inputs[:10]], axis=1)
    engine = TorchEngine(whisper_case.model())
    cross = engine.encode(trace.mel)
    found = []
    for begin, end in ((0, 3), (3, 8), (8, tokens.shape[1])):
        positions = np.arange(begin, end)[None]
        found.append(engine.decode(tokens[:, begin:end], positions, np.arange(end - begin), cross)[0])
    expected = np.concatenate([outputs[0] for outputs in trace.outputs[:10]], axis=1)
    assert np.abs(np.concatenate(found, axis=1) - expected).max() <= TOLERANCE


def test_beams_share_the_keys_of_their_audio() -> None:
    """Four rows over two audios: rows 0, 1 hear the first, rows 2, 3 the second."""
    model, config = whisper_case.model(), whisper_case.model().config
    generator = torch.Generator().manual_seed(0)
    shape = (2, config.n_text_head, 17, config.head_dim)
    cross = [
        (torch.randn(shape, generator=generator), torch.randn(shape, generator=generator))
        for _ in range(config.n_text_layer)
    ]
    tokens = torch.arange(8).reshape(4, 2) * 1000
    positions = torch.arange(2).expand(4, 2)
    select = torch.tensor([1])
    with torch.no_grad():
        shared, _, _ = model.decoder(tokens, positions, select, cross, model.empty_past(4))
        for row in range(4):
            own = [(key[row // 2 : row // 2 + 1], value[row // 2 : row // 2 + 1]) for key, value in cross]
            alone, _, _ = model.decoder(tokens[row : row + 1], positions[:1], select, own, model.empty_past(1))
            assert (shared[row] - alone[0]).abs().max() <= TOLERANCE


def test_features_agree_with_their_extractor() -> None:
    from anyon_export import features

    samples = features.read_audio(str(features.installed_recording()), 30.0)
    for n_mels in (80, 128):
        extractor = transformers.WhisperFeatureExtractor(feature_size=n_mels)
        expected = extractor(samples, sampling_rate=16000, return_tensors="np").input_features[0]
        # Theirs is computed in f64; log-mel values lie in about [-1, 1.5].
        assert np.abs(features.log_mel(samples, n_mels).numpy() - expected).max() <= 1e-4
