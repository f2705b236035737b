"""Blueprints: there and back, the same bytes, hostile ones refused, and equal to what the exporter makes now."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest
from small_blueprint import blueprint

from anyon_export import blueprint as blueprints
from anyon_export.blueprint import Blueprint, BlueprintError, from_bytes, load
from anyon_export.expressions import parameters

FOLDER = Path(__file__).resolve().parents[2] / "sdk" / "anyon" / "blueprints"
FILES = sorted(FOLDER.glob(f"whisper-*{blueprints.SUFFIX}"))
SHIPPED = [path.name.removeprefix("whisper-").removesuffix(blueprints.SUFFIX) for path in FILES]


def shipped(name: str) -> Blueprint:
    return load(FOLDER / f"whisper-{name}{blueprints.SUFFIX}")


def test_there_and_back() -> None:
    assert from_bytes(blueprint().to_bytes()) == blueprint()


def test_equal_blueprints_are_equal_bytes_without_a_time_stamp() -> None:
    content = blueprint().to_bytes()
    assert content == blueprint().to_bytes()
    assert content[4:8] == bytes(4)


@cache
def damaged() -> dict[str, bytes]:
    content = blueprint().to_bytes()
    data = json.loads(gzip.decompress(content))
    changed = {
        "another version": {**data, "blueprint": 99},
        "no weights": {key: value for key, value in data.items() if key != "weights"},
        "weights a list": {**data, "weights": []},
        "unknown expression": {
            **data,
            "weights": {"a": {"layout": "plain", "shape": [1], "expression": {"op": "shell", "of": []}}},
        },
        "graph not base64": {**data, "onnx": {"decoder": {"graph": "%%%", "initializers": {}}}},
        "a string": "blueprint",
    }
    files = {name: gzip.compress(json.dumps(value).encode()) for name, value in changed.items()}
    files["empty"] = b""
    files["cut off"] = content[:-20]
    files["not gzip"] = b"{}" * 50
    files["a bomb"] = gzip.compress(bytes(100 << 20))
    return files


@pytest.mark.parametrize("name", sorted(damaged()))
def test_what_is_no_blueprint_is_refused_by_file_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json.gz"
    path.write_bytes(damaged()[name])
    with pytest.raises(BlueprintError, match=r"broken\.json\.gz: "):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BlueprintError, match="is the package complete"):
        load(tmp_path / "nothing.json.gz")


def test_every_published_architecture_is_shipped_in_less_than_two_megabytes() -> None:
    published = {"tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en"}
    assert published | {"large-v2", "large-v3", "large-v3-turbo"} <= set(SHIPPED)
    assert sum(path.stat().st_size for path in FILES) < 2 << 20


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_blueprint_uses_every_parameter_of_its_checkpoints(name: str) -> None:
    from anyon_export.checkpoints import parameter_shapes

    loaded = shipped(name)
    expected = parameter_shapes(loaded.config)
    for part in ("encoder", "decoder"):
        assert {op["op"] for op in loaded.programs[part]["ops"]} <= {
            "linear", "conv1d", "transpose", "split_heads", "layer_norm", "attention", "embedding", "add", "gather",
        }  # fmt: skip
    assert {name for weight in loaded.weights.values() for name in parameters(weight.expression)} == set(expected)
    assert {name for program in loaded.onnx.values() for name in program.initializers} == set(expected)
    assert len(loaded.programs["decoder"]["states"]) == 2 * loaded.config["n_text_layer"]


def test_architectures_differ() -> None:
    configs = [tuple(shipped(name).config.items()) for name in SHIPPED]
    assert len(set(configs)) == len(configs)


def test_a_blueprint_fits_its_own_sizes_only() -> None:
    sizes = shipped("base").config
    assert [name for name in SHIPPED if shipped(name).fits(sizes)] == ["base"]
    assert not shipped("base").fits({**sizes, "n_vocab": 7})


SLOW = bool(os.environ.get("ANYON_SLOW_TESTS"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SHIPPED if SLOW else ["tiny.en", "large-v3-turbo"])
def test_the_exporter_makes_the_shipped_blueprint_again(name: str) -> None:
    """All of them with ANYON_SLOW_TESTS=1; the largest takes minutes."""
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'anyon[export]'")
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")
    from anyon_export.blueprints import whisper_blueprint
    from anyon_export.models.whisper import PRESETS

    expected, found = shipped(name), whisper_blueprint(name, PRESETS[name])
    assert asdict(PRESETS[name]) == expected.config
    assert found.programs == expected.programs
    assert found.weights == expected.weights
    for program, graph in expected.onnx.items():
        now, then = onnx.ModelProto(), onnx.ModelProto()
        now.ParseFromString(found.onnx[program].graph)
        then.ParseFromString(graph.graph)
        assert now == then, f"{program} under torch {torch.__version__}, onnx {onnx.__version__}"
    assert found == expected
    if zlib.ZLIB_RUNTIME_VERSION.startswith("1.2"):  # other libraries may compress to other bytes
        assert found.to_bytes() == (FOLDER / f"whisper-{name}{blueprints.SUFFIX}").read_bytes()
