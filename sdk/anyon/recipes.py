"""Which recipe `load` makes a bundle with: a standard name, or a file of one's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyon.errors import OptionError

if TYPE_CHECKING:
    from anyon_quantization.recipes import Recipe

NAMES = ("f32", "f16", "int8", "int4")
# Changes with what a standard recipe does, so that a bundle cached under its name is not taken for today's; a look into
# the index must not cost the import of the quantiser. A test compares this with the recipes.
MEANINGS = {"f32": "", "f16": "1a630a0d", "int8": "417f2654", "int4": "3018e2f0"}
# Where encoder and decoder were both measured to be faster in int8 than in f32 (benchmarks/README.md). Not avx512:
# without VNNI its f32 encoder is the faster one. ARM has not been timed.
_FAST_INT8 = ("avx2", "avxvnni", "avx512vnni")


def default_recipe(backend: str, isa: str) -> str:
    """int8 where the native kernels are faster with it; its word error is no worse. f32 for other engines."""
    return "int8" if backend in ("auto", "native") and isa in _FAST_INT8 else "f32"


def recipe_spec(recipe: Any) -> str:
    """A standard name as it is; the content of a recipe's file as one line of JSON, so that it can be compared.

    Raises OptionError. What the recipe says is checked when it is used (`find_recipe`).
    """
    if isinstance(recipe, str) and recipe in NAMES:
        return recipe
    if not isinstance(recipe, (str, os.PathLike)) or not os.fspath(recipe).endswith(".json"):
        raise OptionError(f"recipe={recipe!r}: expected {', '.join(NAMES)} or a recipe's .json file")
    try:
        data = json.loads(Path(recipe).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"recipe={os.fspath(recipe)!r}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise OptionError(f"recipe={os.fspath(recipe)!r}: is not JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise OptionError(f'recipe={os.fspath(recipe)!r}: expected {{"name": ..., "default": ...}}')
    return json.dumps(data, separators=(",", ":"))


def recipe_meaning(spec: str) -> str:
    """A text that two recipes share only when they make the same bundle."""
    return spec if spec.startswith("{") else f"{spec} {MEANINGS[spec]}".strip()


def recipe_name(spec: str) -> str:
    """What a bundle made with it says."""
    return str(json.loads(spec)["name"]) if spec.startswith("{") else spec


def find_recipe(spec: str) -> Recipe:
    """Raises OptionError when the recipe's file asks for something unknown."""
    from anyon_quantization import recipes
    from anyon_quantization.matrix import QuantizationError

    try:
        return recipes.from_text(spec) if spec.startswith("{") else recipes.standard(spec)
    except QuantizationError as error:
        raise OptionError(str(error)) from error
