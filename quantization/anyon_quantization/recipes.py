"""Recipes: which scheme each weight of a model gets. Named, written as JSON, the same for every size of a family."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from anyon_quantization.matrix import QuantizationError
from anyon_quantization.schemes import scheme

TABLES = ("f32", "f16", "int8")
ATTENTION = ("f32", "i8")


@dataclass(frozen=True)
class Recipe:
    """default: for matrices that linear, conv1d and embedding read. tables: for what is added as it is, such as
    positions. overrides: name pattern -> scheme, as in a shell; of the patterns that match, the last one counts.
    wide: programs that round the inputs of products to 16 bits instead of 8. rotate: patterns of matrices whose columns
    are turned before rounding (anyon_export.rotate), each at the cost of a square product.
    equalise: pattern of a layer norm's weight -> (norm, weights), both 0 to 1: columns of the matrices behind it are
    multiplied by size of the norm's column ** norm / largest weight of the column ** weights before rounding.
    attention: precision of attention in which every query sees all keys, on the native runtime."""

    name: str
    default: str
    tables: str = "f32"
    attention: str = "f32"
    wide: tuple[str, ...] = ()
    rotate: tuple[str, ...] = ()
    equalise: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)
    overrides: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for chosen in (self.default, *self.overrides.values()):
            scheme(chosen)
        for key, value, known in (("tables", self.tables, TABLES), ("attention", self.attention, ATTENTION)):
            if value not in known:
                raise QuantizationError(f"recipe {self.name!r}: {key} {value!r}: expected {' or '.join(known)}")
        for pattern, powers in self.equalise.items():
            if len(powers) != 2 or not all(0 <= power <= 1 for power in powers):
                raise QuantizationError(f"recipe {self.name!r}: equalise {pattern!r}: expected two numbers, 0 to 1")

    def scheme_of(self, weight: str, table: bool = False) -> str:
        """The scheme of a weight by its name in the bundle."""
        chosen = self.tables if table else self.default
        for pattern, name in self.overrides.items():
            if fnmatchcase(weight, pattern):
                chosen = name
        return chosen

    def powers_of(self, norm: str) -> tuple[float, float]:
        """How the columns behind a layer norm are evened out, by its weight's name; (0, 0): not at all."""
        chosen = (0.0, 0.0)
        for pattern, powers in self.equalise.items():
            if fnmatchcase(norm, pattern):
                chosen = powers
        return chosen

    def rotates(self, weight: str) -> bool:
        return any(fnmatchcase(weight, pattern) for pattern in self.rotate)

    def unused(self, weights: list[str]) -> list[str]:
        """Patterns that match none of the weights."""
        patterns = (*self.overrides, *self.rotate)
        return [pattern for pattern in patterns if not any(fnmatchcase(weight, pattern) for weight in weights)]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "default": self.default,
            "tables": self.tables,
            "attention": self.attention,
            "wide": list(self.wide),
            "rotate": list(self.rotate),
            "equalise": {pattern: list(powers) for pattern, powers in self.equalise.items()},
            "overrides": dict(self.overrides),
        }


def from_json(data: Any) -> Recipe:
    """Inverse of `Recipe.to_json`; only name and default must be there. QuantizationError for anything else."""
    if not isinstance(data, dict):
        raise QuantizationError('a recipe is an object such as {"name": "mine", "default": "int8"}')
    known = Recipe("", "f32").to_json()
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise QuantizationError(f"recipe: unknown entry {unknown[0]!r}; expected {', '.join(known)}")
    missing = [key for key in ("name", "default") if key not in data]
    if missing:
        raise QuantizationError(f"recipe: {missing[0]!r} is missing")
    overrides = data.get("overrides", {})
    texts = [data.get(key, "") for key in ("name", "default", "tables", "attention")]
    if not isinstance(overrides, dict) or not all(isinstance(text, str) for text in (*texts, *overrides.values())):
        raise QuantizationError("recipe: entries are texts, overrides an object of pattern: scheme")
    lists = {key: data.get(key, []) for key in ("wide", "rotate")}
    for key, value in lists.items():
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise QuantizationError(f"recipe: {key} is a list of texts")
    equalise = data.get("equalise", {})
    if not isinstance(equalise, dict) or not all(_is_pair(powers) for powers in equalise.values()):
        raise QuantizationError("recipe: equalise is an object of pattern: [number, number]")
    pairs = {pattern: tuple(powers) for pattern, powers in equalise.items()}
    return Recipe(**{**data, **{key: tuple(value) for key, value in lists.items()}, "equalise": pairs})


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(number) in (int, float) for number in value)


def from_text(text: str) -> Recipe:
    """A recipe's file. QuantizationError when it is none."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise QuantizationError(f"recipe: not JSON: {error}") from error
    return from_json(data)


# Decoding reads every weight of the decoder for each token: there bytes are time, and int4 pays. The encoder, and the
# keys and values it ends with, are read once for 1500 frames.
_ENCODER = ("encoder.*.weight", "*.cross_attn.key.weight", "*.cross_attn.value.weight")

# Of the decoder's matrices the ones whose rounding moves the output most for their bytes, as many of them as fit into
# 28 MB of tiny.en.
_SENSITIVE = ("decoder.*attn.out.weight", "decoder.blocks.[!0]*.mlp.2.weight")
_HEAD = "*.token_embedding.weight"
# The encoder rounds inputs to 8 bits: half of its norms' unevenness moves into the weights, where each row has a scale.
_EQUALISE = {"encoder.*_ln.weight": (0.5, 0.0), "encoder.ln_post.weight": (0.5, 0.0)}

STANDARD = {
    recipe.name: recipe
    for recipe in (
        Recipe("f32", "f32"),
        Recipe("f16", "f16", tables="f16"),
        Recipe(
            "int8",
            "int8",
            tables="f16",
            attention="i8",
            wide=("decoder",),
            equalise=_EQUALISE,
            rotate=(_HEAD,),
        ),
        Recipe(
            "int4",
            "int4-g32",
            tables="int8",
            attention="i8",
            wide=("decoder",),
            rotate=(_HEAD,),
            equalise=_EQUALISE,
            overrides={**dict.fromkeys((*_ENCODER, *_SENSITIVE), "int8"), _HEAD: "int4"},
        ),
    )
}


def standard(name: str) -> Recipe:
    """QuantizationError, listing the names, when there is no such recipe."""
    if name not in STANDARD:
        raise QuantizationError(f"recipe {name!r}: expected {', '.join(STANDARD)}")
    return STANDARD[name]
