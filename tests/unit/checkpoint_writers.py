"""Writes small Whisper checkpoints in every published format, from the formats' descriptions, not with our readers."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[Any]
Tensors = dict[str, Array]

# Two encoder layers, one decoder layer, 256 bytes + 3 merged tokens + control tokens + 1,501 timestamps.
SMALL: dict[str, int] = {
    "n_mels": 5,
    "n_audio_ctx": 6,
    "n_audio_state": 32,
    "n_audio_head": 2,
    "n_audio_layer": 2,
    "n_vocab": 40,
    "n_text_ctx": 7,
    "n_text_state": 32,
    "n_text_head": 2,
    "n_text_layer": 1,
}
PUBLISHED_SIZE = {**SMALL, "n_vocab": 51_864}


def models_folder() -> Path | None:
    """The folder with real weights that ANYON_TEST_MODELS names."""
    value = os.environ.get("ANYON_TEST_MODELS")
    return Path(value) if value else None


def real_model(name: str, how: str) -> Path:
    """A real checkpoint of that folder; a test without it is skipped and says where it comes from."""
    folder = models_folder()
    if folder is None or not (folder / name).exists():
        pytest.skip(f"{name} not found: {how}, and set ANYON_TEST_MODELS to the folder that holds it")
    return folder / name


def random_tensors(config: dict[str, int], seed: int = 0, dtype: str = "f2") -> Tensors:
    """All parameters under OpenAI's names, written out here a second time on purpose."""
    rng = np.random.default_rng(seed)
    width = config["n_audio_state"]
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.conv1.weight": (width, config["n_mels"], 3),
        "encoder.conv1.bias": (width,),
        "encoder.conv2.weight": (width, width, 3),
        "encoder.conv2.bias": (width,),
        "encoder.positional_embedding": (config["n_audio_ctx"], width),
        "encoder.ln_post.weight": (width,),
        "encoder.ln_post.bias": (width,),
        "decoder.token_embedding.weight": (config["n_vocab"], width),
        "decoder.positional_embedding": (config["n_text_ctx"], width),
        "decoder.ln.weight": (width,),
        "decoder.ln.bias": (width,),
    }
    blocks = [(f"encoder.blocks.{i}", ["attn"]) for i in range(config["n_audio_layer"])]
    blocks += [(f"decoder.blocks.{i}", ["attn", "cross_attn"]) for i in range(config["n_text_layer"])]
    for block, attentions in blocks:
        for attention in attentions:
            for role in ("query", "key", "value", "out"):
                shapes[f"{block}.{attention}.{role}.weight"] = (width, width)
            for role in ("query", "value", "out"):
                shapes[f"{block}.{attention}.{role}.bias"] = (width,)
            shapes[f"{block}.{attention}_ln.weight"] = (width,)
            shapes[f"{block}.{attention}_ln.bias"] = (width,)
        shapes[f"{block}.mlp.0.weight"] = (4 * width, width)
        shapes[f"{block}.mlp.0.bias"] = (4 * width,)
        shapes[f"{block}.mlp.2.weight"] = (width, 4 * width)
        shapes[f"{block}.mlp.2.bias"] = (width,)
        shapes[f"{block}.mlp_ln.weight"] = (width,)
        shapes[f"{block}.mlp_ln.bias"] = (width,)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


# --- Hugging Face -----------------------------------------------------------------------------------------------------

_HF_PARTS = {
    "attn": "self_attn",
    "attn_ln": "self_attn_layer_norm",
    "cross_attn": "encoder_attn",
    "cross_attn_ln": "encoder_attn_layer_norm",
    "mlp_ln": "final_layer_norm",
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "out": "out_proj",
    "blocks": "layers",
    "token_embedding": "embed_tokens",
    "positional_embedding": "embed_positions.weight",
    "ln_post": "layer_norm",
    "ln": "layer_norm",
}


def huggingface_name(name: str) -> str:
    """Our name -> Hugging Face's."""
    name = name.replace("mlp.0", "fc1").replace("mlp.2", "fc2")
    return "model." + ".".join(_HF_PARTS.get(part, part) for part in name.split("."))


def huggingface_config(config: dict[str, int]) -> dict[str, Any]:
    return {
        "model_type": "whisper",
        "activation_function": "gelu",
        "num_mel_bins": config["n_mels"],
        "max_source_positions": config["n_audio_ctx"],
        "d_model": config["n_audio_state"],
        "encoder_attention_heads": config["n_audio_head"],
        "encoder_layers": config["n_audio_layer"],
        "vocab_size": config["n_vocab"],
        "max_target_positions": config["n_text_ctx"],
        "decoder_attention_heads": config["n_text_head"],
        "decoder_layers": config["n_text_layer"],
        "encoder_ffn_dim": 4 * config["n_audio_state"],
        "decoder_ffn_dim": 4 * config["n_text_state"],
    }


