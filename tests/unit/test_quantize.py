"""quantize(blueprint, recipe): which op reads what, what is refused, and that the ONNX graph keeps its meaning."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyon_export.blueprint import Blueprint, from_bytes, load
from anyon_export.bundle import unpack_initializer
from anyon_export.equalise import find_sites
from anyon_export.expressions import Evaluator
from anyon_export.protobuf import fields
from anyon_export.quantize import MOMENTS, quantize
from anyon_quantization.float32 import unpack_panel16
from anyon_quantization.matrix import QuantizationError
from anyon_quantization.recipes import STANDARD, Recipe, from_json, from_text, standard
from anyon_quantization.schemes import scheme

FOLDER = Path(__file__).resolve().parents[2] / "sdk" / "anyon" / "blueprints"
HEAD = "decoder.token_embedding.weight"
# Of rounding normal values: half a unit in 2^-10, a step of about 4.5 / 127 and one of 4.5 / 15, over sqrt(12).
RMS_ERROR = {"f16": 3e-4, "int8": 0.011, "int4": 0.1}


@cache
def tiny() -> Blueprint:
    return load(FOLDER / "whisper-tiny.en.json.gz")


@cache
def made(recipe: str) -> Blueprint:
    return quantize(tiny(), standard(recipe))


def ops(blueprint: Blueprint) -> Counter[str]:
    return Counter(op["op"] for program in blueprint.programs.values() for op in program["ops"])


def matrix(name: str, shape: tuple[int, ...]) -> Any:
    """A tensor of the checkpoint: always the same values for a name."""
    return np.random.default_rng(sum(name.encode())).standard_normal(shape).astype(np.float32)


class Tensors(dict[str, Any]):
    """Every parameter of tiny.en, made when it is asked for."""

    def __missing__(self, name: str) -> Any:
        from anyon_export.checkpoints import parameter_shapes

        return matrix(name, tuple(parameter_shapes(tiny().config)[name]))


def test_int8_replaces_every_product_and_the_tied_table() -> None:
    before, after = ops(tiny()), ops(made("int8"))
    assert after["linear_i8"] == before["linear"]
    assert after["linear"] == 2, "the squares on both sides of the rotated table"
    assert after["conv1d_i8"] == before["conv1d"] == 2
    assert (after["embedding_i8"], after["embedding"]) == (1, 1)
    assert after["conv1d"] == 0
    assert after["attention"] + after["attention_i8"] == before["attention"]


def test_an_op_reads_its_tensors_in_the_kernels_order() -> None:
    decoder = made("int8").programs["decoder"]["ops"]
    embedding, head = decoder[0], decoder[-1]
    assert embedding["inputs"] == ["tokens", HEAD, f"{HEAD}.scale"]
    assert embedding["attrs"] == {"rows": 51864, "width": 384}
    assert head["inputs"][1:] == [HEAD, f"{HEAD}.scale", f"{HEAD}.sum", "", ""]
    assert head["attrs"] == {"k": 384, "n": 51864, "activation": "none", "input_bits": 16}
    conv = next(op for op in made("int8").programs["encoder"]["ops"] if op["op"] == "conv1d_i8")
    name = "encoder.conv1.weight"
    assert conv["inputs"] == ["x0", name, f"{name}.scale", f"{name}.sum", "encoder.conv1.bias", ""]
    assert conv["attrs"]["cin"] == 80
    head = made("int4").programs["decoder"]["ops"][-1]
    assert head["inputs"][1:] == [HEAD, f"{HEAD}.scale", f"{HEAD}.zero", "", ""]
    assert head["attrs"] == {"k": 384, "n": 51864, "activation": "none", "group": 64, "input_bits": 16}


@pytest.mark.parametrize("recipe", ["f16", "int8", "int4"])
def test_every_input_of_an_op_is_there_and_every_weight_is_read(recipe: str) -> None:
    blueprint = made(recipe)
    for program in blueprint.programs.values():
        known = {value["name"] for value in program["inputs"]} | set(blueprint.weights) | {""}
        for op in program["ops"]:
            assert set(op["inputs"]) <= known, op["name"]
            known.update(op["outputs"])
    read = {name for program in blueprint.programs.values() for op in program["ops"] for name in op["inputs"]}
    assert set(blueprint.weights) == read - {""} - {
        name for program in blueprint.programs.values() for op in program["ops"] for name in op["outputs"]
    } - {value["name"] for program in blueprint.programs.values() for value in program["inputs"]}
    rows = [row for program in blueprint.onnx.values() for row in program.initializers.values()]
    assert {row["tensor"] for row in rows} <= set(blueprint.weights)


def test_recipes_stay_within_their_sizes() -> None:
    def megabytes(recipe: str) -> float:
        return sum(weight.expression.nbytes for weight in made(recipe).weights.values()) / 1e6

    # The tokenizer, the graphs and the manifest are another 0.75 MB.
    assert megabytes("int8") <= 42 - 0.75
    assert megabytes("int4") <= 28 - 0.75
    assert megabytes("f16") <= 76


def test_a_table_in_integers_becomes_floats_where_it_is_added() -> None:
    blueprint = quantize(tiny(), Recipe("mine", "int8", tables="int8"))
    table = "encoder.positional_embedding"
    encoder = blueprint.programs["encoder"]["ops"]
    place = next(i for i, op in enumerate(encoder) if op["op"] == "embedding_i8")
    assert encoder[place]["inputs"] == [f"{table}.rows", table, f"{table}.scale"]
    assert encoder[place]["attrs"] == {"rows": 1500, "width": 384}
    assert encoder[place + 1]["name"] == "encoder.conv2"
    assert encoder[place + 1]["inputs"][-1] == encoder[place]["outputs"][0]
    positions = next(op for op in blueprint.programs["decoder"]["ops"] if "positions" in op["inputs"])
    assert positions["op"] == "embedding_i8"
    np.testing.assert_array_equal(Evaluator({})(blueprint.weights[f"{table}.rows"].expression), np.arange(1500))
    assert "decoder.positional_embedding.rows" not in blueprint.weights


def test_f16_keeps_the_ops_and_halves_the_weights() -> None:
    assert ops(made("f16")) == ops(tiny())
    assert made("f16").weights[HEAD].expression.dtype == "float16"
    assert made("f16").weights["encoder.conv1.bias"].expression.dtype == "float32"


def test_the_f32_recipe_changes_nothing() -> None:
    assert quantize(tiny(), standard("f32")) is tiny()


def test_the_last_pattern_that_matches_counts() -> None:
    recipe = Recipe("mine", "int8", overrides={"decoder.*.weight": "int4", HEAD: "f16", "*.mlp.0.weight": "int4-g32"})
    assert recipe.scheme_of("decoder.blocks.0.attn.out.weight") == "int4"
    assert recipe.scheme_of("decoder.blocks.0.mlp.0.weight") == "int4-g32"
    assert recipe.scheme_of("encoder.conv1.weight") == "int8"
    blueprint = quantize(tiny(), recipe)
    found = ops(blueprint)
    assert (found["embedding"], found["linear"], found["conv1d_i8"]) == (2, 1, 2)
    groups = {op["attrs"]["group"] for op in blueprint.programs["decoder"]["ops"] if op["op"] == "linear_i4"}
    assert groups == {64, 32}
    assert blueprint.quantization == recipe.to_json()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe("a", "int4"), r"encoder\.conv1\.weight: conv1d cannot read int4-?\S* "),
        (Recipe("a", "int8", overrides={"encodr.*": "f16"}), r"'encodr\.\*' matches no weight of whisper-tiny\.en"),
        (Recipe("a", "int8", overrides={"*positional*": "int4"}), r"encoder\.positional_embedding is a table"),
        (Recipe("a", "int8", overrides={"*.mlp.0.bias": "f16"}), r"matches no weight"),
        (Recipe("a", "int8", rotate=("*.no_table",)), r"'\*\.no_table' matches no weight"),
    ],
)
def test_what_cannot_be_is_refused_by_name(recipe: Recipe, message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        quantize(tiny(), recipe)


def test_quantising_twice_is_refused() -> None:
    with pytest.raises(QuantizationError, match="has recipe 'int8' already"):
        quantize(made("int8"), standard("int4"))


def test_attention_is_in_8_bits_where_its_keys_are_all_there() -> None:
    before, after = tiny().programs, quantize(tiny(), Recipe("a", "f32", attention="i8")).programs

    def ops(programs: dict[str, Any], program: str) -> list[str]:
        return [op["op"] for op in programs[program]["ops"] if "attention" in op["op"]]

    layers = ops(before, "encoder").count("attention")
    assert ops(after, "encoder") == ["attention_i8"] * layers
    assert ops(after, "decoder") == ["attention", "pack_attention_i8", "attention_i8"] * layers
    held = {port["name"] for port in after["decoder"]["inputs"] if port.get("held")}
    assert held == {port["name"] for port in after["decoder"]["inputs"] if port["name"].startswith("cross_")}
    for op in after["decoder"]["ops"]:
        if op["op"] == "attention_i8":
            key = op["inputs"][1]
            assert op["inputs"][3] == f"{key}.packed"
            assert "key_state" not in op["attrs"]


def test_a_rotated_table_gives_the_same_logits_and_rows_through_its_squares() -> None:
    blueprint, evaluate = made("int8"), Evaluator(tensors := Tensors())
    # Uneven columns, as Whisper's are: of plain rounding one of them leaves little to the others.
    tensors[HEAD] = matrix(HEAD, (51864, 384)) * np.where(np.arange(384) == 7, 30, 1).astype(np.float32)
    stored = {name: evaluate(blueprint.weights[HEAD + name].expression) for name in ("", ".scale", ".down", ".up")}
    turned = scheme("int8").unpack({"": stored[""], "scale": stored[".scale"]}, 51864, 384)
    down, up = (unpack_panel16(stored[name], 0, 384).astype(np.float32) for name in (".down", ".up"))
    np.testing.assert_allclose(down @ up, np.eye(384), atol=2e-3)  # f16: 384 products of 2^-11 each
    back = turned @ down
    plain = scheme("int8").unpack(scheme("int8").pack(tensors[HEAD]), 51864, 384)
    ordinary = np.arange(384) != 7
    errors = [np.std((array - tensors[HEAD])[:, ordinary]) for array in (back, plain)]
    assert errors[0] < errors[1] / 5, "one large column no longer costs the others their precision"
    ops_before, ops_after = (program.programs["decoder"]["ops"] for program in (tiny(), blueprint))
    assert [op["op"] for op in ops_after[:2]] == ["embedding_i8", "linear"]
    assert ops_after[1]["inputs"] == [ops_after[0]["outputs"][0], f"{HEAD}.up", "", ""]
    assert ops_after[1]["outputs"] == ops_before[0]["outputs"]
    assert [op["op"] for op in ops_after[-2:]] == ["linear", "linear_i8"]
    assert ops_after[-2]["inputs"][:2] == [ops_before[-1]["inputs"][0], f"{HEAD}.down"]
    assert ops_after[-1]["inputs"][0] == ops_after[-2]["outputs"][0]


def test_a_table_in_floats_is_not_rotated() -> None:
    blueprint = quantize(tiny(), Recipe("a", "int8", overrides={HEAD: "f16"}, rotate=(HEAD,)))
    assert f"{HEAD}.down" not in blueprint.weights


def test_with_moments_products_on_such_inputs_come_nearer() -> None:
    """Through the rotation of a table and the equalised columns behind a norm, which the moments must follow."""
    names = [HEAD, "encoder.blocks.1.mlp.0.weight", "decoder.blocks.0.mlp.0.weight"]
    recipe = standard("int4")
    plain, calibrated = quantize(tiny(), recipe), quantize(tiny(), recipe, names)
    random = np.random.default_rng(5)
    mix = random.standard_normal((384, 384)) * np.exp(random.standard_normal(384))
    x = (random.standard_normal((2000, 384)) @ mix / 20).astype(np.float32)
    tensors = Tensors()
    tensors |= {MOMENTS + name: x.T @ x / len(x) for name in names}
    evaluate = Evaluator(tensors)
    for name in names:
        exact = None
        errors = []
        for blueprint in (plain, calibrated):
            expression = blueprint.weights[name].expression
            before = evaluate(expression.of[0])
            chosen = scheme(str(expression.attrs["scheme"]))
            after = chosen.unpack(chosen.pack(*(evaluate(part) for part in expression.of)), *before.shape)
            inputs = x
            if name == HEAD:
                inputs = x @ evaluate(expression.of[0].of[1])  # the rotation
            elif name.startswith("encoder"):
                inputs = x / evaluate(expression.of[0].of[1])
            product = inputs[:200] @ before[:2000].T
            exact = product if exact is None else exact
            np.testing.assert_allclose(product, exact, atol=0.05)
            errors.append(np.linalg.norm(inputs[:200] @ after[:2000].T - product))
        assert errors[1] < 0.9 * errors[0], name


def test_every_norm_has_its_matrices() -> None:
    sites = {site.scale: site for site in find_sites(tiny())}
    assert len(sites) == 4 * 2 + 1 + 4 * 3
    assert sites["encoder.blocks.3.mlp_ln.weight"].matrices == ("encoder.blocks.3.mlp.0.weight",)
    assert len(sites["encoder.ln_post.weight"].matrices) == 2 * 4


@pytest.mark.parametrize("power", [[-0.5, 0], [0, 1.5], ["half", 1], [0.5], 0.5])
def test_equalising_by_more_than_all_is_refused(power: Any) -> None:
    with pytest.raises(QuantizationError, match="equalise"):
        from_json({"name": "x", "default": "int8", "equalise": {"*": power}})


def test_recipes_are_json_there_and_back() -> None:
    for recipe in STANDARD.values():
        assert from_json(recipe.to_json()) == recipe
    assert from_text('{"name": "x", "default": "int8"}') == Recipe("x", "int8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not JSON"),
        ("[]", "a recipe is an object"),
        ('{"name": "x"}', "'default' is missing"),
        ('{"name": "x", "default": "int8", "colour": 1}', "unknown entry 'colour'"),
        ('{"name": "x", "default": "int9"}', "scheme 'int9'"),
        ('{"name": "x", "default": "int8", "tables": "int4"}', "tables 'int4'"),
        ('{"name": "x", "default": "int8", "attention": "i4"}', "attention 'i4'"),
        ('{"name": "x", "default": "int8", "overrides": ["a"]}', "overrides an object"),
        ('{"name": "x", "default": "int8", "rotate": "a"}', "rotate is a list of texts"),
    ],
)
def test_a_recipe_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        from_text(text)


def test_quantised_blueprints_are_json_there_and_back() -> None:
    """`anyon export` with a recipe keeps the blueprint; the file holds no recipe, so that part is left out."""
    plain = replace(made("int4"), quantization={})
    assert from_bytes(plain.to_bytes()) == plain


def test_tensors_of_one_weight_cost_one_quantisation(monkeypatch: pytest.MonkeyPatch) -> None:
    from anyon_quantization.int8 import Int8

    calls: list[Any] = []
    pack = Int8.pack
    monkeypatch.setattr(Int8, "pack", lambda self, array: calls.append(array.shape) or pack(self, array))
    blueprint, evaluate = made("int8"), Evaluator(Tensors())
    layer = [name for name in blueprint.weights if name.startswith("encoder.blocks.0.")]
    for name in layer:
        evaluate(blueprint.weights[name].expression)
    assert calls == [(1152, 384), (384, 384), (1536, 384), (384, 1536)]


@pytest.mark.parametrize("recipe", ["f16", "int8", "int4"])
def test_the_graph_says_the_same_values_as_the_kernels_tensors(recipe: str) -> None:
    """Each initializer, dequantised as its node says, is the quantised weight; stacked and turned ones too."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")
    blueprint, tensors = quantize(tiny(), replace(standard(recipe), equalise={}, rotate=())), Tensors()
    evaluate = Evaluator(tensors)
    stored = {name: evaluate(weight.expression) for name, weight in blueprint.weights.items() if "embed" not in name}
    seen = set()
    rows_of = {
        (row["tensor"], tuple(row["rows"])): name
        for program in tiny().onnx.values()
        for name, row in program.initializers.items()
    }
    for program in blueprint.onnx.values():
        model = onnx.ModelProto()
        model.ParseFromString(program.graph)
        shapes = {t.name: list(t.dims) for t in model.graph.initializer}
        for node in [node for node in model.graph.node if node.op_type in ("DequantizeLinear", "Cast")]:
            rows = [program.initializers.get(name) for name in node.input]
            if None in rows or rows[0]["tensor"] not in stored:
                continue
            parts = [unpack_initializer(stored[row["tensor"]], row) for row in rows]
            assert [list(part.shape) for part in parts] == [shapes[name] for name in node.input]
            attributes = {a.name: a.i for a in node.attribute}
            weight = dequantise(parts, rows, attributes)
            name = rows_of[rows[0]["tensor"], tuple(rows[0]["rows"])]
            if node.output[0] != name:
                weight = weight.T
            assert np.std(weight - tensors[name]) <= RMS_ERROR[recipe], name
            if name == "encoder.blocks.1.attn.key.weight":
                stacked = np.concatenate([tensors[name.replace("key", part)] for part in ("query", "key", "value")])
                chosen = scheme(standard(recipe).scheme_of("encoder.blocks.1.attn.query_key_value.weight"))
                exact = chosen.unpack(chosen.pack(stacked), 1152, 384)[384:768]
                np.testing.assert_array_equal(weight, exact)
            seen.add(name)
    assert len(seen) == 4 * 6 + 2 + 4 * 10


