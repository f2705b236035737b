"""Downloads from the hub against a loopback server: what is fetched, resumed, verified, refused, and used offline."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, Hub, serving

from anyon.hub_files import select_files

REPOSITORY = "openai/whisper-tiny.en"
WEIGHTS = bytes(range(256)) * 4096 * 12  # 12 MiB: large enough to be worth resuming
FILES = {
    "config.json": b'{"model_type": "whisper"}',
    "generation_config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"x" * 20_000,
    "flax_model.msgpack": b"y" * 20_000,
    "vocab.json": b"{}",
    ".gitattributes": b"",
}

# What a process does: prints the snapshot, or the error, and the progress it was told.
FETCH = """
import json, sys
from anyon.errors import AnyonError
from anyon.hub import fetch
from anyon.registry import HubSource
source = HubSource(*json.loads(sys.argv[1]))
reports = []
try:
    found = fetch(source, lambda report: reports.append([report.stage, report.done, report.total, report.detail]))
    result = {"path": str(found.path), "commit": found.commit, "reports": reports}
except AnyonError as error:
    result = {"error": type(error).__name__, "message": str(error), "reports": reports}
print("RESULT" + json.dumps(result))
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub({REPOSITORY: dict(FILES)})) as hub:
        yield hub


def fetch(hub: Hub | None, home: Path, *source: str, **environment: str) -> dict[str, Any]:
    """Runs `fetch` in a process of its own: huggingface_hub reads its environment at import."""
    env = {
        **os.environ,
        "HF_HOME": str(home),
        "HF_ENDPOINT": hub.url if hub else "http://127.0.0.1:9",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HF_HUB_DISABLE_XET": "1",
        **environment,
    }
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        if name not in environment:
            env.pop(name, None)
    arguments = [sys.executable, "-c", FETCH, json.dumps(source or [REPOSITORY])]
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=120, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, done.stderr
    assert "Traceback" not in done.stderr
    result: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT"))
    return result


def test_only_what_a_reader_needs_is_downloaded_once(hub: Hub, tmp_path: Path) -> None:
    found = fetch(hub, tmp_path)
    folder = Path(found["path"])
    assert found["commit"] == COMMIT
    assert sorted(os.listdir(folder)) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert len(hub.gets("model.safetensors")) == 1
    downloads = [report for report in found["reports"] if report[0] == "download"]
    assert downloads[-1][1] == downloads[-1][2] == sum(len(FILES[name]) for name in os.listdir(folder))
    assert [done for _, done, *_ in downloads] == sorted(done for _, done, *_ in downloads)
    again = fetch(hub, tmp_path)
    assert again["path"] == found["path"]
    assert len(hub.gets("model.safetensors")) == 1


def test_a_cut_connection_is_resumed_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.break_after, hub.breaks = 5 << 20, 2
    found = fetch(hub, tmp_path)
    assert (Path(found["path"]) / "model.safetensors").read_bytes() == WEIGHTS
    ranges = hub.gets("model.safetensors")
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(ranged and not ranged.startswith("bytes=0-") for ranged in ranges[1:])


