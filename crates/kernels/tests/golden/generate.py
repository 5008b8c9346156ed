"""Writes golden vectors: random blocks of every type and their values by an independent implementation.

Source of the values: the Python package `gguf` (MIT licence, https://pypi.org/project/gguf), module
gguf.quants, which is numpy code kept beside ggml. Run: pip install gguf numpy; python3 generate.py

One file per type, little endian: u32 number of weights, the blocks, the f32 values.
"""
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
WEIGHTS = 1280  # five of the largest blocks
here = Path(__file__).parent
rng = np.random.default_rng(20261122)

for ty, offsets in SCALES.items():
    weights, size = GGML_QUANT_SIZES[ty]
    blocks = rng.integers(0, 256, (WEIGHTS // weights, size), np.uint8)
    for at in offsets:
        scale = rng.standard_normal(len(blocks)).astype(np.float16) * np.float16(0.01)
        # After two ordinary scales: zero, a subnormal, the largest half; each scale of a block differs.
        odd = np.array([0.0, 3e-7, 65504.0], np.float16)
        scale[2:5] = np.roll(odd, at)
        blocks[:, at:at + 2] = scale.view(np.uint8).reshape(-1, 2)
    values = gguf.quants.dequantize(blocks.reshape(1, -1), ty).astype(np.float32).reshape(-1)
    assert len(values) == WEIGHTS
    (here / f"{ty.name}.bin").write_bytes(struct.pack("<I", WEIGHTS) + blocks.tobytes() + values.tobytes())
    print(ty.name, file=sys.stderr)
