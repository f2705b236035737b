"""Calibration's parts: what is collected, how norms and layers are chosen, how a budget is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anyon.calibration import Recording
from anyon.cli.layer_page import layer_page
from anyon.errors import OptionError
from anyon.quantizer import parse_budget, parse_size
from anyon.recordings import find_recordings
from anyon.word_error import word_errors
from anyon_quantization.calibration import ROWS, Collector
from anyon_quantization.search import Move, Option, moves, schemes_after
from anyon_quantization.smoothing import choose_powers, column_scales


def test_moments_are_the_mean_of_x_times_x_and_rows_an_even_sample() -> None:
    random = np.random.default_rng(2)
    x = random.standard_normal((5000, 8)).astype(np.float32)
    x[:, 7] = np.arange(5000)
    collector = Collector(8)
    for part in np.array_split(x, 7):
        collector.add(part[None])
    inputs = collector.inputs()
    np.testing.assert_allclose(inputs.moments, x.T.astype(np.float64) @ x / 5000, rtol=1e-4, atol=1e-4)
    assert (inputs.count, inputs.rows.shape) == (5000, (ROWS, 8))
    places = inputs.rows[:, 7]
    assert len(set(places)) == ROWS
    # 256 of 5000 evenly: their mean is 2500 with a deviation of 90.
    assert abs(places.mean() - 2500) < 400
    np.testing.assert_array_equal(inputs.rows, x[places.astype(int)])


def test_few_inputs_are_all_kept() -> None:
    collector = Collector(3)
    collector.add(np.ones((2, 3), np.float32))
    assert collector.inputs().rows.shape == (2, 3)
    assert Collector(3).inputs().count == 0


def test_a_norm_takes_over_what_makes_its_products_exact_enough() -> None:
    """One input column a hundred times the others: in 8 bits it is evened out, in 16 there is no need."""
    random = np.random.default_rng(3)
    rows = random.standard_normal((200, 32)).astype(np.float32)
    rows[:, 5] *= 100
    matrices = {"a": random.standard_normal((40, 32)).astype(np.float32)}
    moments = rows.T @ rows / len(rows)
    norm, weights = choose_powers(rows, moments, matrices, {"a": "int8"}, 8)
    assert norm >= 0.5
    scales = column_scales(np.sqrt(np.diag(moments)), list(matrices.values()), (norm, weights))
    assert scales[5] == scales.max()
    assert np.exp(np.log(scales).mean()) == pytest.approx(1, rel=1e-3)
    assert choose_powers(rows, moments, matrices, {"a": "int8"}, 16)[0] < norm


def test_layers_give_up_bits_where_a_byte_costs_least() -> None:
    options = {
        "robust": [Option("f16", 200, 0.0), Option("int8", 100, 0.001), Option("int4-g32", 60, 0.002)],
        "fragile": [Option("f16", 200, 0.0), Option("int8", 100, 0.01), Option("int4-g32", 60, 1.0)],
        "small": [Option("f16", 20, 0.0), Option("int8", 10, 0.0)],
    }
    path = moves(options)
    assert [(move.weight, move.scheme) for move in path] == [
        ("small", "int8"),
        ("robust", "int8"),
        ("robust", "int4-g32"),
        ("fragile", "int8"),
        ("fragile", "int4-g32"),
    ]
    assert path[2] == Move("robust", "int4-g32", 40, pytest.approx(0.001))
    assert schemes_after(options, path[:3]) == {"robust": "int4-g32", "fragile": "f16", "small": "int8"}
    assert schemes_after(options, []) == dict.fromkeys(options, "f16")


def test_a_rung_that_a_smaller_one_undercuts_is_skipped() -> None:
    options = {"w": [Option("f16", 200, 0.0), Option("int8", 100, 0.5), Option("int4-g32", 60, 0.4)]}
    assert [move.scheme for move in moves(options)] == ["int4-g32"]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "wrong"),
    [
        ("It was the best of times.", "it was the best of times", 0),
        ("a b c d", "a x c d", 1),
        ("a b c d", "a c d", 1),
        ("a b c d", "a b b c d e", 2),
        ("a b c", "", 3),
        ("", "a b", 2),
        ("don't stop", "don't, stop!", 0),
    ],
)
def test_word_errors_are_the_fewest_edits(reference: str, hypothesis: str, wrong: int) -> None:
    assert word_errors(reference, hypothesis) == (wrong, len(reference.split()))


def test_budgets_and_sizes_are_read() -> None:
    assert (parse_budget("wer+0.2"), parse_budget("wer + 1")) == (0.2, 1.0)
    assert (parse_size("28MB"), parse_size("1.5 MiB"), parse_size("4096")) == (28_000_000, 3 << 19, 4096)
    for text in ("0.2", "wer-1", "cer+1"):
        with pytest.raises(OptionError, match="points of word error"):
            parse_budget(text)
    with pytest.raises(OptionError, match="28MB"):
        parse_size("small")


def test_recordings_come_from_files_folders_and_tables(tmp_path: Path) -> None:
    for name in ("b.wav", "a.flac", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    table = tmp_path / "speech.tsv"
    table.write_text('path\treference\tlanguage\na.flac\tshe said "no\ten\nb.wav\t\t\n')
    assert [recording.path.name for recording in find_recordings([tmp_path])] == ["a.flac", "b.wav"]
    assert find_recordings([table]) == [
        Recording(tmp_path / "a.flac", 'she said "no', "en"),
        Recording(tmp_path / "b.wav"),
    ]
    table.write_text("path\treference\nmissing.wav\tx\n")
    with pytest.raises(OptionError, match=r"line 2: .*missing\.wav: no such file"):
        find_recordings([table])
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="no recordings in this folder"):
        find_recordings([tmp_path / "empty"])
    with pytest.raises(OptionError, match="no such file or folder"):
        find_recordings([tmp_path / "nowhere"])


def test_the_page_stands_alone_and_says_what_the_table_says() -> None:
    layers = [
        {
            "name": "a<b",
            "scheme": "int8",
            "shape": (4, 8),
            "bytes": 32,
            "sqnr": 40.2,
            "noise": 0.25,
            "divergence": 2e-4,
        },
        {"name": "c", "scheme": "int4-g32", "shape": (4, 8), "bytes": 16, "sqnr": 20.0, "noise": 1.0},
        {"name": "d", "scheme": "f16", "shape": (4, 8), "bytes": 64, "sqnr": None, "noise": 1.0},
    ]
    page = layer_page("tiny & co", {"word error": "9.1 %"}, layers)
    assert "<h1>tiny &amp; co</h1>" in page
    assert "a&lt;b" in page
    assert "a<b" not in page
    assert page.count("<svg") == 4
    assert "<td>40.2</td>" in page
    assert "0.00020" in page
    assert "http" not in page, "nothing is fetched"
