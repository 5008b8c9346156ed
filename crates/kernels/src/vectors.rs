//! What matrices are multiplied with: vectors of f32, where wanted also in int8.

use hotset_base::{Bytes, WeightType};

use crate::Pool;
use crate::int8::{BLOCK, Int8Block, has_int8, quantize_vector};

/// Vectors of one length, one after the other. Weights that have an int8 kernel are multiplied with the int8
/// form if there is one, all others with the f32 numbers.
#[derive(Clone, Copy)]
pub struct Vectors<'a> {
    numbers: &'a [f32],
    len: usize,
    int8: Option<Int8Vectors<'a>>,
}

impl<'a> Vectors<'a> {
    /// Vectors of `len` numbers without an int8 form: products with them are those of [`crate::dot()`].
    ///
    /// # Panics
    /// If `numbers` is not whole vectors.
    pub fn exact(numbers: &'a [f32], len: usize) -> Self {
        assert!(len > 0 && numbers.len().is_multiple_of(len), "whole vectors of {len} numbers");
        Self { numbers, len, int8: None }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.numbers.len() / self.len
    }

    /// Numbers of each.
    pub fn vector_len(&self) -> usize {
        self.len
    }

    /// The f32 numbers of a vector.
    pub(crate) fn exact_at(&self, i: usize) -> &'a [f32] {
        &self.numbers[i * self.len..(i + 1) * self.len]
    }

    /// The int8 forms, if weights of this type are to be multiplied with them.
    pub(crate) fn int8_for(&self, ty: WeightType) -> Option<Int8Vectors<'a>> {
        self.int8.filter(|_| has_int8(ty))
    }
}

/// The int8 forms of vectors.
#[derive(Clone, Copy)]
pub(crate) struct Int8Vectors<'a> {
    blocks: &'a [Int8Block],
    per_vector: usize,
}

impl<'a> Int8Vectors<'a> {
    pub fn at(&self, i: usize) -> &'a [Int8Block] {
        &self.blocks[i * self.per_vector..(i + 1) * self.per_vector]
    }
}

/// Memory for the int8 forms of vectors, made once. A buffer without room makes every product exact.
#[derive(Clone, Debug)]
pub struct Int8Buffer {
    blocks: Vec<Int8Block>,
}

/// Vectors that one task of the pool puts into int8; fewer are left to the caller alone.
const PER_TASK: usize = 8;

impl Int8Buffer {
    /// A buffer for `count` vectors of `len` numbers.
    pub fn new(count: usize, len: usize) -> Self {
        Self { blocks: vec![Int8Block::ZERO; count * len.div_ceil(BLOCK)] }
    }

    /// A buffer without room: vectors stay in f32.
    pub fn none() -> Self {
        Self { blocks: Vec::new() }
    }

    /// Memory of [`Int8Buffer::new`].
    pub fn planned_bytes(count: usize, len: usize) -> Bytes {
        Bytes((count * len.div_ceil(BLOCK) * size_of::<Int8Block>()) as u64)
    }

    /// The vectors `numbers`, `len` long, for weights of `types`: in int8 too if one of these has a kernel.
    ///
    /// # Panics
    /// If `numbers` is not whole vectors, or if they are more than there is room for.
    pub fn vectors<'a>(
        &'a mut self,
        pool: &Pool,
        numbers: &'a [f32],
        len: usize,
        types: &[WeightType],
    ) -> Vectors<'a> {
        let exact = Vectors::exact(numbers, len);
        let int8 = self.fill(pool, len, exact.count(), types, &|i| exact.exact_at(i));
        Vectors { int8, ..exact }
    }

    /// The int8 forms of `count` vectors of `len` numbers, if one of the types wants them.
    pub(crate) fn fill<'x>(
        &mut self,
        pool: &Pool,
        len: usize,
        count: usize,
        types: &[WeightType],
        vector: &(dyn Fn(usize) -> &'x [f32] + Sync),
    ) -> Option<Int8Vectors<'_>> {
        if self.blocks.is_empty() || !types.iter().any(|ty| has_int8(*ty)) {
            return None;
        }
        let per_vector = len.div_ceil(BLOCK);
        let blocks = &mut self.blocks[..count * per_vector];
        pool.for_each_chunk(blocks, PER_TASK * per_vector, |task, blocks| {
            for (i, blocks) in blocks.chunks_exact_mut(per_vector).enumerate() {
                quantize_vector(vector(task * PER_TASK + i), blocks);
            }
        });
        Some(Int8Vectors { blocks, per_vector })
    }
}
