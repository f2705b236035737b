"""Any checkpoint anyon reads -> whisper.cpp's file.

python to_ggml.py CHECKPOINT OUTPUT f16|q8_0|q5_1
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "export"))
from ggml import write_ggml

from anyon_export.checkpoints import load


def main() -> None:
    checkpoint = load(Path(sys.argv[1]))
    ordinary = checkpoint.tokenizer.tokens[: min(checkpoint.tokenizer.special.values())]
    write_ggml(Path(sys.argv[2]), checkpoint.config, checkpoint.tensors, ordinary, sys.argv[3])


if __name__ == "__main__":
    main()
