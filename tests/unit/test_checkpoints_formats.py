"""Every format gives back the tensors that were written, under our names."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checkpoint_writers import (
    PUBLISHED_SIZE,
    SMALL,
    TINY_VOCABULARY,
    Array,
    Tensors,
    ctranslate2_bytes,
    ctranslate2_variables,
    ggml_bytes,
    huggingface_config,
    huggingface_name,
    openai_bytes,
    random_tensors,
    safetensors_bytes,
    tiny_tokenizer_json,
    write_huggingface,
)

from anyon_export.checkpoints import CheckpointError, LazyTensors, identify, load, parameter_shapes
from anyon_export.checkpoints.ctranslate2 import parse_model_bin
from anyon_export.checkpoints.files import bf16_to_f32
from anyon_export.checkpoints.ggml import parse_ggml
from anyon_export.checkpoints.ggml_blocks import BLOCK_FORMATS, dequantise
from anyon_export.checkpoints.openai_pt import parse_openai_pt
from anyon_export.checkpoints.vocabularies import published_vocabulary

TINY_HF = {**SMALL, "n_vocab": TINY_VOCABULARY}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("ANYON_CACHE", str(tmp_path_factory.mktemp("cache")))


def assert_same(found: LazyTensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_parameter_names_and_shapes_are_openais() -> None:
    shapes = parameter_shapes(SMALL)
    assert shapes == {name: array.shape for name, array in random_tensors(SMALL).items()}


class TestHuggingFace:
    def test_folder(self, tmp_path: Path) -> None:
        tensors = random_tensors(TINY_HF, dtype="f4")
        checkpoint = load(write_huggingface(tmp_path, TINY_HF, tensors))
        assert checkpoint.config == TINY_HF
        assert_same(checkpoint.tensors, tensors)
        assert checkpoint.source["format"] == "huggingface"
        assert checkpoint.source["licence"] is None
        assert checkpoint.notes == []

    def test_file_alone_uses_the_config_beside_it(self, tmp_path: Path) -> None:
        tensors = random_tensors(TINY_HF)
        folder = write_huggingface(tmp_path, TINY_HF, tensors)
        (folder / "model.safetensors").rename(folder / "my-whisper.weights")
        assert_same(load(folder / "my-whisper.weights").tensors, tensors)

    def test_shards(self, tmp_path: Path) -> None:
        tensors = random_tensors(TINY_HF)
        folder = write_huggingface(tmp_path, TINY_HF, tensors)
        (folder / "model.safetensors").unlink()
        renamed = [(huggingface_name(name), array) for name, array in tensors.items()]
        index = {}
        for number, part in enumerate((renamed[:20], renamed[20:50], renamed[50:]), 1):
            file = f"model-{number:05d}-of-00003.safetensors"
            (folder / file).write_bytes(safetensors_bytes(dict(part)))
            index |= {name: file for name, _ in part}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
        assert_same(load(folder).tensors, tensors)
        assert_same(load(folder / "model.safetensors.index.json").tensors, tensors)

    def test_what_transformers_saves(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
        transformers = pytest.importorskip(
            "transformers", reason="transformers is not installed: pip install 'anyon[dev]'"
        )
        torch.manual_seed(1)
        model = transformers.WhisperForConditionalGeneration(
            transformers.WhisperConfig(**huggingface_config(TINY_HF), begin_suppress_tokens=[], pad_token_id=0)
        )
        model.save_pretrained(tmp_path / "one")
        model.save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
        assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
        state = {name: value.numpy() for name, value in model.state_dict().items()}
        for folder in (tmp_path / "one", tmp_path / "sharded"):
            (folder / "tokenizer.json").write_text(json.dumps(tiny_tokenizer_json()))
            tensors = load(folder).tensors
            assert len(tensors) == len(state) - 1  # all but the tied proj_out
            for name, array in tensors.items():
                np.testing.assert_array_equal(array, state[huggingface_name(name)], err_msg=name)

    def test_bfloat16_becomes_f32_exactly(self, tmp_path: Path) -> None:
        tensors = random_tensors(TINY_HF, dtype="f4")
        folder = write_huggingface(tmp_path, TINY_HF, tensors)
        raw = {huggingface_name(name): (array.view("<u4") >> 16).astype("<u2") for name, array in tensors.items()}
        (folder / "model.safetensors").write_bytes(safetensors_bytes(raw))
        checkpoint = load(folder)
        truncated = {name: (array.view("<u4") & 0xFFFF0000).view("<f4") for name, array in tensors.items()}
        assert_same(checkpoint.tensors, truncated)
        assert checkpoint.notes == ["BF16 tensors are read as f32"]

    def test_vocab_and_merges_files_equal_tokenizer_json(self, tmp_path: Path) -> None:
        folder = write_huggingface(tmp_path, TINY_HF, random_tensors(TINY_HF))
        expected = load(folder).tokenizer
        tokenizer = tiny_tokenizer_json()
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"]))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(tokenizer["model"]["merges"]) + "\n")
        added = {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}
        (folder / "added_tokens.json").write_text(json.dumps(added))
        found = load(folder).tokenizer
        assert found.tokens == expected.tokens
        assert found.special == expected.special
        np.testing.assert_array_equal(found.merges, expected.merges)

    def test_stated_settings_and_licence(self, tmp_path: Path) -> None:
        folder = write_huggingface(tmp_path, TINY_HF, random_tensors(TINY_HF))
        stated = {"alignment_heads": [[0, 1]], "suppress_tokens": [3, 4], "begin_suppress_tokens": [9]}
        (folder / "generation_config.json").write_text(json.dumps(stated))
        (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\ntags:\n---\n# Model\n")
        checkpoint = load(folder)
        special = checkpoint.tokenizer.special
        control = [special[f"<|{n}|>"] for n in ("startoftranscript", "translate", "transcribe", "startoflm")]
        control += [special["<|startofprev|>"], special["<|nospeech|>"]]
        assert checkpoint.generation["suppress_tokens"] == sorted([3, 4, *control])
        assert checkpoint.generation["begin_suppress_tokens"] == [9]
        assert checkpoint.generation["alignment_heads"] == [[0, 1]]
        assert checkpoint.source["licence"] == "apache-2.0"

    def test_a_tied_head_is_dropped_and_an_untied_one_refused(self, tmp_path: Path) -> None:
        tensors = random_tensors(TINY_HF)
        folder = write_huggingface(tmp_path, TINY_HF, tensors)
        renamed = {huggingface_name(name): array for name, array in tensors.items()}
        head = tensors["decoder.token_embedding.weight"]
        (folder / "model.safetensors").write_bytes(safetensors_bytes({**renamed, "proj_out.weight": head}))
        assert_same(load(folder).tensors, tensors)
        (folder / "model.safetensors").write_bytes(safetensors_bytes({**renamed, "proj_out.weight": head + 1}))
        with pytest.raises(CheckpointError, match=r"proj_out.weight.*differs from the token embedding"):
            load(folder)


class TestOpenAI:
    @pytest.mark.parametrize("dtype", ["f2", "f4"])
    def test_file(self, tmp_path: Path, dtype: str) -> None:
        tensors = random_tensors(PUBLISHED_SIZE, dtype=dtype)
        path = tmp_path / "renamed.bin"
        path.write_bytes(openai_bytes(PUBLISHED_SIZE, tensors))
        checkpoint = load(path)
        assert checkpoint.config == PUBLISHED_SIZE
        assert_same(checkpoint.tensors, tensors)
        assert checkpoint.source["format"] == "openai"
        assert checkpoint.source["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert checkpoint.source["licence"] is None

    def test_what_torch_saves(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
        tensors = random_tensors(SMALL, dtype="f4")
        state = {name: torch.from_numpy(array) for name, array in tensors.items()}
        # A transposed view, a slice of a larger storage, and a bfloat16 tensor.
        state["encoder.conv2.weight"] = state["encoder.conv2.weight"].permute(2, 1, 0).contiguous().permute(2, 1, 0)
        wide = torch.zeros(100, SMALL["n_audio_state"])
        wide[50:57] = state["decoder.positional_embedding"]
        state["decoder.positional_embedding"] = wide[50:57]
        state["decoder.ln.weight"] = state["decoder.ln.weight"].bfloat16()
        tensors["decoder.ln.weight"] = state["decoder.ln.weight"].float().numpy()
        module = torch.nn.Module()
        for i, value in enumerate(state.values()):
            module.register_buffer(f"b{i}", value)
        with_metadata = module.state_dict()  # an OrderedDict with _metadata, as every module gives
        for i, name in enumerate(state):
            with_metadata[name] = with_metadata.pop(f"b{i}")
        path = tmp_path / "model.pt"
        for protocol in (2, 4):
            torch.save({"dims": SMALL, "model_state_dict": with_metadata}, path, pickle_protocol=protocol)
            config, found, notes = parse_openai_pt(path)
            assert config == SMALL
            assert_same(found, tensors)
            assert notes == ["BFloat16 tensors are read as f32"]

    def test_a_flipped_bit_in_a_tensor_is_found_by_its_crc(self, tmp_path: Path) -> None:
        tensors = random_tensors(SMALL)
        raw = bytearray(openai_bytes(SMALL, tensors))
        at = raw.index(tensors["encoder.conv2.weight"].tobytes())
        raw[at + 7] ^= 4
        (tmp_path / "model.pt").write_bytes(raw)
        _, found, _ = parse_openai_pt(tmp_path / "model.pt")
        with pytest.raises(CheckpointError, match="CRC-32 does not match"):
            found["encoder.conv2.weight"]

    def test_reading_copies_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "model.pt").write_bytes(openai_bytes(SMALL, random_tensors(SMALL)))
        _, found, _ = parse_openai_pt(tmp_path / "model.pt")
        first, second = found["encoder.conv2.weight"], found["encoder.conv2.weight"]
        assert np.shares_memory(first, second)
        assert not first.flags.writeable


class TestCTranslate2:
    def write(self, folder: Path, content: bytes) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "model.bin").write_bytes(content)
        return folder / "model.bin"

    @pytest.mark.parametrize("dtype", ["f2", "f4"])
    def test_model_bin(self, tmp_path: Path, dtype: str) -> None:
        tensors = random_tensors(SMALL, dtype=dtype)
        path = self.write(tmp_path, ctranslate2_bytes(ctranslate2_variables(SMALL, tensors)))
        config, found, notes = parse_model_bin(path)
        assert config == SMALL
        assert_same(found, tensors)
        assert notes == []

    def test_int8_with_row_scales_and_int16(self, tmp_path: Path) -> None:
        tensors = random_tensors(SMALL, dtype="f4")
        variables = ctranslate2_variables(SMALL, tensors)
        expected: Tensors = {}
        for name, array in list(variables.items()):
            if not name.endswith("weight"):
                continue
            if name == "encoder/conv1/weight":
                scale = np.float32(1024 / np.abs(array).max())
                variables[name] = np.rint(array * scale).astype(np.int16)
                variables[f"{name}_scale"] = np.asarray(scale)
                expected[name] = variables[name].astype(np.float32) / scale
            else:
                rows = array.reshape(len(array), -1)
                scales = (127 / np.abs(rows).max(axis=1)).astype(np.float32)
                variables[name] = np.rint(rows * scales[:, None]).astype(np.int8).reshape(array.shape)
                variables[f"{name}_scale"] = scales
                shape = (-1, *[1] * (array.ndim - 1))
                expected[name] = variables[name].astype(np.float32) / scales.reshape(shape)
        _, found, notes = parse_model_bin(self.write(tmp_path, ctranslate2_bytes(variables)))
        np.testing.assert_array_equal(found["decoder.token_embedding.weight"], expected["decoder/embeddings/weight"])
        np.testing.assert_array_equal(found["encoder.conv1.weight"], expected["encoder/conv1/weight"])
        np.testing.assert_array_equal(found["encoder.conv2.weight"], expected["encoder/conv2/weight"])
        width = SMALL["n_audio_state"]
        stacked = expected["decoder/layer_0/self_attention/linear_0/weight"]
        np.testing.assert_array_equal(found["decoder.blocks.0.attn.value.weight"], stacked[2 * width :])
        for name, array in tensors.items():
            # Half a step of the coarser, 7-bit grid: amax / 127 / 2.
            bound = np.abs(array).max() / 127 / 2 * 1.0001 if name.endswith("weight") else 0
            assert np.abs(found[name] - array).max() <= bound, name
        assert notes == [
            f"{kind} weights are dequantised to f32 (they keep their {kind} error)" for kind in ("int16", "int8")
        ]

    def test_bfloat16(self, tmp_path: Path) -> None:
        tensors = random_tensors(SMALL, dtype="f4")
        raw = {name: (array.view("<u4") >> 16).astype("<u2") for name, array in tensors.items()}
        _, found, notes = parse_model_bin(self.write(tmp_path, ctranslate2_bytes(ctranslate2_variables(SMALL, raw))))
        assert_same(found, {name: bf16_to_f32(array) for name, array in raw.items()})
        assert notes == ["bfloat16 tensors are read as f32"]

    def test_equal_variables_are_aliased_by_the_converter(self, tmp_path: Path) -> None:
        tensors = random_tensors(SMALL)
        tensors["encoder.blocks.1.mlp.0.weight"] = tensors["encoder.blocks.0.mlp.0.weight"]
        variables = ctranslate2_variables(SMALL, tensors)
        first, second = (f"encoder/layer_{i}/ffn/linear_0/weight" for i in (0, 1))
        del variables[second]
        aliases = {"decoder/projection/weight": "decoder/embeddings/weight", second: first}
        _, found, _ = parse_model_bin(self.write(tmp_path, ctranslate2_bytes(variables, aliases)))
        assert_same(found, tensors)

    def test_heads_are_64_wide_where_the_file_does_not_say(self, tmp_path: Path) -> None:
        config = {**SMALL, "n_audio_state": 128, "n_text_state": 128, "n_audio_head": 2, "n_text_head": 2}
        variables = ctranslate2_variables(config, random_tensors(config))
        del variables["encoder/num_heads"], variables["decoder/num_heads"]
        assert parse_model_bin(self.write(tmp_path, ctranslate2_bytes(variables)))[0] == config

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("decoder/activation", np.int8(0), "Whisper has 3"),
            ("decoder/scale_embeddings", np.int8(1), "Whisper has 0"),
            ("decoder/something_new", np.float32([1]), "unknown"),
            ("decoder/projection/weight", np.zeros((40, 32), "f2"), "differs from the embedding"),
            ("decoder/embeddings/weight", np.zeros((40, 32), "i1"), "embeddings/weight_scale.*missing"),
        ],
    )
    def test_what_is_not_whisper_is_refused(self, tmp_path: Path, name: str, value: Array, message: str) -> None:
        variables = ctranslate2_variables(SMALL, random_tensors(SMALL))
        content = ctranslate2_bytes({**variables, name: value}, {} if "projection" in name else None)
        with pytest.raises(CheckpointError, match=message):
            parse_model_bin(self.write(tmp_path, content))

    @pytest.mark.parametrize("kind", ["vocabulary.txt", "vocabulary.json", "none"])
    def test_folder_with_a_vocabulary_alone(self, tmp_path: Path, kind: str) -> None:
        tensors = random_tensors(PUBLISHED_SIZE)
        path = self.write(tmp_path, ctranslate2_bytes(ctranslate2_variables(PUBLISHED_SIZE, tensors)))
        letters = _letters()
        lines = ["".join(letters[byte] for byte in token) for token in published_vocabulary("gpt2")]
        lines += [f"<|special {i}|>" for i in range(PUBLISHED_SIZE["n_vocab"] - len(lines))]
        if kind.endswith("txt"):
            (tmp_path / kind).write_text("\n".join(lines) + "\n")
        elif kind.endswith("json"):
            (tmp_path / kind).write_text(json.dumps(lines))
        for place in (tmp_path, path):
            checkpoint = load(place)
            assert checkpoint.tokenizer.tokens[:50_256] == list(published_vocabulary("gpt2"))
            assert isinstance(checkpoint.tokenizer.merges, str)
            assert checkpoint.tokenizer.merges == "id"
            assert checkpoint.tokenizer.special["<|endoftext|>"] == 50_256
        assert_same(checkpoint.tensors, tensors)


def _letters() -> dict[int, str]:
    tokens = tiny_tokenizer_json()["model"]["vocab"]
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    order = visible + [byte for byte in range(256) if byte not in visible]
    return dict(zip(order, list(tokens)[:256], strict=True))


class TestGgml:
    def test_file(self, tmp_path: Path) -> None:
        tensors = random_tensors(PUBLISHED_SIZE)
        for name in tensors:
            if tensors[name].ndim == 1:
                tensors[name] = tensors[name].astype(np.float32)
        path = tmp_path / "model.bin"
        path.write_bytes(ggml_bytes(PUBLISHED_SIZE, tensors, [*published_vocabulary("gpt2"), b"<|endoftext|>"]))
        checkpoint = load(path)
        assert checkpoint.config == PUBLISHED_SIZE
        assert_same(checkpoint.tensors, tensors)
        assert checkpoint.tokenizer.tokens[50_256] == b"<|endoftext|>"
        assert checkpoint.source["format"] == "ggml"

    @pytest.mark.parametrize("kind", sorted(BLOCK_FORMATS))
    def test_quantised_tensor(self, tmp_path: Path, kind: int) -> None:
        tensors = random_tensors(SMALL)
        name = "encoder.blocks.1.mlp.2.weight"
        shape = tensors[name].shape
        rng = np.random.default_rng(kind)
        blocks = rng.integers(0, 256, (tensors[name].size // 32, BLOCK_FORMATS[kind].size), dtype=np.uint8)
        scales = rng.uniform(-2, 2, (len(blocks), 2)).astype(np.float16)
        n_scales = 2 if BLOCK_FORMATS[kind].name.endswith("_1") else 1
        blocks[:, : 2 * n_scales] = scales[:, :n_scales].copy().view(np.uint8)
        content = ggml_bytes(SMALL, tensors, [], {name: (kind, blocks.tobytes())}, ftype=2_000 + kind)
        (tmp_path / "model.bin").write_bytes(content)
        _, found, _, notes = parse_ggml(tmp_path / "model.bin")
        expected = np.array([reference_block(BLOCK_FORMATS[kind].name, block) for block in blocks], np.float32)
        np.testing.assert_array_equal(found[name], expected.reshape(shape))
        label = BLOCK_FORMATS[kind].name
        assert notes == [f"{label} weights are dequantised to f32 (they keep their {label} error)"]

    def test_old_block_layouts_are_refused(self, tmp_path: Path) -> None:
        tensors = random_tensors(SMALL)
        name = "encoder.blocks.1.mlp.2.weight"
        blocks = {name: (2, bytes(tensors[name].size // 32 * 18))}
        (tmp_path / "model.bin").write_bytes(ggml_bytes(SMALL, tensors, [], blocks, ftype=2))
        with pytest.raises(CheckpointError, match="old block formats"):
            parse_ggml(tmp_path / "model.bin")

    def test_long_tensors_are_dequantised_in_slices(self) -> None:
        blocks = np.random.default_rng(5).integers(0, 60, (65_537, 34), dtype=np.uint8)
        whole = dequantise(blocks.ravel(), BLOCK_FORMATS[8], (65_537, 32))
        np.testing.assert_array_equal(whole[-1], reference_block("q8_0", blocks[-1]))


def reference_block(name: str, block: Array) -> list[np.float32]:
    """One block, weight by weight, from the description of the format."""
    raw = block.tobytes()
    scale = np.float32(np.frombuffer(raw[:2], "<f2")[0])
    if name == "q8_0":
        return [scale * np.float32(quant) for quant in struct.unpack("<32b", raw[2:])]
    minimum = np.float32(np.frombuffer(raw[2:4], "<f2")[0]) if name.endswith("_1") else np.float32(0)
    at = 4 if name.endswith("_1") else 2
    high = 0
    if name.startswith("q5"):
        high = struct.unpack("<I", raw[at : at + 4])[0]
        at += 4
    centre = {"q4_0": 8, "q5_0": 16}.get(name, 0)
    values = []
    for i in range(32):
        quant = raw[at + i % 16] >> 4 if i >= 16 else raw[at + i] & 15
        quant += (high >> i & 1) << 4
        values.append(np.float32(np.float32(quant - centre) * scale + minimum))
    return values


class TestDetection:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"GGUF\x03\0\0\0", "this is a GGUF file"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
            (b"<!DOCTYPE html>\n<html>", "an HTML or XML page"),
            (b"\n  <HTML>", "an HTML or XML page"),
            (b"\x80\x02}q\0.", "a bare pickle"),
            (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "PyTorch file of the old layout"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "a RIFF file"),
            (b'{"model_type": "whisper"}', "a JSON file"),
            (bytes(600), "a file of zeros"),
            (b"hello there, this is text", r"of no known format \(first bytes 68 65"),
            (b"", "the file is empty"),
        ],
    )
    def test_says_what_was_found_and_what_is_accepted(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "model.bin"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=message) as caught:
            load(path)
        assert "accepted: a Hugging Face folder" in str(caught.value) or not content
        assert str(path) in str(caught.value)

    def test_missing_empty_and_foreign_folders(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no such file or folder"):
            load(tmp_path / "nowhere")
        with pytest.raises(CheckpointError, match="it holds: nothing"):
            load(tmp_path)
        (tmp_path / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
        with pytest.raises(CheckpointError, match="pickled weights are not read"):
            load(tmp_path)

    def test_a_bundle_is_not_a_checkpoint(self, tmp_path: Path) -> None:
        path = tmp_path / "whisper.anyon"
        path.write_bytes(safetensors_bytes({}, {"format": "anyon"}))
        with pytest.raises(CheckpointError, match="already an anyon bundle"):
            load(path)

    def test_content_decides(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(openai_bytes(SMALL, random_tensors(SMALL)))
        (tmp_path / "b.txt").write_bytes(ggml_bytes(SMALL, random_tensors(SMALL), []))
        (tmp_path / "c.txt").write_bytes(ctranslate2_bytes(ctranslate2_variables(SMALL, random_tensors(SMALL))))
        (tmp_path / "d.txt").write_bytes(safetensors_bytes(random_tensors(SMALL)))
        found = [identify(tmp_path / f"{name}.txt") for name in "abcd"]
        assert found == ["openai", "ggml", "ctranslate2", "safetensors"]

    def test_another_ctranslate2_model_is_named(self, tmp_path: Path) -> None:
        raw = struct.pack("<IH", 6, 16) + b"TransformerSpec\0" + bytes(8)
        (tmp_path / "model.bin").write_bytes(raw)
        with pytest.raises(CheckpointError, match="'TransformerSpec', only 'WhisperSpec'"):
            load(tmp_path)


class TestDigest:
    def test_is_remembered_until_the_file_changes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from anyon_export.checkpoints import digest

        monkeypatch.setattr(digest, "_memory", {})
        path = tmp_path / "weights"
        path.write_bytes(b"one")
        first = digest.sha256_of(path)
        assert first == hashlib.sha256(b"one").hexdigest()
        monkeypatch.setattr(digest, "_memory", {})  # another process
        with monkeypatch.context() as patch:
            patch.setattr(digest.hashlib, "sha256", lambda *a: pytest.fail("hashed again"))
            assert digest.sha256_of(path) == first
        path.write_bytes(b"other")
        assert digest.sha256_of(path) == hashlib.sha256(b"other").hexdigest()

    def test_a_damaged_or_unwritable_cache_does_not_matter(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from anyon_export.checkpoints import digest

        path = tmp_path / "weights"
        path.write_bytes(b"one")
        for number, damage in enumerate((b"[]", b"{", b'{"a": 1}', b"[" * 10_000)):
            folder = tmp_path / f"cache{number}"
            folder.mkdir()
            (folder / "digests.json").write_bytes(damage)
            monkeypatch.setenv("ANYON_CACHE", str(folder))
            monkeypatch.setattr(digest, "_memory", {})
            assert digest.sha256_of(path) == hashlib.sha256(b"one").hexdigest()
        monkeypatch.setenv("ANYON_CACHE", str(path))  # a file where a folder should be
        monkeypatch.setattr(digest, "_memory", {})
        assert digest.sha256_of(path) == hashlib.sha256(b"one").hexdigest()

    def test_a_folder_has_one_digest_over_all_its_files(self, tmp_path: Path) -> None:
        folder = write_huggingface(tmp_path / "model", TINY_HF, random_tensors(TINY_HF))
        checkpoint = load(folder)
        names = ["config.json", "model.safetensors", "tokenizer.json"]
        assert sorted(file.name for file in checkpoint.source.files) == names
        lines = [f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n" for name in names]
        before = checkpoint.source["sha256"]
        assert before == hashlib.sha256("".join(lines).encode()).hexdigest()
        (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
        assert load(folder).source["sha256"] != before
