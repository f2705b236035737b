"""anyon_export.coreml.write: what lies in the folder, its bytes, and what is refused. A small random model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_writers import SMALL, TINY_VOCABULARY, random_tensors, write_huggingface

from anyon_export.checkpoints import Checkpoint, load
from anyon_export.export import ExportError
from anyon_export.target import Artefact

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
pytest.importorskip("coremltools", reason="coremltools is not installed: pip install 'anyon[coreml]'")

CONFIG = {**SMALL, "n_audio_state": 64, "n_text_state": 64, "n_vocab": TINY_VOCABULARY, "n_text_ctx": 20}
PACKAGES = ["WhisperEncoder.mlpackage", "WhisperDecoder.mlpackage"]
NAMES = [*PACKAGES, "tokenizer.json", "Transcribe.swift"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("checkpoints") / "small-whisper"
    return load(write_huggingface(folder, CONFIG, random_tensors(CONFIG, dtype="f4")))


@pytest.fixture(scope="module")
def written(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artefact]:
    from anyon_export.coreml import write

    folder = tmp_path_factory.mktemp("out") / "app"
    return folder, write(checkpoint, folder, "int4")


def spec_of(package: Path) -> Any:
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model()
    spec.ParseFromString((package / "Data" / "com.apple.CoreML" / "model.mlmodel").read_bytes())
    return spec


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_artefact_names_what_was_written(written: tuple[Path, Artefact]) -> None:
    folder, artefact = written
    assert artefact.target == "coreml"
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)  # and no draft is left
    assert [path.name for path in artefact.files] == NAMES
    assert artefact.nbytes == sum(len(data) for data in contents(folder).values())
    assert artefact.states.endswith("float16, in place")
    assert "iOS 18" in artefact.notes
    assert "4 bits" in artefact.notes


def test_another_process_writes_the_same_bytes(
    checkpoint: Checkpoint, written: tuple[Path, Artefact], tmp_path: Path
) -> None:
    """With other hashes, and into another folder."""
    code = "import sys; from anyon_export import checkpoints, coreml; "
    code += "coreml.write(checkpoints.load(sys.argv[1]), sys.argv[2], 'int4')"
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "12345"}
    command = [sys.executable, "-c", code, str(checkpoint.source["path"]), str(tmp_path / "again")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (result.stdout, result.stderr) == ("", "")  # a library does not print
    first, second = contents(written[0]), contents(tmp_path / "again")
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_no_trace_of_the_machine_or_its_tools(written: tuple[Path, Artefact]) -> None:
    whole = b"".join(contents(written[0]).values())
    for trace in (b"coremltools", b"torch==", b"2.13", b"/site-packages", os.fsencode(Path.cwd()), b"conversion_date"):
        assert trace not in whole, trace


def test_every_value_is_explained(written: tuple[Path, Artefact]) -> None:
    specs = [spec_of(written[0] / name) for name in PACKAGES]
    features = [f for s in specs for f in (*s.description.input, *s.description.output, *s.description.state)]
    assert len(features) == 3 + 5 + 2  # mel, a pair of keys and values; tokens, position, the pair, logits; two states
    assert all("(1" in feature.shortDescription for feature in features)
    by_name = {feature.name: feature for feature in features}
    assert by_name["mel"].shortDescription.startswith(
        "log-mel spectrogram of one window, (1, 5 bands, 12 frames of 10 ms)"
    )
    sizes = by_name["tokens"].type.multiArrayType.shapeRange.sizeRanges
    assert [(size.lowerBound, size.upperBound) for size in sizes] == [(1, 1), (1, 20)]
    assert list(by_name["self_key_0"].type.stateType.arrayType.shape) == [1, 2, 20, 32]


def test_the_package_says_where_it_comes_from(checkpoint: Checkpoint, written: tuple[Path, Artefact]) -> None:
    for name in PACKAGES:
        metadata = spec_of(written[0] / name).description.metadata
        facts = dict(metadata.userDefined)
        assert metadata.author == facts["anyon.source"] == "small-whisper"
        assert metadata.shortDescription.startswith("Whisper's")
        assert metadata.versionString == "1"
        assert facts["anyon.source_sha256"] == checkpoint.source.sha256
        assert (facts["anyon.model"], facts["anyon.compression"]) == ("whisper-custom", "int4")
        assert json.loads(facts["anyon.loop"]) == checkpoint.generation


def test_the_manifest_leads_to_both_items(written: tuple[Path, Artefact]) -> None:
    package = written[0] / PACKAGES[0]
    manifest = json.loads((package / "Manifest.json").read_text())
    items = manifest["itemInfoEntries"]
    assert items[manifest["rootModelIdentifier"]]["name"] == "model.mlmodel"
    assert len(items) == 2
    assert all((package / "Data" / item["path"]).exists() for item in items.values())


def test_it_is_written_for_ios_18(written: tuple[Path, Artefact]) -> None:
    for name in PACKAGES:
        spec = spec_of(written[0] / name)
        assert spec.specificationVersion == 9
        assert spec.mlProgram.functions["main"].opset == "CoreML8"


def test_files_of_an_earlier_export_are_replaced_and_others_stay(checkpoint: Checkpoint, tmp_path: Path) -> None:
    from anyon_export.coreml import write

    (tmp_path / "mine.txt").write_text("stays")
    stale = tmp_path / PACKAGES[0] / "stale"
    stale.mkdir(parents=True)
    write(checkpoint, tmp_path, "f16")
    assert not stale.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*NAMES, "mine.txt"])


def test_a_failure_leaves_the_folder_as_it_was(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anyon_export.coreml import package, write

    def full(*arguments: Any, **keywords: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package, "describe", full)
    (tmp_path / "tokenizer.json").write_text("earlier")
    with pytest.raises(ExportError, match=r"cannot be written: No space left on device"):
        write(checkpoint, tmp_path)
    assert contents(tmp_path) == {"tokenizer.json": b"earlier"}


def test_what_is_not_known_is_refused_by_name(checkpoint: Checkpoint, tmp_path: Path) -> None:
    from anyon_export.coreml import write

    with pytest.raises(ExportError, match="compression 'int2': expected f32, f16, int8, int4, palette4"):
        write(checkpoint, tmp_path, "int2")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_says_what_to_install(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyon_export.coreml

    monkeypatch.setattr(anyon_export.coreml, "find_spec", lambda name: None if name == "coremltools" else object())
    with pytest.raises(ExportError, match=r"coremltools is not installed; pip install 'anyon\[export,coreml\]'"):
        anyon_export.coreml.write(checkpoint, tmp_path)


def test_a_palette_has_few_values_near_the_weights() -> None:
    from anyon_export.coreml.palette import palettise

    weights = torch.randn(50, 6, 64, generator=torch.Generator().manual_seed(0))
    found = palettise(weights)
    assert found.shape == weights.shape
    for channel, original in zip(found.numpy(), weights.numpy(), strict=True):
        values = np.unique(channel)
        assert len(values) <= 16
        assert np.array_equal(values, values.astype(np.float16))
        nearest = values[np.abs(original[..., None] - values).argmin(-1)]
        assert np.array_equal(channel, nearest)
    # The best 16 values for a normal distribution leave 0.0095 of its energy; channels of 384 are fitted to themselves.
    assert float((found - weights).square().mean()) <= 0.0095


def test_a_palette_of_fewer_values_is_exact() -> None:
    from anyon_export.coreml.palette import palettise

    few = torch.tensor([[0.5, -1.0, 0.0, 0.5, 2.0, -1.0], [3.0] * 6])
    assert torch.equal(palettise(few), few)


def test_the_tokenizer_reads_and_writes_text_as_ours(written: tuple[Path, Artefact], checkpoint: Checkpoint) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed: pip install 'anyon[dev]'")
    ours = checkpoint.tokenizer
    theirs = tokenizers.Tokenizer.from_file(str(written[0] / "tokenizer.json"))
    ids = theirs.encode("the cat", add_special_tokens=False).ids
    assert ids == ours.encode_piece(b"the") + ours.encode_piece(b" cat")
    assert theirs.decode(ids) == "the cat"
    assert theirs.get_vocab_size() == sum(bool(token) for token in ours.tokens)
    assert theirs.token_to_id("<|endoftext|>") == ours.special["<|endoftext|>"]
