"""Published architectures that nobody wrote for this project run natively and agree with PyTorch.

Random weights, small sizes. 1e-3 is the promise; rounding stays below 1e-5 here, a wrong op is far above.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers", reason="published models: pip install 'anyon[dev]'")
pytest.importorskip("diffusers", reason="published models: pip install 'anyon[dev]'")
torch = pytest.importorskip("torch", reason="exporting needs PyTorch: pip install 'anyon[export]'")

from published_models import MODELS  # noqa: E402

import anyon  # noqa: E402
from anyon_export.engines import plain_arithmetic  # noqa: E402

TOLERANCE = 1e-3
OTHER_BATCH, OTHER_TIME = 3, 11  # sizes that no example has


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_runs_natively(name: str, tmp_path: Path) -> None:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, about their own deprecations
        module, inputs, dims = MODELS[name]()
        path = tmp_path / f"{name}.anyon"
        report = anyon.export(module, inputs, dynamic_shapes=dims or None, path=path, strict=True)
        assert report.max_error is not None
        assert report.max_error <= TOLERANCE
        model = anyon.load(path, backend="native", threads=2)
        for arguments in [inputs, _of_other_sizes(inputs, dims)]:
            with plain_arithmetic():
                expected = module(**arguments)
            results = model.run(**{key: tensor.numpy() for key, tensor in arguments.items()})
            assert results
            for key, result in results.items():
                reference = expected[key.removesuffix("_out")].numpy()
                np.testing.assert_allclose(result, reference, rtol=0, atol=TOLERANCE * max(1, np.abs(reference).max()))


def _of_other_sizes(inputs: dict[str, Any], dims: dict[str, Any]) -> dict[str, Any]:
    """The same inputs with their dynamic dimensions changed: what a graph made for the example alone cannot run."""
    changed = {}
    for key, tensor in inputs.items():
        for axis, dim in dims.get(key, {}).items():
            size = {"batch": OTHER_BATCH, "samples": 3000}.get(dim.__name__, OTHER_TIME)
            tensor = torch.cat([tensor] * (size // tensor.shape[axis] + 1), dim=axis).narrow(axis, 0, size)
        changed[key] = tensor
    return changed
