"""From a checkpoint to a quantised one: plain, calibrated on recordings, or with a recipe searched for a budget."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anyon.calibration import Recording, collect, temporary_model, windows
from anyon.conversion import bundle_size
from anyon.errors import OptionError
from anyon.progress import Progress, Report
from anyon.word_error import word_errors

if TYPE_CHECKING:
    from anyon.whisper import WhisperModel
    from anyon_export.blueprint import Blueprint
    from anyon_export.checkpoints import Checkpoint
    from anyon_quantization.calibration import Inputs
    from anyon_quantization.recipes import Recipe
    from anyon_quantization.search import Move, Option

_SMALL = "int4-g32"  # what a weight may shrink to, if its op reads 4 bits
_MOST_WINDOWS = 8  # that a layer's sensitivity is measured on


@dataclass(frozen=True)
class Quantised:
    """A blueprint, a checkpoint with every tensor that its expressions read, and what was found on the way."""

    blueprint: Blueprint
    checkpoint: Checkpoint
    sensitivity: dict[str, dict[str, float]] = field(default_factory=dict)
    """weight -> scheme -> divergence (nats for each token) when it alone is quantised."""
    word_error: tuple[float, float] | None = None
    """In percent on the recordings: of the float model, and of this one."""


def parse_budget(text: str) -> float:
    """ "wer+0.2" -> 0.2 points of word error. Raises OptionError."""
    found = re.fullmatch(r"wer\+(\d+(?:\.\d+)?)", text.replace(" ", ""))
    if found is None:
        raise OptionError(f'budget={text!r}: expected "wer+0.2": points of word error that may be lost')
    return float(found[1])


def parse_size(text: str) -> int:
    """ "28MB" -> 28,000,000 bytes; kB, MB, GB, MiB too. Raises OptionError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(k|M|G|Ki|Mi|Gi)?B?", text.strip())
    if found is None:
        raise OptionError(f'max_size={text!r}: expected a size such as "28MB"')
    units = {None: 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
    return int(float(found[1]) * units[found[2]])


def quantise(
    blueprint: Blueprint,
    checkpoint: Checkpoint,
    recipe: Recipe,
    *,
    recordings: Sequence[Recording],
    budget: float | None,
    max_size: int | None,
    report: Report,
) -> Quantised:
    """blueprint: of recipe f32. recipe: what it becomes; with a budget or a size, what is searched around: attention,
    tables and inputs stay as it says, and each weight gets a scheme by what it costs.

    With recordings GPTQ rounds, and norms give up as much of their columns as is best on them. budget: points of word
    error over the float model's, on the recordings. Raises OptionError, AudioError.
    """
    from anyon_export.quantize import MOMENTS, quantize

    if (budget is not None or max_size is not None) and not recordings:
        raise OptionError("a budget or a size is met by measuring: give recordings too (--calibrate)")
    if not recordings:
        return Quantised(quantize(blueprint, recipe), checkpoint)
    inputs = collect(blueprint, checkpoint, recordings, report)
    moments = {MOMENTS + name: part.moments for name, part in inputs.items()}
    checkpoint = replace(checkpoint, tensors=ChainMap(moments, checkpoint.tensors))  # type: ignore[arg-type]
    recipe = _smoothed(blueprint, checkpoint, recipe, inputs)
    if budget is None and max_size is None:
        return Quantised(quantize(blueprint, recipe, set(inputs)), checkpoint)
    return _Search(blueprint, checkpoint, recipe, recordings, set(inputs), report).run(budget, max_size)


def _smoothed(blueprint: Blueprint, checkpoint: Checkpoint, recipe: Recipe, inputs: Mapping[str, Inputs]) -> Recipe:
    """The recipe with exponents of its own for each norm that it evens out."""
    from anyon_export.equalise import find_sites, matrix_of
    from anyon_export.expressions import Evaluator
    from anyon_quantization.smoothing import choose_powers

    evaluate, powers = Evaluator(checkpoint.tensors), dict(recipe.equalise)
    wide = {
        op["inputs"][1]
        for name, program in blueprint.programs.items()
        if name in recipe.wide
        for op in program["ops"]
        if len(op["inputs"]) > 1
    }
    for site in find_sites(blueprint):
        schemes = {name: recipe.scheme_of(name) for name in site.matrices}
        usual = recipe.powers_of(site.scale)
        if not any(usual) or not all(name.startswith("int") for name in schemes.values()):
            continue
        matrices = {name: evaluate(matrix_of(blueprint.weights[name])) for name in site.matrices}
        read = inputs[site.matrices[0]]
        bits = 16 if wide.issuperset(site.matrices) else 8
        powers[site.scale] = choose_powers(read.rows, read.moments, matrices, schemes, bits, usual)
    return replace(recipe, equalise=powers)


class _Search:
    """Sensitivity of every layer, the order in which layers give up bits, and how far along it the budget reaches."""

    def __init__(
        self,
        blueprint: Blueprint,
        checkpoint: Checkpoint,
        recipe: Recipe,
        recordings: Sequence[Recording],
        calibrated: set[str],
        report: Report,
    ) -> None:
        self._blueprint, self._checkpoint, self._recipe = blueprint, checkpoint, recipe
        self._recordings, self._calibrated, self._report = recordings, calibrated, report
        self._heard: dict[Path, str] = {}  # by the float model, which is asked first

    def run(self, budget: float | None, max_size: int | None) -> Quantised:
        from anyon_quantization.search import moves

        with temporary_model(self._blueprint, self._checkpoint) as model:
            options = self._measure(model)
            exact = self._word_error(model) if budget is not None else 0.0
        path = moves(options)
        # Moves along the path: enough to reach the size, and no more than the budget stands.
        fewest, most = 0, len(path)
        if max_size is not None:
            fewest = next(
                (
                    n
                    for n in range(len(path) + 1)
                    if bundle_size(self._made(options, path[:n]), self._checkpoint) <= max_size
                ),
                -1,
            )
            if fewest < 0:
                smallest = bundle_size(self._made(options, path), self._checkpoint) / 1e6
                raise OptionError(f"max_size: no recipe is that small; the smallest has {smallest:.1f} MB")
            if budget is None:
                most = fewest
        found: tuple[float, float] | None = None
        if budget is not None:
            most, found = self._furthest(options, path, fewest, exact, budget)
        sensitivity = {name: {row.scheme: row.divergence for row in rows} for name, rows in options.items()}
        return Quantised(self._made(options, path[:most]), self._checkpoint, sensitivity, found)

    def _measure(self, model: WhisperModel) -> dict[str, list[Option]]:
        """Every weight in every scheme that its op reads, one at a time."""
        from anyon.divergence import Divergence
        from anyon_quantization.search import Option

        heard = windows(model, self._recordings, self._report)
        step = -(-len(heard) // _MOST_WINDOWS)
        divergence = Divergence(model, heard[::step])
        readers = _readers(self._blueprint)
        options: dict[str, list[Option]] = {}
        for number, (weight, (ops, programs)) in enumerate(readers.items()):
            self._report(Progress("measure", number, len(readers), "layers"))
            schemes = ["f16", "int8", *([_SMALL] if "conv1d" not in ops else [])]
            options[weight] = []
            for scheme in schemes:
                blueprint = self._with({weight: scheme})
                cost = 0.0
                if scheme != "f16":
                    with temporary_model(replace(blueprint, onnx={}), self._checkpoint) as changed:
                        cost = divergence(changed, programs)
                size = sum(part.expression.nbytes for name, part in blueprint.weights.items() if _of(name, weight))
                options[weight].append(Option(scheme, size, cost))
        return options

    def _furthest(
        self, options: Mapping[str, Sequence[Option]], path: Sequence[Move], fewest: int, exact: float, budget: float
    ) -> tuple[int, tuple[float, float]]:
        """The most moves whose word error is within the budget, by halving, and the word errors."""
        low, high = fewest, len(path)
        error = self._error_after(options, path[:low])
        if error > exact + budget:
            raise OptionError(
                f"budget: even with {low} of {len(path)} layers' steps word error is {error:.2f} %, the float model's "
                f"{exact:.2f} % (allow more, or a larger size)"
            )
        while low < high:
            middle = (low + high + 1) // 2
            found = self._error_after(options, path[:middle])
            if found <= exact + budget:
                low, error = middle, found
            else:
                high = middle - 1
        return low, (exact, error)

    def _error_after(self, options: Mapping[str, Sequence[Option]], taken: Sequence[Move]) -> float:
        with temporary_model(replace(self._made(options, taken), onnx={}), self._checkpoint) as model:
            return self._word_error(model)

    def _word_error(self, model: WhisperModel) -> float:
        """In percent of the references' words; a recording without one counts against what the float model heard."""
        wrong = words = 0
        for index, recording in enumerate(self._recordings):
            self._report(Progress("transcribe", index, len(self._recordings), "recordings"))
            text = model.transcribe(recording.path, temperature=0.0, beam_size=1, **recording.options).text
            reference = recording.reference or self._heard.setdefault(recording.path, text)
            errors, count = word_errors(reference, text)
            wrong, words = wrong + errors, words + count
        return 100.0 * wrong / max(words, 1)

    def _made(self, options: Mapping[str, Sequence[Option]], taken: Sequence[Move]) -> Blueprint:
        from anyon_quantization.search import schemes_after

        return self._with(schemes_after(options, taken), self._recipe.tables, self._recipe.attention)

    def _with(self, schemes: Mapping[str, str], tables: str = "f16", attention: str = "f32") -> Blueprint:
        from anyon_export.quantize import quantize

        recipe = replace(
            self._recipe, name=f"{self._recipe.name}-searched", default="f16", tables=tables, attention=attention
        )
        return quantize(self._blueprint, replace(recipe, overrides=dict(schemes)), self._calibrated)


def _readers(blueprint: Blueprint) -> dict[str, tuple[set[str], list[str]]]:
    """Matrices that ops read in a scheme of their own: the ops' types, and the programs they are in."""
    found: dict[str, tuple[set[str], list[str]]] = {}
    for name, program in blueprint.programs.items():
        for op in program["ops"]:
            weight = op["inputs"][1] if len(op["inputs"]) > 1 else ""
            if weight in blueprint.weights and blueprint.weights[weight].layout == "panel16":
                ops, programs = found.setdefault(weight, (set(), []))
                ops.add(op["op"])
                if name not in programs:
                    programs.append(name)
    return found


def _of(name: str, weight: str) -> bool:
    """Whether a tensor of the bundle is the weight, or stands beside it."""
    return name == weight or name.startswith(f"{weight}.")
