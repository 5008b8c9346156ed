//! Keys and values of the tokens seen so far, in memory of fixed size.

use std::io;
use std::ops::Range;
use std::str::FromStr;

use bytemuck::{cast_slice, cast_slice_mut};
use hotset_base::{Bytes, LayerId};
use hotset_format::ModelConfig;
use hotset_kernels::{axpy, axpy_f16, dot_f16, dot_f32, f32_to_f16_row};
use hotset_residency::Block;

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

/// Numbers of one precision in memory that is there from the start.
struct Storage {
    ty: KvType,
    memory: Block,
}

/// The numbers, as what they are.
enum Numbers<'a> {
    F16(&'a [u16]),
    F32(&'a [f32]),
}

impl Storage {
    fn new(ty: KvType, elements: usize) -> io::Result<Self> {
        let memory = Block::new(elements * ty.element_bytes())?;
        memory.populate()?;
        Ok(Self { ty, memory })
    }

    fn range(&self, range: Range<usize>) -> Numbers<'_> {
        match self.ty {
            KvType::F16 => Numbers::F16(&cast_slice(&self.memory)[range]),
            KvType::F32 => Numbers::F32(&cast_slice(&self.memory)[range]),
        }
    }

    fn write(&mut self, at: usize, row: &[f32]) {
        let range = at..at + row.len();
        match self.ty {
            KvType::F16 => f32_to_f16_row(row, &mut cast_slice_mut(&mut self.memory)[range]),
            KvType::F32 => cast_slice_mut(&mut self.memory)[range].copy_from_slice(row),
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
    /// Room for `context` tokens. All memory is taken at once: if there is too little, that is an error here and
    /// not in the middle of an answer.
    ///
    /// # Errors
    /// What the system says when it refuses the memory.
    pub fn new(config: &ModelConfig, context: usize, types: KvTypes) -> io::Result<Self> {
        let elements = config.layers * config.kv_heads * context * config.head_dim;
        Ok(Self {
            keys: Storage::new(types.keys, elements)?,
            values: Storage::new(types.values, elements)?,
            context,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            len: 0,
        })
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
            *score = match self.keys.range(row) {
                Numbers::F16(key) => dot_f16(key, q),
                Numbers::F32(key) => dot_f32(key, q),
            };
        }
    }

    /// `out += weights[i] * value[first + i]` for one head, in order of `i`.
    pub(crate) fn mix(&self, layer: LayerId, head: usize, first: usize, weights: &[f32], out: &mut [f32]) {
        let d = self.head_dim;
        let start = self.at(layer, head, first);
        for (i, &weight) in weights.iter().enumerate() {
            let row = start + i * d..start + (i + 1) * d;
            match self.values.range(row) {
                Numbers::F16(value) => axpy_f16(weight, value, out),
                Numbers::F32(value) => axpy(weight, value, out),
            }
        }
    }
}
