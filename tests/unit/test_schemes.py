"""Every scheme: what comes back lies within its bound, tensors are as announced, the layout is the kernels'."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyon_quantization import int4, int8
from anyon_quantization.matrix import QuantizationError
from anyon_quantization.schemes import scheme

NAMES = ["f32", "f16", "int8", "int4-g32", "int4-g64", "int4-g128", "int4-g32-sym", "int4-g64-sym", "int4-g128-sym"]
Matrix = npt.NDArray[np.float32]


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Random shapes; rows of any scale, some zero, some with an outlier."""
    n, k = draw(st.integers(1, 40)), draw(st.integers(1, 150))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    matrix = random.standard_normal((n, k)).astype(np.float32)
    matrix *= np.float32(10.0) ** random.integers(*draw(st.sampled_from([(-2, 2), (-40, 4), (0, 1)])), (n, 1))
    matrix[random.random(n) < 0.2] = 0
    if draw(st.booleans()):
        matrix[random.random((n, k)) < 0.02] *= 100
    if draw(st.booleans()):
        matrix = np.abs(matrix)
    return np.clip(matrix, -60000, 60000)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(matrix=matrices())
def test_what_comes_back_lies_within_the_bound(name: str, matrix: Matrix) -> None:
    chosen, (n, k) = scheme(name), matrix.shape
    tensors = chosen.pack(matrix)
    assert {role: (array.shape, str(array.dtype)) for role, array in tensors.items()} == chosen.tensors(n, k)
    back = chosen.unpack(tensors, n, k)
    assert (back.shape, back.dtype) == (matrix.shape, np.float32)
    assert (np.abs(back - matrix) <= chosen.error_bound(matrix)).all()
    np.testing.assert_array_equal(back[~matrix.any(axis=1)], 0)


@settings(deadline=None)
@given(matrix=matrices())
def test_int8_is_the_kernels_arithmetic_and_layout(matrix: Matrix) -> None:
    n, k = matrix.shape
    tensors = int8.Int8().pack(matrix)
    largest = np.abs(matrix).max(axis=1)
    scale = np.where(largest > 1e-30, largest / np.float32(127), 1).astype(np.float32)
    clear = (largest > 1e-30) | (largest == 0)
    np.testing.assert_array_equal(tensors["scale"][clear], scale[clear])
    q = np.rint(matrix / tensors["scale"][:, None]).astype(np.int64)
    assert np.abs(q).max() <= 127
    packed = tensors[""]
    for i in range(packed.shape[0] * 16):
        for j in {0, k // 2, k - 1, packed.shape[1] * 4 - 1}:
            expected = q[i, j] if i < n and j < k else 0
            assert packed[i // 16, j // 4, i % 16, j % 4] == expected
    np.testing.assert_array_equal(tensors["sum"], q.sum(axis=1))


@settings(deadline=None)
@given(matrix=matrices(), name=st.sampled_from(["int4-g32", "int4-g64", "int4-g128-sym"]))
def test_int4_is_the_kernels_arithmetic_and_layout(matrix: Matrix, name: str) -> None:
    chosen, (n, k) = scheme(name), matrix.shape
    assert isinstance(chosen, int4.Int4)
    q, scale, zero = int4.quantise(matrix, chosen.group, chosen.symmetric)
    assert q.max() <= 15
    assert zero.max() <= 15
    if chosen.symmetric:
        assert (zero == 8).all()
    tensors = chosen.pack(matrix)
    packed, width = tensors[""], q.shape[1]
    assert width == -(-k // chosen.group) * chosen.group
    for i in range(packed.shape[0] * 16):
        for j in {0, k // 2, k - 1, width - 1}:
            byte = packed[i // 16, j // 8, i % 16, j % 4]
            found, place = byte >> 4 if j % 8 >= 4 else byte & 15, (i // 16, j // chosen.group, i % 16)
            if i < n:
                assert found == q[i, j]
                assert tensors["scale"][place] == scale[i, j // chosen.group]
                assert tensors["zero"][place] == zero[i, j // chosen.group]
            if i >= n or j >= k:
                assert found == tensors["zero"][place], "padding stands for zero"


def test_a_narrower_grid_never_costs_accuracy() -> None:
    matrix = np.random.default_rng(1).standard_normal((64, 256)).astype(np.float32)

    def error(shrinks: tuple[float, ...]) -> float:
        q, scale, zero = int4.quantise(matrix, 32, shrinks=shrinks)
        groups = (q.reshape(64, -1, 32).astype(np.float32) - zero[..., None]) * scale[..., None]
        return float(((groups.reshape(matrix.shape) - matrix) ** 2).sum())

    assert error(int4.SHRINKS) < 0.96 * error((1.0,))


@pytest.mark.parametrize("name", ["f16", "int8", "int4"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(name: str, value: float) -> None:
    matrix = np.ones((3, 64), np.float32)
    matrix[1, 5] = value
    with pytest.raises(QuantizationError, match=r"not finite|halves end"):
        scheme(name).pack(matrix)


def test_halves_that_would_overflow_are_refused() -> None:
    with pytest.raises(QuantizationError, match="a weight of 70000, halves end at 65504"):
        scheme("f16").pack(np.full((1, 1), 70000, np.float32))


@pytest.mark.parametrize("name", ["int3", "int4-g48", "int8-g64", "", "int4-g64-sym-x"])
def test_an_unknown_scheme_is_refused_by_name(name: str) -> None:
    with pytest.raises(QuantizationError, match=r"expected"):
        scheme(name)


@pytest.mark.parametrize("name", ["int8", "int4", "f16"])
@pytest.mark.parametrize(("first", "last"), [(0, 37), (5, 17), (16, 32), (36, 37)])
def test_rows_can_be_read_on_their_own(name: str, first: int, last: int) -> None:
    matrix = np.random.default_rng(2).standard_normal((37, 128)).astype(np.float32)
    chosen = scheme(name)
    tensors = chosen.pack(matrix)
    whole = chosen.unpack(tensors, 37, 128)
    if name == "int8":
        rows = int8.unpack_panel16x4(tensors[""], first, last, 128) * tensors["scale"][first:last, None]
    elif name == "int4":
        scales, zeros = (int4.unpack_groups(tensors[role], first, last)[..., None] for role in ("scale", "zero"))
        q = int4.unpack_panel16x8(tensors[""], first, last).reshape(last - first, -1, 64).astype(np.float32)
        rows = ((q - zeros) * scales).reshape(last - first, 128)
    else:
        rows = chosen.unpack({"": tensors[""]}, 37, 128)[first:last]
    np.testing.assert_array_equal(rows, whole[first:last])
