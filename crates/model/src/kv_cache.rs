//! Keys and values of the tokens seen so far, in memory of fixed size.

use std::io;
use std::ops::Range;
use std::str::FromStr;

use bytemuck::{Pod, cast_slice, cast_slice_mut};
use hotset_base::{Bytes, LayerId};
use hotset_format::ModelConfig;
use hotset_kernels::{f32_to_f16_row, multiply_add_f16, multiply_add_f32};
use hotset_residency::Block;

/// Positions whose keys lie together, and that attention takes at a time.
pub(crate) const BLOCK: usize = 64;
/// Scores are computed for whole groups of positions; those beyond the last position are not looked at.
const GROUP: usize = 32;

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

impl Storage {
    fn new(ty: KvType, elements: usize) -> io::Result<Self> {
        let memory = Block::new(elements * ty.element_bytes())?;
        memory.populate()?;
        Ok(Self { ty, memory })
    }

    fn write(&mut self, at: usize, row: &[f32]) {
        let range = at..at + row.len();
        match self.ty {
            KvType::F16 => f32_to_f16_row(row, &mut cast_slice_mut(&mut self.memory)[range]),
            KvType::F32 => cast_slice_mut(&mut self.memory)[range].copy_from_slice(row),
        }
    }

    /// Writes a column of a block: number `i` goes to `at + i * BLOCK`.
    fn write_column(&mut self, at: usize, column: &[f32]) {
        fn scatter<T: Pod>(memory: &mut [u8], at: usize, column: impl Iterator<Item = T>) {
            let places = cast_slice_mut(memory)[at..].iter_mut().step_by(BLOCK);
            places.zip(column).for_each(|(place, number)| *place = number);
        }
        match self.ty {
            KvType::F16 => {
                for (i, part) in column.chunks(BLOCK).enumerate() {
                    let mut bits = [0u16; BLOCK];
                    f32_to_f16_row(part, &mut bits[..part.len()]);
                    let bits = bits[..part.len()].iter().copied();
                    scatter(&mut self.memory, at + i * BLOCK * BLOCK, bits);
                }
            }
            KvType::F32 => scatter(&mut self.memory, at, column.iter().copied()),
        }
    }

    /// `c += a b` with `b` the numbers of a range: see [`multiply_add_f16`].
    fn multiply_add(&self, range: Range<usize>, shape: (usize, usize, usize), a: &[f32], c: &mut [f32]) {
        match self.ty {
            KvType::F16 => multiply_add_f16(shape, a, &cast_slice(&self.memory)[range], c),
            KvType::F32 => multiply_add_f32(shape, a, &cast_slice(&self.memory)[range], c),
        }
    }
}

/// Keys and values apart, one head's history contiguous. Values: `[layers, kv_heads, capacity, head_dim]`. Keys, so
/// that a vector instruction takes several positions: `[layers, kv_heads, capacity / 64, head_dim, 64]`.
pub(crate) struct KvCache {
    keys: Storage,
    values: Storage,
    context: usize,
    /// Positions there is memory for: whole blocks.
    capacity: usize,
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
        let capacity = context.next_multiple_of(BLOCK);
        let elements = config.layers * config.kv_heads * capacity * config.head_dim;
        Ok(Self {
            keys: Storage::new(types.keys, elements)?,
            values: Storage::new(types.values, elements)?,
            context,
            capacity,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            len: 0,
        })
    }

    /// Memory a cache of this size takes.
    pub fn planned_bytes(config: &ModelConfig, context: usize, types: KvTypes) -> Bytes {
        let elements = config.layers * config.kv_heads * config.head_dim;
        let position = elements * (types.keys.element_bytes() + types.values.element_bytes());
        Bytes(position as u64 * context.next_multiple_of(BLOCK) as u64)
    }

    /// Positions in use.
    pub fn len(&self) -> usize {
        self.len
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

    /// Numbers of each key and value.
    pub(crate) fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Where a position of a head begins: its value, or the block of keys that begins there.
    fn at(&self, layer: LayerId, head: usize, position: usize) -> usize {
        ((layer.index() * self.kv_heads + head) * self.capacity + position) * self.head_dim
    }

    /// Writes the key and value of one position; both `[kv_heads * head_dim]`.
    pub(crate) fn write(&mut self, layer: LayerId, position: usize, key: &[f32], value: &[f32]) {
        let column = position % BLOCK;
        for head in 0..self.kv_heads {
            let part = head * self.head_dim..(head + 1) * self.head_dim;
            let block = self.at(layer, head, position - column);
            self.keys.write_column(block + column, &key[part.clone()]);
            self.values.write(self.at(layer, head, position), &value[part]);
        }
    }

    /// `scores[h][i] += q[h] . key[first + i]` for the `count` positions of a block that begins at `first`.
    ///
    /// `q`: `[heads, head_dim]`, `scores`: `[heads, BLOCK]`; scores from `count` on get something unspecified.
    pub(crate) fn add_scores(
        &self,
        layer: LayerId,
        head: usize,
        first: usize,
        count: usize,
        q: &[f32],
        scores: &mut [f32],
    ) {
        let (start, d) = (self.at(layer, head, first), self.head_dim);
        let shape = (q.len() / d, d, count.next_multiple_of(GROUP));
        self.keys.multiply_add(start..start + d * BLOCK, shape, q, scores);
    }

    /// `out[h] += weights[h][i] * value[first + i]` for the `count` positions of a block, in order of `i`.
    ///
    /// `weights`: `[heads, BLOCK]`, `out`: `[heads, head_dim]`.
    pub(crate) fn mix(
        &self,
        layer: LayerId,
        head: usize,
        first: usize,
        count: usize,
        weights: &[f32],
        out: &mut [f32],
    ) {
        let (start, d) = (self.at(layer, head, first), self.head_dim);
        self.values.multiply_add(start..start + d * count, (out.len() / d, count, d), weights, out);
    }
}
