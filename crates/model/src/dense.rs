//! The weights every token needs: read once, checked, kept in anonymous memory.

use std::ops::Range;

use hotset_base::{Bytes, LayerId, WeightType};
use hotset_format::{Checkpoint, TensorSlice, store::tensor_seed};
use hotset_kernels::{Matrix, dequantize_row};
use hotset_residency::Block;

use crate::embedding::RowsOnDisk;
use crate::loader::Loader;
use crate::{ForwardError, LoadError};

/// Alignment of tensors in memory.
const LINE: usize = 64;

#[derive(Clone, Debug)]
struct Stored {
    ty: WeightType,
    rows: usize,
    cols: usize,
    range: Range<usize>,
}

/// The tensors of one layer.
pub(crate) struct Layer {
    pub attn_norm: Vec<f32>,
    pub q_norm: Vec<f32>,
    pub k_norm: Vec<f32>,
    pub ffn_norm: Vec<f32>,
    q: Stored,
    k: Stored,
    v: Stored,
    o: Stored,
    router: Stored,
}

/// Where the embedding table is kept. A token needs one row of it, so the rest may stay on disk; a table
/// that is also the head is in memory always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingPlace {
    /// In memory.
    Memory,
    /// On disk.
    Disk,
}

enum Embedding {
    Memory(Stored),
    Disk(Box<RowsOnDisk>),
}

/// All dense tensors. The norms are widened to f32 vectors, the matrices stay as they were stored.
pub struct DenseWeights {
    memory: Block,
    embedding: Embedding,
    head: Stored,
    layers: Vec<Layer>,
    pub(crate) output_norm: Vec<f32>,
}

/// Reads tensors one after the other into the memory.
struct Filler<'a> {
    loader: Loader<'a>,
    memory: Block,
    at: usize,
}

impl DenseWeights {
    /// Memory that loading will take.
    pub fn planned_bytes(checkpoint: &Checkpoint, embedding: EmbeddingPlace) -> Bytes {
        let rows = match rows_on_disk(checkpoint, embedding) {
            true => RowsOnDisk::planned_bytes(&checkpoint.dense.embedding),
            false => Bytes(0),
        };
        rows + Bytes(in_memory(checkpoint, embedding).map(|(_, t)| padded(&t)).sum())
    }

    /// Reads and checks every dense tensor; `progress` is told the bytes of each piece.
    pub fn load(
        checkpoint: &Checkpoint,
        embedding: EmbeddingPlace,
        progress: &mut dyn FnMut(Bytes),
    ) -> Result<Self, LoadError> {
        let mut loader = Loader::new(checkpoint);
        let rows = match rows_on_disk(checkpoint, embedding) {
            true => {
                let (name, table) = checkpoint.dense.named().swap_remove(0);
                Some(RowsOnDisk::open(&mut loader, &name, &table, progress)?)
            }
            false => None,
        };
        let bytes = Bytes(in_memory(checkpoint, embedding).map(|(_, t)| padded(&t)).sum());
        let memory = Block::new(bytes.index()).map_err(|source| LoadError::Memory { bytes, source })?;
        let mut filler = Filler { loader, memory, at: 0 };
        let mut tensors = Vec::new();
        for (name, slice) in in_memory(checkpoint, embedding) {
            tensors.push(filler.read(&name, &slice)?);
            progress(slice.extent.bytes);
        }
        let memory = filler.memory;
        let mut next = tensors.into_iter();
        let mut take = || next.next().expect("`named` lists every tensor once, in this order");
        let embedding = match rows {
            Some(rows) => Embedding::Disk(Box::new(rows)),
            None => Embedding::Memory(take()),
        };
        let layers = (0..checkpoint.config.layers).map(|_| Layer {
            attn_norm: vector(&memory, &take()),
            q: take(),
            k: take(),
            v: take(),
            o: take(),
            q_norm: vector(&memory, &take()),
            k_norm: vector(&memory, &take()),
            ffn_norm: vector(&memory, &take()),
            router: take(),
        });
        let layers = layers.collect();
        let output_norm = vector(&memory, &take());
        let head = match (&checkpoint.dense.head, &embedding) {
            (None, Embedding::Memory(tied)) => tied.clone(),
            _ => take(),
        };
        Ok(Self { memory, embedding, head, layers, output_norm })
    }

    pub(crate) fn layer(&self, layer: LayerId) -> &Layer {
        &self.layers[layer.index()]
    }

    fn matrix(&self, stored: &Stored) -> Matrix<'_> {
        Matrix::new(stored.ty, stored.rows, stored.cols, &self.memory[stored.range.clone()])
            .expect("the reader checked type and shape against the extent")
    }

    /// Widens the embedding of a token into `out`: `[hidden]`.
    pub(crate) fn embed(&mut self, id: u32, out: &mut [f32]) -> Result<(), ForwardError> {
        match &mut self.embedding {
            Embedding::Disk(rows) => rows.row(id, out),
            Embedding::Memory(stored) => {
                let table =
                    Matrix::new(stored.ty, stored.rows, stored.cols, &self.memory[stored.range.clone()])
                        .expect("the reader checked type and shape against the extent");
                dequantize_row(table.ty(), table.row_bytes(id as usize), out);
                Ok(())
            }
        }
    }

    /// `[vocab, hidden]`; the embedding itself where tied.
    pub(crate) fn head(&self) -> Matrix<'_> {
        self.matrix(&self.head)
    }

    /// Q, K, V and output projections of a layer.
    pub(crate) fn attention(&self, layer: LayerId) -> [Matrix<'_>; 4] {
        let l = self.layer(layer);
        [&l.q, &l.k, &l.v, &l.o].map(|stored| self.matrix(stored))
    }

    /// `[experts, hidden]`
    pub(crate) fn router(&self, layer: LayerId) -> Matrix<'_> {
        self.matrix(&self.layer(layer).router)
    }
}

/// The embedding is left on disk: it must not be the head too.
fn rows_on_disk(checkpoint: &Checkpoint, embedding: EmbeddingPlace) -> bool {
    embedding == EmbeddingPlace::Disk && checkpoint.dense.head.is_some()
}

/// The tensors to keep in memory, in loading order.
fn in_memory(
    checkpoint: &Checkpoint,
    embedding: EmbeddingPlace,
) -> impl Iterator<Item = (String, TensorSlice)> {
    // `named` begins with the embedding.
    checkpoint.dense.named().into_iter().skip(usize::from(rows_on_disk(checkpoint, embedding)))
}

fn padded(tensor: &TensorSlice) -> u64 {
    tensor.extent.bytes.0.next_multiple_of(LINE as u64)
}

impl Filler<'_> {
    fn read(&mut self, name: &str, slice: &TensorSlice) -> Result<Stored, LoadError> {
        let range = self.at..self.at + slice.extent.bytes.index();
        let bytes = &mut self.memory[range.clone()];
        self.loader.read(&slice.extent, bytes)?;
        let found = crc32c::crc32c_append(tensor_seed(name), bytes);
        if slice.crc.is_some_and(|expected| expected != found) {
            let path = self.loader.checkpoint.file(slice.extent.file).path.clone();
            return Err(LoadError::Checksum { path, name: name.to_owned() });
        }
        self.at = range.end.next_multiple_of(LINE);
        Ok(Stored { ty: slice.ty, rows: slice.rows, cols: slice.cols, range })
    }
}

fn vector(memory: &[u8], stored: &Stored) -> Vec<f32> {
    let mut out = vec![0.0; stored.cols];
    dequantize_row(stored.ty, &memory[stored.range.clone()], &mut out);
    out
}
