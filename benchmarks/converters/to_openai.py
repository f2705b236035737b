"""Any checkpoint anyon reads -> openai-whisper's .pt, in f16 as the published files are.

python to_openai.py CHECKPOINT OUTPUT      (run in the environment "torch")
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "export"))
from anyon_export.checkpoints import load


def main() -> None:
    checkpoint = load(Path(sys.argv[1]))
    # Our parameter names are openai-whisper's.
    tensors = {name: torch.from_numpy(np.array(value, dtype=np.float16)) for name, value in checkpoint.tensors.items()}
    torch.save({"dims": dict(checkpoint.config), "model_state_dict": tensors}, sys.argv[2])


if __name__ == "__main__":
    main()
