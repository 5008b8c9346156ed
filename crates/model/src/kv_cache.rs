//! Keys and values of the tokens seen so far, in memory of fixed size.

use std::str::FromStr;

use hotset_base::{Bytes, LayerId};
use hotset_format::ModelConfig;
use hotset_kernels::{axpy, axpy_f16, dot_f16, dot_f32, f32_to_f16_row};

/// Precision of the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KvType {
    /// Half precision: what llama.cpp uses by default.
    #[default]
    F16,
    /// Single precision: for comparisons with references.
    F32,
}

impl KvType {
    fn element_bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Precision of keys and of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KvTypes {
    /// Of keys.
    pub keys: KvType,
    /// Of values.
    pub values: KvType,
}

impl KvTypes {
    /// The same for both.
    pub fn both(ty: KvType) -> Self {
        Self { keys: ty, values: ty }
    }
}

impl FromStr for KvType {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f16" => Ok(Self::F16),
            "f32" => Ok(Self::F32),
            other => Err(format!("cache type `{other}` is not supported; supported are f16 and f32")),
        }
    }
}

enum Storage {
    F16(Vec<u16>),
    F32(Vec<f32>),
}

impl Storage {
    fn new(ty: KvType, elements: usize) -> Self {
        match ty {
            KvType::F16 => Self::F16(vec![0; elements]),
            KvType::F32 => Self::F32(vec![0.0; elements]),
        }
    }

    fn write(&mut self, at: usize, row: &[f32]) {
        match self {
            Self::F16(all) => f32_to_f16_row(row, &mut all[at..at + row.len()]),
            Self::F32(all) => all[at..at + row.len()].copy_from_slice(row),
        }
    }
}

/// `[layers, kv_heads, context, head_dim]`, keys and values apart: one head's history is contiguous.
pub struct KvCache {
    keys: Storage,
    values: Storage,
    context: usize,
    kv_heads: usize,
    head_dim: usize,
    len: usize,
}

impl KvCache {
    /// Room for `context` tokens. The memory is reserved at once and touched as it fills.
    pub fn new(config: &ModelConfig, context: usize, types: KvTypes) -> Self {
        let elements = config.layers * config.kv_heads * context * config.head_dim;
        Self {
            keys: Storage::new(types.keys, elements),
            values: Storage::new(types.values, elements),
            context,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            len: 0,
        }
    }

    /// Memory a cache of this size takes.
    pub fn planned_bytes(config: &ModelConfig, context: usize, types: KvTypes) -> Bytes {
        let elements = config.layers * config.kv_heads * config.head_dim;
        let position = elements * (types.keys.element_bytes() + types.values.element_bytes());
        Bytes(position as u64 * context as u64)
    }

    /// Positions in use.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no position is in use.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions there are.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Forgets every position from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Counts `tokens` positions as written, in every layer.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
        assert!(self.len <= self.context, "the forward pass checks for room first");
    }

    fn at(&self, layer: LayerId, head: usize, position: usize) -> usize {
        ((layer.index() * self.kv_heads + head) * self.context + position) * self.head_dim
    }

    /// Writes the key and value of one position; both `[kv_heads * head_dim]`.
    pub(crate) fn write(&mut self, layer: LayerId, position: usize, key: &[f32], value: &[f32]) {
        for head in 0..self.kv_heads {
            let at = self.at(layer, head, position);
            let part = head * self.head_dim..(head + 1) * self.head_dim;
            self.keys.write(at, &key[part.clone()]);
            self.values.write(at, &value[part]);
        }
    }

    /// `scores[i] = q . key[first + i]` for one head.
    pub(crate) fn scores(&self, layer: LayerId, head: usize, first: usize, q: &[f32], scores: &mut [f32]) {
        let d = self.head_dim;
        let start = self.at(layer, head, first);
        for (i, score) in scores.iter_mut().enumerate() {
            let row = start + i * d..start + (i + 1) * d;
            *score = match &self.keys {
                Storage::F16(keys) => dot_f16(&keys[row], q),
                Storage::F32(keys) => dot_f32(&keys[row], q),
            };
        }
    }

    /// `out += weights[i] * value[first + i]` for one head, in order of `i`.
    pub(crate) fn mix(&self, layer: LayerId, head: usize, first: usize, weights: &[f32], out: &mut [f32]) {
        let d = self.head_dim;
        let start = self.at(layer, head, first);
        for (i, &weight) in weights.iter().enumerate() {
            let row = start + i * d..start + (i + 1) * d;
            match &self.values {
                Storage::F16(values) => axpy_f16(weight, &values[row], out),
                Storage::F32(values) => axpy(weight, &values[row], out),
            }
        }
    }
}