def safetensors_bytes(tensors: Tensors, metadata: dict[str, str] | None = None) -> bytes:
    """The file format by hand: u64 header size, JSON, data. u16 arrays stand for bfloat16."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, array in tensors.items():
        dtype = "BF16" if array.dtype.kind == "u" else f"F{array.itemsize * 8}"
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in tensors.values())


def tiny_tokenizer_json() -> dict[str, Any]:
    """A byte-level tokenizer: 256 bytes, "th", "the", " t", nine control tokens; 1,501 timestamps follow by rule."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    letters = {b: chr(b) for b in visible} | {b: chr(0x100 + i) for i, b in enumerate(hidden)}
    vocabulary = {letter: i for i, letter in enumerate(letters.values())}
    space = letters[0x20]
    for token in ("th", "the", f"{space}t"):
        vocabulary[token] = len(vocabulary)
    names = ["endoftext", "startoftranscript", "en", "translate", "transcribe", "startoflm", "startofprev", "nospeech"]
    names.append("notimestamps")
    added = [{"id": len(vocabulary) + i, "content": f"<|{name}|>", "special": True} for i, name in enumerate(names)]
    merges = ["t h", "th e", f"{space} t"]
    return {"added_tokens": added, "model": {"type": "BPE", "vocab": vocabulary, "merges": merges}}


TINY_VOCABULARY = 256 + 3 + 9 + 1_501


def write_huggingface(folder: Path, config: dict[str, int], tensors: Tensors, tokenizer: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(huggingface_config(config)))
    renamed = {huggingface_name(name): array for name, array in tensors.items()}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(renamed, {"format": "pt"}))
    if tokenizer:
        (folder / "tokenizer.json").write_text(json.dumps(tiny_tokenizer_json()))
    return folder


# --- OpenAI -----------------------------------------------------------------------------------------------------------

_STORAGES = {"float16": "HalfStorage", "float32": "FloatStorage", "float64": "DoubleStorage"}


def _text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def _integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _tuple(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_integer, values)) + b"t"


