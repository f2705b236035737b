"""What a model can be called."""

from __future__ import annotations

from pathlib import Path

import pytest

import anyon
from anyon import registry
from anyon.registry import BundleSource, HubSource, LocalSource, PackageSource, find_row, resolve


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("base", "openai/whisper-base"),
        ("base.en", "openai/whisper-base.en"),
        ("Large-V3", "openai/whisper-large-v3"),
        ("large", "openai/whisper-large-v3"),
        ("turbo", "openai/whisper-large-v3-turbo"),
        ("whisper-small", "openai/whisper-small"),
        ("large-v1", "openai/whisper-large"),
    ],
)
def test_short_names_lead_to_the_publishers_repository(name: str, repository: str) -> None:
    assert resolve(name) == [HubSource(repository)]


def test_available_models_are_the_names_that_load_takes() -> None:
    assert {"tiny.en", "base", "turbo", "distil-large-v3"} <= set(anyon.available_models())
    assert all(resolve(name) for name in anyon.available_models())


def test_every_row_finds_itself_and_its_repository() -> None:
    for row in registry.MODELS:
        assert find_row(row.name) is row
        assert row.multilingual is not row.name.endswith(".en")


def test_a_short_name_is_not_hidden_by_a_folder_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    assert resolve("base") == [HubSource("openai/whisper-base")]
    assert resolve("./base") == [LocalSource(Path("base"))]
    assert resolve(Path("base")) == [LocalSource(Path("base"))]


def test_hub_ids_carry_a_revision_and_a_file() -> None:
    assert resolve("Systran/faster-whisper-base") == [HubSource("Systran/faster-whisper-base")]
    assert resolve("org/name@v1.0") == [HubSource("org/name", "v1.0")]
    assert resolve("ggerganov/whisper.cpp/ggml-tiny.bin@abc") == [
        HubSource("ggerganov/whisper.cpp", "abc", "ggml-tiny.bin")
    ]


def test_a_folder_here_goes_before_a_hub_id(tmp_path: Path) -> None:
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert resolve("org/name") == [LocalSource(Path("org/name"))]


def test_a_bundle_is_known_by_its_name_or_its_header(tmp_path: Path) -> None:
    (tmp_path / "a.anyon").write_bytes(b"")
    header = b'{"__metadata__":{"format":"anyon","anyon_version":"1"}}'
    (tmp_path / "renamed.bin").write_bytes(len(header).to_bytes(8, "little") + header)
    (tmp_path / "other.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + b'{"__metadata__":{"format":"pt"}}'
    )
    assert resolve("a.anyon") == [BundleSource(Path("a.anyon"))]
    assert resolve("renamed.bin") == [BundleSource(Path("renamed.bin"))]
    assert resolve("other.safetensors") == [LocalSource(Path("other.safetensors"))]


def test_the_demo_package_is_tried_first_for_tiny_en_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "demo_folder", lambda: tmp_path)
    assert resolve("tiny.en") == [PackageSource(tmp_path), HubSource("openai/whisper-tiny.en")]
    assert resolve("tiny") == [HubSource("openai/whisper-tiny")]
    monkeypatch.setattr(registry, "demo_folder", lambda: None)
    assert resolve("tiny.en") == [HubSource("openai/whisper-tiny.en")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinny.en", "did you mean tiny.en"),
        ("large-v4", "did you mean large-v"),
        ("gpt-5", "a name that `anyon models` lists"),
        ("./nothing.anyon", "no such file or folder"),
        ("models/nothing.anyon", "no such file or folder"),
        ("models/nothing.pt", "no such file or folder"),
        ("nothing.pt", "no such file or folder"),
        ("org/../name", "no such file or folder"),
        ("org/name@../../main", "no such file or folder"),
        ("", "unknown"),
        ("a\0b", "unknown|neither a name nor a path"),
        ("x" * 5000, "neither a name nor a path"),
    ],
)
def test_what_is_nothing_is_told_what_there_is(name: str, message: str) -> None:
    with pytest.raises(anyon.ModelNotFoundError, match=message):
        resolve(name)
