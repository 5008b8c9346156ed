"""Writes golden vectors: random blocks of every type and their values by two independent implementations.

Source of the values: the Python package `gguf` (MIT licence, https://pypi.org/project/gguf), module
gguf.quants, which is numpy code kept beside ggml. Each value must also be what ggml itself gives, the C library
inside the package `llama-cpp-python` (MIT licence, https://pypi.org/project/llama-cpp-python).
Run: pip install gguf==0.19.0 llama-cpp-python==0.3.36 numpy; python3 generate.py

One file per type, little endian: u32 number of weights, the blocks, the f32 values.
"""
import ctypes
import importlib.util
import struct
import sys
from pathlib import Path

import numpy as np
import gguf
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T

# Byte offsets of the f16 numbers of a block; everything else may be any byte.
SCALES = {
    T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0],
}
WEIGHTS = 2304  # nine of the largest blocks
here = Path(__file__).parent
rng = np.random.default_rng(20261122)
ggml = ctypes.CDLL(str(Path(importlib.util.find_spec("llama_cpp").origin).parent / "lib/libggml-base.so"))


def by_ggml(ty, blocks):
    values = np.empty(WEIGHTS, np.float32)
    pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (blocks, values))
    dequantize = getattr(ggml, "dequantize_row_" + ty.name.lower().replace("_k", "_K"))
    dequantize(*pointers, ctypes.c_int64(WEIGHTS))
    return values


for ty, offsets in SCALES.items():
    weights, size = GGML_QUANT_SIZES[ty]
    blocks = rng.integers(0, 256, (WEIGHTS // weights, size), np.uint8)
    for at in offsets:
        scale = rng.standard_normal(len(blocks)).astype(np.float16) * np.float16(0.01)
        # After two ordinary scales: zeros, a subnormal, the largest half, no numbers; the scales of a block differ.
        odd = np.array([0.0, 3e-7, 65504.0, np.inf, -0.0, -np.inf, np.nan], np.float16)
        scale[2:9] = np.roll(odd, at)
        blocks[:, at:at + 2] = scale.view(np.uint8).reshape(-1, 2)
    values = gguf.quants.dequantize(blocks.reshape(1, -1), ty).astype(np.float32).reshape(-1)
    assert np.array_equal(values, by_ggml(ty, blocks), equal_nan=True)
    (here / f"{ty.name}.bin").write_bytes(struct.pack("<I", WEIGHTS) + blocks.tobytes() + values.tobytes())
    print(ty.name, file=sys.stderr)
