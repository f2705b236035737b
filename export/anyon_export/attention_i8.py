"""Attention over keys that are all there from the start, in 8 bits: attention -> attention_i8.

Keys and values that come from outside the program (those of the audio, in a decoder) are packed once: their inputs
become held ones, and a pack_attention_i8 op makes of them what every step then reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STATES = ("causal", "key_state", "value_state")


def attention_i8(program: Mapping[str, Any]) -> dict[str, Any]:
    """The program with every attention op converted that is neither causal nor cached."""
    inputs = {port["name"] for port in program["inputs"]}
    ops: list[dict[str, Any]] = []
    held: set[str] = set()
    for op in program["ops"]:
        if op["op"] != "attention" or op["attrs"]["causal"] or op["attrs"]["key_state"]:
            ops.append(op)
            continue
        attrs = {key: value for key, value in op["attrs"].items() if key not in _STATES}
        query, key, value = op["inputs"]
        packed = ""
        if {key, value} <= inputs:
            packed = f"{key}.packed"
            held |= {key, value}
            ops.append({**op, "op": "pack_attention_i8", "inputs": [key, value], "outputs": [packed], "attrs": attrs})
        ops.append({**op, "op": "attention_i8", "inputs": [query, key, value, packed], "attrs": attrs})
    ports = [{**port, "held": True} if port["name"] in held else port for port in program["inputs"]]
    return {**program, "inputs": ports, "ops": ops}