def test_a_download_goes_on_in_another_process(hub: Hub, tmp_path: Path) -> None:
    blobs = tmp_path / "hub" / "models--openai--whisper-tiny.en" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete").write_bytes(WEIGHTS[: 7 << 20])
    found = fetch(hub, tmp_path)
    assert (Path(found["path"]) / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.gets("model.safetensors") == [f"bytes={7 << 20}-"]
    assert not list(blobs.glob("*.incomplete"))


def test_a_file_that_is_not_what_was_announced_is_removed(hub: Hub, tmp_path: Path) -> None:
    hub.lie_about_sha256 = True
    found = fetch(hub, tmp_path)
    assert found["error"] == "HubError"
    assert f"the hub announced {'0' * 64}" in found["message"]
    assert not list(tmp_path.rglob("model.safetensors"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size == len(WEIGHTS)]
    hub.lie_about_sha256 = False
    assert "path" in fetch(hub, tmp_path)


def test_a_damaged_partial_file_does_not_become_a_checkpoint(hub: Hub, tmp_path: Path) -> None:
    blobs = tmp_path / "hub" / "models--openai--whisper-tiny.en" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete").write_bytes(b"?" * (7 << 20))
    assert fetch(hub, tmp_path)["error"] == "HubError"
    assert "path" in fetch(hub, tmp_path)


def test_offline_mode_uses_the_copy_and_asks_nobody(hub: Hub, tmp_path: Path) -> None:
    online = fetch(hub, tmp_path)
    asked = len(hub.requests)
    assert fetch(hub, tmp_path, HF_HUB_OFFLINE="1")["path"] == online["path"]
    assert len(hub.requests) == asked


def test_offline_mode_without_a_copy_says_what_to_do(hub: Hub, tmp_path: Path) -> None:
    found = fetch(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert found["error"] == "HubError"
    assert "HF_HUB_OFFLINE" in found["message"]
    assert "no complete copy" in found["message"]
    assert hub.requests == []


def test_a_copy_that_was_damaged_on_the_disk_is_not_used_offline(hub: Hub, tmp_path: Path) -> None:
    weights = Path(fetch(hub, tmp_path)["path"]) / "model.safetensors"
    with open(weights.resolve(), "r+b") as file:
        file.write(b"????")
    found = fetch(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert found["error"] == "HubError"
    assert "sha256" in found["message"]


def test_a_hub_that_does_not_answer_is_named_and_a_copy_is_used(hub: Hub, tmp_path: Path) -> None:
    found = fetch(None, tmp_path)
    assert found["error"] == "HubError"
    assert "http://127.0.0.1:9 cannot be reached" in found["message"]
    online = fetch(hub, tmp_path)
    assert fetch(None, tmp_path)["path"] == online["path"]
    hub.status = 503
    assert fetch(hub, tmp_path)["path"] == online["path"]


def test_an_unknown_repository_a_gated_one_and_a_wrong_revision_are_told_apart(hub: Hub, tmp_path: Path) -> None:
    assert "no such repository, or a private one" in fetch(hub, tmp_path, "openai/whisper-huge")["message"]
    assert "no revision 'v9'" in fetch(hub, tmp_path, REPOSITORY, "v9")["message"]
    hub.gated = True
    assert "HF_TOKEN" in fetch(hub, tmp_path)["message"]


def test_the_token_is_used(hub: Hub, tmp_path: Path) -> None:
    hub.token = "hf_secret"
    assert fetch(hub, tmp_path)["error"] == "HubError"
    assert "path" in fetch(hub, tmp_path, HF_TOKEN="hf_secret")


def test_a_revision_and_one_file_can_be_chosen(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["ggerganov/whisper.cpp"] = {"ggml-tiny.bin": WEIGHTS, "ggml-base.bin": WEIGHTS[::-1]}
    found = fetch(hub, tmp_path, "ggerganov/whisper.cpp", COMMIT, "ggml-base.bin")
    assert Path(found["path"]).read_bytes() == WEIGHTS[::-1]
    assert hub.gets("ggml-tiny.bin") == []
    missing = fetch(hub, tmp_path, "ggerganov/whisper.cpp", "main", "ggml-huge.bin")
    assert missing["error"] == "CheckpointError"
    assert "ggml-base.bin" in missing["message"]


def test_file_names_that_leave_the_cache_are_ignored(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["evil/model"] = {"config.json": b"{}", "../../model.safetensors": WEIGHTS}
    found = fetch(hub, tmp_path / "home", "evil/model")
    assert found["error"] == "CheckpointError"
    assert not list(tmp_path.rglob("model.safetensors"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_is_a_cache_error_with_both_figures(hub: Hub, tmp_path: Path) -> None:
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], check=False)
    if mount.returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        found = fetch(hub, tmp_path)
        assert found["error"] == "CacheError"
        assert f"{len(WEIGHTS)} bytes are needed" in found["message"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


# Which files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (
            ["model.safetensors", "model.fp32-00001-of-00002.safetensors", "config.json"],
            ["config.json", "model.safetensors"],
        ),
        (
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
            ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
        ),
        (["model.bin", "config.json", "vocabulary.txt"], ["config.json", "vocabulary.txt", "model.bin"]),
        (["tiny.pt", "README.md"], ["README.md", "tiny.pt"]),
        (["model.safetensors", "vocab.json", "merges.txt"], ["vocab.json", "merges.txt", "model.safetensors"]),
    ],
)
def test_weights_are_chosen_once_in_the_best_format(names: list[str], chosen: list[str]) -> None:
    assert select_files(names, "x/y") == chosen
