"""GPTQ: on correlated inputs the product is nearer than with plain rounding, on the same grid; on others it is that."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from anyon_quantization import gptq, int4, int8

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


def from_int4(q: Matrix, scale: Matrix, zero: Matrix, group: int) -> Matrix:
    groups = q.reshape(len(q), -1, group).astype(np.float32) - zero[..., None]
    return np.asarray((groups * scale[..., None]).reshape(q.shape), np.float32)


def test_the_factor_gives_the_inverse_of_the_damped_moments(inputs: Matrix) -> None:
    moments = (inputs.T @ inputs).astype(np.float64)
    factor = gptq.inverse_factor(moments).astype(np.float64)
    assert np.tril(factor, -1).max() == np.tril(factor, -1).min() == 0
    damped = moments + 0.01 * np.diag(moments).mean() * np.eye(128)
    np.testing.assert_allclose(factor.T @ factor @ damped, np.eye(128), atol=1e-3)


def test_int8_products_are_nearer_and_use_the_same_scales(inputs: Matrix, weights: Matrix) -> None:
    q, scale = gptq.round_int8(weights, inputs.T @ inputs)
    plain, plain_scale = int8.quantise(weights)
    np.testing.assert_array_equal(scale, plain_scale)
    assert (q.dtype, np.abs(q).max() <= 127) == (np.int8, True)
    # Measured: 0.77 of plain rounding.
    assert error(inputs, weights, q * scale[:, None]) < 0.85 * error(inputs, weights, plain * scale[:, None])


@pytest.mark.parametrize("symmetric", [False, True])
def test_int4_products_are_nearer_and_use_the_same_grid(inputs: Matrix, weights: Matrix, symmetric: bool) -> None:
    q, scale, zero = gptq.round_int4(weights, inputs.T @ inputs, 32, symmetric)
    plain, plain_scale, plain_zero = int4.quantise(weights, 32, symmetric)
    np.testing.assert_array_equal(scale, plain_scale)
    np.testing.assert_array_equal(zero, plain_zero)
    assert (q.dtype, q.max() <= 15) == (np.uint8, True)
    found = error(inputs, weights, from_int4(q, scale, zero, 32))
    assert found < 0.9 * error(inputs, weights, from_int4(plain, scale, zero, 32))


def test_inputs_without_correlation_leave_plain_rounding(weights: Matrix) -> None:
    q, _ = gptq.round_int8(weights, np.eye(128, dtype=np.float32))
    np.testing.assert_array_equal(q, int8.quantise(weights)[0])


def test_inputs_that_are_always_zero_do_no_harm(weights: Matrix) -> None:
    q, scale = gptq.round_int8(weights, np.zeros((128, 128), np.float32))
    np.testing.assert_array_equal(q * scale[:, None], int8.quantise(weights)[0] * scale[:, None])
