"""backend="coreml": it says what it is for, and refuses by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from anyon.backends import KNOWN, NAMES, coreml_backend, get_backend
from anyon.errors import BackendError


def test_it_is_known_but_never_chosen() -> None:
    assert "coreml" not in NAMES
    assert "coreml" in KNOWN


def test_the_probe_says_where_core_ml_runs_and_what_is_possible_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coreml_backend.sys, "platform", "linux")
    monkeypatch.setattr(coreml_backend.importlib.metadata, "version", lambda name: "9.0")
    capability = get_backend("coreml").probe()
    assert (capability.available, capability.version, capability.install) == (False, "9.0", "")
    assert capability.reason == (
        "Core ML runs on macOS and iOS; anyon export --target coreml writes packages here (coremltools 9.0)"
    )


def test_the_probe_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise coreml_backend.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(coreml_backend.importlib.metadata, "version", missing)
    capability = get_backend("coreml").probe()
    assert (capability.available, capability.version) == (False, "")
    assert capability.install == "pip install 'anyon[export,coreml]'"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_running_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(coreml_backend.sys, "platform", platform)
    bundle: Any = SimpleNamespace(path="some.anyon")
    resources: Any = None
    with pytest.raises(BackendError, match=r"some\.anyon: backend coreml does not run program 'decoder'.*native"):
        get_backend("coreml").prepare(bundle, "decoder", resources)
