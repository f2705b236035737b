"""GPTQ: on correlated inputs the product is nearer than with plain rounding, on the same grid; on others it is that."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from anyon_quantization import gptq, int4, int8
from anyon_quantization.matrix import QuantizationError

Matrix = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def inputs() -> Matrix:
    """(1500, 128): correlated, of uneven size, as activations are."""
    random = np.random.default_rng(0)
    mix = random.standard_normal((128, 128)) * np.exp(random.standard_normal(128))
    return (random.standard_normal((1500, 128)) @ mix / 10).astype(np.float32)


@pytest.fixture(scope="module")
def weights() -> Matrix:
    return np.random.default_rng(1).standard_normal((75, 128)).astype(np.float32)


def error(inputs: Matrix, weights: Matrix, rounded: Matrix) -> float:
    """Of the product, relative."""
    return float(np.linalg.norm(inputs @ (rounded - weights).T) / np.linalg.norm(inputs @ weights.T))


def test_the_factor_gives_the_inverse_of_the_damped_moments(inputs: Matrix) -> None:
    moments = (inputs.T @ inputs).astype(np.float64)
    factor = gptq.inverse_factor(moments, 0.01).astype(np.float64)
    assert np.tril(factor, -1).max() == np.tril(factor, -1).min() == 0
    damped = moments + 0.01 * np.diag(moments).mean() * np.eye(128)
    np.testing.assert_allclose(factor.T @ factor @ damped, np.eye(128), atol=1e-3)


def test_int8_products_are_nearer_and_use_the_same_scales(inputs: Matrix, weights: Matrix) -> None:
    kind = int8.Int8()
    packed, plain = kind.pack(weights, inputs.T @ inputs), kind.pack(weights)
    np.testing.assert_array_equal(packed["scale"], plain["scale"])
    found, expected = (error(inputs, weights, kind.unpack(tensors, 75, 128)) for tensors in (packed, plain))
    # Measured: 0.71 of plain rounding.
    assert found < 0.85 * expected
    q = int8.unpack_panel16x4(packed[""], 0, 75, 128)
    np.testing.assert_array_equal(packed["sum"], q.sum(axis=1, dtype=np.int32))


@pytest.mark.parametrize("kind", [int4.Int4(32), int4.Int4(32, symmetric=True), int4.Int4(64)], ids=lambda k: k.name)
def test_int4_products_are_nearer_and_use_the_same_grid(inputs: Matrix, weights: Matrix, kind: int4.Int4) -> None:
    packed, plain = kind.pack(weights, inputs.T @ inputs), kind.pack(weights)
    for role in ("scale", "zero"):
        np.testing.assert_array_equal(packed[role], plain[role])
    found, expected = (error(inputs, weights, kind.unpack(tensors, 75, 128)) for tensors in (packed, plain))
    assert found < 0.9 * expected


def test_a_width_that_is_no_multiple_of_the_group_keeps_its_padding(weights: Matrix) -> None:
    kind, narrow = int4.Int4(64), np.ascontiguousarray(weights[:, :100])
    packed = kind.pack(narrow, np.eye(100, dtype=np.float32))
    np.testing.assert_array_equal(packed[""], kind.pack(narrow)[""])


def test_inputs_without_correlation_leave_plain_rounding(weights: Matrix) -> None:
    kind = int8.Int8()
    packed = kind.pack(weights, np.eye(128, dtype=np.float32))
    np.testing.assert_array_equal(packed[""], kind.pack(weights)[""])


def test_inputs_that_are_always_zero_do_no_harm(weights: Matrix) -> None:
    kind = int8.Int8()
    packed = kind.pack(weights, np.zeros((128, 128), np.float32))
    np.testing.assert_array_equal(packed[""], kind.pack(weights)[""])


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        (np.eye(64, dtype=np.float32), r"moments \(64, 64\) for a matrix \(75, 128\)"),
        (np.full((128, 128), np.nan, np.float32), "not finite"),
        (-np.eye(128, dtype=np.float32), "no moments"),
    ],
)
def test_what_are_no_moments_is_refused(weights: Matrix, moments: Matrix, message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        int8.Int8().pack(weights, moments)
