"""Weight expressions: shapes known before data, values right, JSON there and back, misuse refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyon_export import expressions as ex
from anyon_quantization.float32 import pack_panel16, unpack_panel16


@settings(deadline=None)
@given(n=st.integers(1, 70), k=st.integers(1, 9), data=st.data())
def test_panels_unpack_to_the_rows_they_were_made_of(n: int, k: int, data: st.DataObject) -> None:
    matrix = np.arange(n * k, dtype=np.float32).reshape(n, k)
    packed = pack_panel16(matrix)
    assert packed.shape == (-(-n // 16), k, 16)
    row, column = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, k - 1))
    assert packed[row // 16, column, row % 16] == matrix[row, column]
    assert packed.sum(dtype=np.float64) == matrix.sum(dtype=np.float64)  # the padding is zero
    first = data.draw(st.integers(0, n - 1))
    last = data.draw(st.integers(first, n))
    np.testing.assert_array_equal(unpack_panel16(packed, first, last), matrix[first:last])


def test_shape_and_dtype_are_known_before_the_data() -> None:
    weight = ex.param("conv", (6, 4, 3))
    taps = ex.reshape(ex.transpose(weight, [0, 2, 1]), [6, 12])
    stacked = ex.rows([taps, ex.zeros([2, 12])])
    packed = ex.panel16(stacked)
    assert (stacked.shape, packed.shape, packed.dtype, packed.nbytes) == ((8, 12), (1, 12, 16), "float32", 768)
    array = np.arange(72, dtype=np.float16).reshape(6, 4, 3)
    value = ex.Evaluator({"conv": array})(packed)
    assert (value.shape, value.dtype) == (packed.shape, np.float32)
    for cout, cin, tap in ((0, 0, 0), (5, 3, 2), (2, 1, 1)):
        assert value[0, tap * 4 + cin, cout] == array[cout, cin, tap]
    assert not value[0, :, 6:].any()


def test_transposes_merge_and_identities_vanish() -> None:
    weight = ex.param("w", (2, 3, 4))
    turned = ex.transpose(weight, [1, 2, 0])
    assert ex.transpose(turned, [2, 0, 1]) == weight
    assert ex.transpose(turned, [1, 0, 2]).of == (weight,)
    assert ex.reshape(weight, [2, 3, 4]) is weight
    assert ex.rows([weight]) is weight


def test_json_there_and_back() -> None:
    expression = ex.panel16(
        ex.rows(
            [ex.reshape(ex.transpose(ex.param("a", (3, 2)), [1, 0]), [2, 3]), ex.constant(np.ones((1, 3), np.float32))]
        )
    )
    back = ex.from_json(json.loads(json.dumps(ex.to_json(expression))))
    assert back == expression
    assert list(ex.parameters(back)) == ["a"]
    evaluate = ex.Evaluator({"a": np.arange(6, dtype=np.float32).reshape(3, 2)})
    np.testing.assert_array_equal(evaluate(back), evaluate(expression))


def test_a_tensor_of_another_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"a\.weight has shape \[2, 3\], expected \[3, 2\]"):
        ex.Evaluator({"a.weight": np.zeros((2, 3))})(ex.param("a.weight", (3, 2)))
    with pytest.raises(KeyError, match=r"a\.weight"):
        ex.Evaluator({})(ex.param("a.weight", (3, 2)))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"op": "no_such_operation"},
        {"op": "panel16", "of": [{"param": "a", "shape": [2, 3, 4]}]},
        {"op": "reshape", "shape": [5], "of": [{"param": "a", "shape": [2, 3]}]},
        {"op": "rows", "of": [{"param": "a", "shape": [2, 3]}, {"param": "b", "shape": [2, 4]}]},
    ],
)
def test_malformed_expressions_are_refused(data: object) -> None:
    with pytest.raises(ValueError, match="expressions:"):
        ex.from_json(data)


def test_deep_nesting_is_refused() -> None:
    data: dict[str, object] = {"param": "a", "shape": [4]}
    for _ in range(100):
        data = {"op": "reshape", "shape": [4], "of": [data]}
    with pytest.raises(ValueError, match="nested too deeply"):
        ex.from_json(data)


def test_an_operation_can_be_added_once() -> None:
    name = "halved_for_this_test"
    operation = ex.Operation(lambda attrs, of: (of[0].shape, "int8"), lambda attrs, of: (of[0] / 2).astype(np.int8))
    ex.register(name, operation)
    try:
        value = ex.Evaluator({"a": np.array([4.0, 8.0])})(ex.make(name, [ex.param("a", (2,))]))
        np.testing.assert_array_equal(value, np.array([2, 4], np.int8))
        with pytest.raises(ValueError, match="exists already"):
            ex.register(name, operation)
    finally:
        del ex.OPERATIONS[name]