def pickled_tensor(array: Array, key: str) -> bytes:
    """torch's pickle of a contiguous tensor whose elements lie in data/<key>."""
    strides = tuple(stride // array.itemsize for stride in array.strides)
    storage = _STORAGES[array.dtype.name]
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + _text("storage")
        + f"ctorch\n{storage}\n".encode()
        + _text(key)
        + _text("cpu")
        + _integer(array.size)
        + b"tQ"
        + _integer(0)
        + _tuple(array.shape)
        + _tuple(strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def openai_pickle(config: dict[str, int], tensors: Tensors) -> bytes:
    dims = b"}(" + b"".join(_text(name) + _integer(value) for name, value in config.items()) + b"u"
    state = b"".join(_text(name) + pickled_tensor(array, str(i)) for i, (name, array) in enumerate(tensors.items()))
    return b"\x80\x02}(" + _text("dims") + dims + _text("model_state_dict") + b"}(" + state + b"uu."


def zip_bytes(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def openai_bytes(config: dict[str, int], tensors: Tensors, pickle: bytes | None = None) -> bytes:
    entries = {"archive/data.pkl": openai_pickle(config, tensors) if pickle is None else pickle}
    entries |= {f"archive/data/{i}": array.tobytes() for i, array in enumerate(tensors.values())}
    return zip_bytes(entries | {"archive/version": b"3\n"})


# --- CTranslate2 ------------------------------------------------------------------------------------------------------

CT2_TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4, "uint16": 5}  # the last stands for bf16


def ctranslate2_variables(config: dict[str, int], tensors: Tensors) -> Tensors:
    """Our tensors under CTranslate2's names, projections stacked, plus the scalars its converter writes."""
    result: Tensors = {
        "decoder/activation": np.int8(3),
        "decoder/alibi": np.int8(0),
        "decoder/alignment_heads": np.int16(1),
        "decoder/alignment_layer": np.int16(-1),
        "decoder/num_heads": np.int16(config["n_text_head"]),
        "decoder/pre_norm": np.int8(1),
        "decoder/scale_embeddings": np.int8(0),
        "decoder/start_from_zero_embedding": np.int8(0),
        "encoder/num_heads": np.int16(config["n_audio_head"]),
    }  # type: ignore[assignment]

    def pair(theirs: str, ours: str, last: tuple[str, str] = ("weight", "bias")) -> None:
        result[f"{theirs}/{last[0]}"] = tensors[f"{ours}.weight"]
        result[f"{theirs}/{last[1]}"] = tensors[f"{ours}.bias"]

    def stacked(theirs: str, ours: str, roles: tuple[str, ...]) -> None:
        weights = [tensors[f"{ours}.{role}.weight"] for role in roles]
        biases = [tensors.get(f"{ours}.{role}.bias", np.zeros_like(weights[0][0])) for role in roles]
        result[f"{theirs}/weight"], result[f"{theirs}/bias"] = np.concatenate(weights), np.concatenate(biases)

    norm = ("gamma", "beta")
    for side in ("encoder", "decoder"):
        result[f"{side}/position_encodings/encodings"] = tensors[f"{side}.positional_embedding"]
        for i in range(config["n_audio_layer" if side == "encoder" else "n_text_layer"]):
            theirs, ours = f"{side}/layer_{i}", f"{side}.blocks.{i}"
            stacked(f"{theirs}/self_attention/linear_0", f"{ours}.attn", ("query", "key", "value"))
            pair(f"{theirs}/self_attention/linear_1", f"{ours}.attn.out")
            pair(f"{theirs}/self_attention/layer_norm", f"{ours}.attn_ln", norm)
            if side == "decoder":
                stacked(f"{theirs}/attention/linear_0", f"{ours}.cross_attn", ("query",))
                stacked(f"{theirs}/attention/linear_1", f"{ours}.cross_attn", ("key", "value"))
                pair(f"{theirs}/attention/linear_2", f"{ours}.cross_attn.out")
                pair(f"{theirs}/attention/layer_norm", f"{ours}.cross_attn_ln", norm)
            pair(f"{theirs}/ffn/linear_0", f"{ours}.mlp.0")
            pair(f"{theirs}/ffn/linear_1", f"{ours}.mlp.2")
            pair(f"{theirs}/ffn/layer_norm", f"{ours}.mlp_ln", norm)
    pair("encoder/conv1", "encoder.conv1")
    pair("encoder/conv2", "encoder.conv2")
    pair("encoder/layer_norm", "encoder.ln_post", norm)
    pair("decoder/layer_norm", "decoder.ln", norm)
    result["decoder/embeddings/weight"] = tensors["decoder.token_embedding.weight"]
    return result


def _ct2_string(text: str) -> bytes:
    raw = text.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw


def ctranslate2_bytes(variables: Tensors, aliases: dict[str, str] | None = None) -> bytes:
    parts = [struct.pack("<I", 6), _ct2_string("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for name, value in sorted(variables.items()):
        array = np.asarray(value)
        parts.append(_ct2_string(name) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape))
        parts.append(struct.pack("<BI", CT2_TYPES[array.dtype.name], array.nbytes) + array.tobytes())
    aliases = {"decoder/projection/weight": "decoder/embeddings/weight"} if aliases is None else aliases
    parts.append(struct.pack("<I", len(aliases)))
    parts += [_ct2_string(alias) + _ct2_string(target) for alias, target in aliases.items()]
    return b"".join(parts)


# --- ggml -------------------------------------------------------------------------------------------------------------

_GGML_SIZES = (
    "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer",
    "n_text_ctx", "n_text_state", "n_text_head", "n_text_layer", "n_mels",
)  # fmt: skip


def ggml_tensor(name: str, dims: tuple[int, ...], kind: int, data: bytes) -> bytes:
    raw = name.encode()
    return struct.pack(f"<3i{len(dims)}i", len(dims), len(raw), kind, *dims) + raw + data


def ggml_bytes(
    config: dict[str, int],
    tensors: Tensors,
    vocabulary: list[bytes],
    blocks: dict[str, tuple[int, bytes]] | None = None,
    ftype: int = 1,
) -> bytes:
    """`blocks`: name -> (ggml type, block bytes) for tensors that are stored quantised."""
    parts = [struct.pack("<I", 0x67676D6C), struct.pack("<10i", *(config[name] for name in _GGML_SIZES))]
    parts.append(struct.pack("<i2i", ftype, config["n_mels"], 3) + bytes(config["n_mels"] * 3 * 4))
    parts.append(struct.pack("<i", len(vocabulary)))
    parts += [struct.pack("<I", len(token)) + token for token in vocabulary]
    for name, array in tensors.items():
        dims = array.shape[::-1]
        if "conv" in name and name.endswith("bias"):
            dims = (1, *dims)
        if blocks and name in blocks:
            parts.append(ggml_tensor(name, dims, *blocks[name]))
        else:
            kind = {"float32": 0, "float16": 1}[array.dtype.name]
            parts.append(ggml_tensor(name, dims, kind, array.tobytes()))
    return b"".join(parts)
