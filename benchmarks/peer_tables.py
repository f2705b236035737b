"""The tables of peers.py: a row for each engine, and how far anyon is ahead of the fastest peer in each column."""

from __future__ import annotations

from typing import Any

from peer_measurements import FEW, MANY, Runs

# Column -> (heading, unit factor, format); times in seconds unless the factor says otherwise.
COLUMNS = {
    "encoder": ("encoder ms", 1000.0, "{:10.1f}"),
    "token": ("ms/token", 1000.0, "{:10.2f}"),
    "first": ("first ms", 1000.0, "{:10.1f}"),
    "10s": ("10 s clip", 1.0, "{:10.3f}"),
    "30s": ("30 s clip", 1.0, "{:10.3f}"),
    "7min": ("7 min", 1.0, "{:10.2f}"),
}
NOTES = f"""\
encoder: the encoder alone on one window of 30 s. anyon: its own clock (timings["encoder"]) in whole transcriptions;
  faster-whisper: model.encode; OpenVINO: the encoder's file compiled with the pipeline's settings; openai-whisper:
  model.encoder; ONNX Runtime: session.run; whisper.cpp: whisper_encode. anyon, ONNX Runtime and whisper.cpp make the
  cross-attention's keys and values there, the others in the first decoder step.
ms/token: (30 s clip with at most {MANY} tokens - with at most {FEW}) / {MANY - FEW}, wall, whole calls.
first: the 10 s clip with at most {FEW} token, from samples in memory; whisper.cpp always makes one token more.
Clips: samples in memory to text, seconds.
*: some runs were disturbed (others took more than 15 % of a core)."""


def summarise(runs: Runs) -> dict[str, Any]:
    """What the JSON keeps of an engine's runs of one task."""
    return {
        "median_s": runs.median,
        "min_s": min(runs.seconds),
        "max_s": max(runs.seconds),
        "seconds": runs.seconds,
        "cpu_s": runs.cpu_seconds,
        "foreign_cores": runs.foreign_cores,
        "disturbed": runs.disturbed,
        "replies": runs.replies,
    }


def per_token(few: dict[str, Any], many: dict[str, Any]) -> dict[str, Any]:
    """Seconds of one decoder step from two summaries; anyon's own clock beside it."""
    steps = MANY - FEW
    row: dict[str, Any] = {
        "median_s": (many["median_s"] - few["median_s"]) / steps,
        "disturbed": few["disturbed"] + many["disturbed"],
    }
    generated = [summary["replies"][0].get("generated") for summary in (few, many)]
    if None not in generated and generated != [FEW, MANY]:
        row["note"] = f"{generated[0]} and {generated[1]} tokens were made, {FEW} and {MANY} asked for"
    inside = [[reply.get("inside", {}).get("decoder") for reply in summary["replies"]] for summary in (few, many)]
    if None not in inside[0] + inside[1]:
        row["inside_s"] = (sorted(inside[1])[len(inside[1]) // 2] - sorted(inside[0])[len(inside[0]) // 2]) / steps
    return row


def speed_rows(found: dict[str, dict[str, Runs]]) -> dict[str, dict[str, Any]]:
    """{task: {engine: Runs}} -> {column: {engine: summary}}, with the column "token"."""
    rows = {task: {name: summarise(runs) for name, runs in engines.items()} for task, engines in found.items()}
    if "few" in rows and "many" in rows:
        both = [name for name in rows["few"] if name in rows["many"]]
        rows["token"] = {name: per_token(rows["few"][name], rows["many"][name]) for name in both}
    return rows


def print_speed(title: str, rows: dict[str, dict[str, Any]], names: list[str]) -> None:
    columns = [column for column in COLUMNS if column in rows]
    print(f"\n{title}")
    print(f"{'engine':22}" + "".join(f"{COLUMNS[column][0]:>11}" for column in columns))
    for name in names:
        print(f"{name:22}" + "".join(_cell(column, rows[column].get(name)) for column in columns))
    for name, row in rows.get("token", {}).items():
        if "inside_s" in row:
            print(f"  {name}: {1000 * row['inside_s']:.2f} ms/token by its own clock (decoder runs and token choice)")
        if "note" in row:
            print(f"  {name}: {row['note']}")


def _cell(column: str, row: dict[str, Any] | None) -> str:
    if row is None:
        return f"{'-':>10} "
    _, factor, form = COLUMNS[column]
    return form.format(row["median_s"] * factor) + ("*" if row["disturbed"] else " ")


def leads(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """{column: {"fastest": peer, "ratios": {anyon row: fastest peer's time / its time}}}."""
    found = {}
    for column in COLUMNS:
        peers = {n: r["median_s"] for n, r in rows.get(column, {}).items() if not n.startswith("anyon")}
        ours = {n: r["median_s"] for n, r in rows.get(column, {}).items() if n.startswith("anyon")}
        if peers and ours:
            fastest = min(peers, key=lambda name: peers[name])
            found[column] = {
                "fastest": fastest,
                "ratios": {name: peers[fastest] / max(seconds, 1e-9) for name, seconds in ours.items()},
            }
    return found


def print_leads(title: str, found: dict[str, dict[str, Any]]) -> None:
    print(f"\n{title}: the fastest peer's time / anyon's")
    for column, row in found.items():
        ratios = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in row["ratios"].items())
        print(f"{COLUMNS[column][0]:12} {row['fastest']:22} {ratios}")


def print_sizes(
    names: list[str], files: dict[str, int], memory: dict[str, dict[str, Any]], wer: dict[str, dict[str, Any]]
) -> None:
    print(f"\n{'engine':22}{'file MB':>9}{'import s':>10}{'load ms':>9}{'peak MiB':>10}{'above MiB':>11}{'WER %':>8}")
    for name in names:
        cells = f"{files[name] / 1e6:9.1f}" if name in files else f"{'-':>9}"
        if name in memory:
            row = memory[name]
            cells += (
                f"{row['import_s']:10.2f}{1000 * row['load_s']:9.0f}{row['peak_mib']:10.0f}{row['above_mib']:11.0f}"
            )
        else:
            cells += f"{'-':>10}{'-':>9}{'-':>10}{'-':>11}"
        print(f"{name:22}{cells}" + (f"{wer[name]['wer_percent']:8.2f}" if name in wer else f"{'-':>8}"))
    print("file: what the engine loads. peak: of a fresh process after the 30 s clip; above: less Python with numpy.")
