"""ONNX's operator suite against the native backend: nothing fails, and as many cases pass as ever did.

`python -m pytest tests/conformance/test_onnx_backend.py` runs all of it; what is skipped says which op, type or
attribute is missing.
"""

from __future__ import annotations

import functools
import unittest
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx", reason="the operator suite comes with onnx: pip install 'anyon[export]'")

from onnx.backend.test import BackendTest  # noqa: E402
from onnx_backend import NativeBackend  # noqa: E402

PASSED_COUNT = Path(__file__).parent / "onnx_passed.txt"
# Cases that state values no other implementation can give within the suite's tolerance of 1e-7.
_ROUGH = "expects 1.9e-7, the rounding error of its own float32 transform, where the exact value is 0"
_RANDOM = "compares random numbers"
NOT_COMPARABLE = {"test_dft_inverse_cpu": _ROUGH, "test_dft_inverse_opset19_cpu": _ROUGH} | dict.fromkeys(
    [f"test_bernoulli{kind}{form}_cpu" for kind in ("", "_double", "_seed") for form in ("", "_expanded")], _RANDOM
)

passed: set[str] = set()
ran: set[str] = set()


def counted(name: str, case: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(case)
    def run(*arguments: Any) -> None:
        ran.add(name)
        if name in NOT_COMPARABLE:
            raise unittest.SkipTest(NOT_COMPARABLE[name])
        case(*arguments)
        passed.add(name)

    return run


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the suite computes infinities on purpose
    OnnxNodeTest: Any = BackendTest(NativeBackend, __name__).test_cases["OnnxBackendNodeModelTest"]

CASES = sorted(name for name in vars(OnnxNodeTest) if name.startswith("test_") and name.endswith("_cpu"))
for _name in [name for name in vars(OnnxNodeTest) if name.startswith("test_")]:
    if _name in CASES:
        setattr(OnnxNodeTest, _name, counted(_name, getattr(OnnxNodeTest, _name)))
    else:
        delattr(OnnxNodeTest, _name)  # the same case on another device


def test_the_suite_passes_as_many_cases_as_it_did() -> None:
    if ran != set(CASES):
        pytest.skip(f"only {len(ran)} of {len(CASES)} cases ran")
    recorded = int(PASSED_COUNT.read_text())
    assert len(passed) >= recorded, f"{len(passed)} cases of ONNX's operator suite pass, {recorded} did before"
    assert len(passed) == recorded, f"{len(passed)} cases pass, more than before: write it into {PASSED_COUNT.name}"