def dequantise(parts: list[Any], rows: list[dict[str, Any]], attributes: dict[str, int]) -> Any:
    """From ONNX's definition of DequantizeLinear."""
    values = [halves(part) if row.get("dtype") == "uint4" else part for part, row in zip(parts, rows, strict=True)]
    if "to" in attributes:
        return values[0].astype(np.float32)
    q, scale = values[0].astype(np.float32), values[1]
    if "block_size" in attributes:
        scale, zero = (part.repeat(attributes["block_size"], axis=attributes["axis"]) for part in values[1:])
        return (q - zero) * scale
    return q * scale.reshape([-1 if axis == attributes["axis"] else 1 for axis in range(q.ndim)])


def halves(packed: Any) -> Any:
    """ONNX's 4 bits: two values in a byte, the first in the low half."""
    data = packed.reshape(-1)[: -(-packed.size // 2)]
    return np.stack([data & 15, data >> 4], axis=1).reshape(-1)[: packed.size].reshape(packed.shape)


@pytest.mark.parametrize("recipe", ["f16", "int8", "int4"])
def test_the_graph_is_valid_onnx_and_otherwise_as_it_was(recipe: str) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'anyon[export]'")
    for name, program in made(recipe).onnx.items():
        before, after = onnx.ModelProto(), onnx.ModelProto()
        before.ParseFromString(tiny().onnx[name].graph)
        after.ParseFromString(program.graph)
        for node in (*before.graph.node, *after.graph.node):
            node.attribute.sort(key=lambda attribute: attribute.name)  # they have no order
        kept_nodes = [node for node in before.graph.node if node.output[0] not in turned(before)]
        undo_rotation(after)
        added = len(after.graph.node) - len(kept_nodes)
        assert list(after.graph.node)[added:] == kept_nodes
        assert after.graph.input == before.graph.input
        assert after.graph.output == before.graph.output
        after.ParseFromString(program.graph)
        made_here = {node.output[0] for node in list(after.graph.node)[:added]}
        kept = {t.name for t in after.graph.initializer}
        assert not made_here & kept
        gone = {t.name for t in before.graph.initializer} - kept
        assert gone == {name for name in gone if name in made_here or name in turned(before).values()}
        assert turned(before).keys() <= made_here
        # The checker wants to open external files: as inputs the initializers are checked without their data.
        for tensor in [t for t in after.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]:
            after.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
            after.graph.initializer.remove(tensor)
        onnx.checker.check_model(after, full_check=True)


def undo_rotation(model: Any) -> None:
    """Takes out the products before and behind a rotated table."""
    for node in [node for node in model.graph.node if node.op_type == "MatMul" and "transposed" in node.input[1]]:
        reader = next((other for other in model.graph.node if other.input[:1] == node.output[:1]), None)
        maker = next((other for other in model.graph.node if other.output[0] == node.input[0]), None)
        if node.input[0].endswith(".rotated"):
            assert maker is not None
            assert maker.op_type == "Gather"
            maker.output[0] = node.output[0]
        else:
            assert reader is not None
            assert reader.op_type == "MatMul"
            reader.input[0] = node.input[0]
        model.graph.node.remove(node)


def turned(model: Any) -> dict[str, str]:
    """Transposes of weights: the result -> the weight."""
    weights = {tensor.name for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "Transpose" and node.input[0] in weights]
    return {node.output[0]: node.input[0] for node in nodes}


def test_a_damaged_message_is_refused() -> None:
    assert [number for number, _, _, _ in fields(b"\x08\x96\x01\x12\x03abc")] == [1, 2]
    for damaged in (b"\x08", b"\x12\x05abc", b"\x0b", b"\xff" * 11):
        with pytest.raises(ValueError, match="protobuf"):
            list(fields(damaged))
