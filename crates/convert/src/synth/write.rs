//! Streaming a synthetic model to disk: bounded memory, all cores, the same bytes for any number of
//! threads.

use std::sync::atomic::{AtomicU64, Ordering};

use hotset_base::{Architecture, Bytes, ExpertId, ExpertKey, LayerId};
use hotset_format::gguf::{GgufLayout, GgufPairs, GgufTensor, GgufWriter};
use hotset_format::store::{DenseShape, PartShape, StoreLayout, StoreMetadata, StoreWriter};
use hotset_format::{ModelConfig, TokenizerSpec};
use hotset_outputs::PartialFile;
use rayon::prelude::*;

use super::geometry;
use super::tensors::{Tensor, tensors};
use super::vocabulary::{TEMPLATE, vocabulary};
use super::weights::Weights;
use crate::PackError;
use crate::pack::check_space;

/// Bytes made at a time by one thread.
const BAND: usize = 1 << 20;
/// `general.file_type` of files that are mostly Q4_K, with more bits where Q4_K_M gives them.
const Q4_K_M: u32 = 15;

/// The container to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SynthFormat {
    /// One GGUF file, types per tensor as in a published Q4_K_M file.
    Gguf,
    /// A packed store of the same weights.
    Store,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct SynthReport {
    /// The name the model carries: what it is and its seed.
    pub name: String,
    /// Length of the file.
    pub file_bytes: Bytes,
    /// Identity of a store, in hexadecimal.
    pub store_id: Option<String>,
}

/// Writes a model of this shape with random weights and planted routing, in a file claimed for it; `progress` is
/// told the bytes done and may be called from several threads. The text such a model writes is noise.
///
/// The same shape and seed give the same weights, in either format and on any number of threads.
/// `config.name` is the shape's name; the model's is made of it and the seed.
pub fn synth(
    config: &ModelConfig,
    seed: u64,
    target: PartialFile,
    format: SynthFormat,
    progress: &(dyn Fn(Bytes) + Sync),
) -> Result<SynthReport, PackError> {
    geometry::check(config).map_err(PackError::Shape)?;
    let named = ModelConfig { name: geometry::synthetic_name(config, seed), ..config.clone() };
    let maker = Maker {
        weights: Weights::new(config, seed),
        tensors: tensors(config),
        vocabulary: vocabulary(config.vocab),
        config: named,
        done: AtomicU64::new(0),
        progress,
    };
    match format {
        SynthFormat::Gguf => maker.gguf(target),
        SynthFormat::Store => maker.store(target),
    }
}

/// Bytes of weights that [`synth`] will make.
pub fn synth_bytes(config: &ModelConfig) -> Result<Bytes, PackError> {
    geometry::check(config).map_err(PackError::Shape)?;
    let bytes = tensors(config).iter().map(|tensor| tensor.all_rows() * tensor.row_bytes()).sum::<usize>();
    Ok(Bytes(bytes as u64))
}

struct Maker<'a> {
    weights: Weights,
    tensors: Vec<Tensor>,
    vocabulary: TokenizerSpec,
    config: ModelConfig,
    done: AtomicU64,
    progress: &'a (dyn Fn(Bytes) + Sync),
}

/// Rows of a tensor that one thread makes at a time.
struct Band {
    tensor: usize,
    first: usize,
    rows: usize,
}

impl Maker<'_> {
    fn gguf(self, target: PartialFile) -> Result<SynthReport, PackError> {
        let mut pairs = GgufPairs::of_model(&self.config, &self.vocabulary, Some(TEMPLATE));
        pairs.number("general.file_type", Q4_K_M);
        pairs.number("general.quantization_version", 2);
        let shapes: Vec<GgufTensor> = self.tensors.iter().map(gguf_shape).collect();
        let layout = GgufLayout::new(&pairs, &shapes);
        let file_bytes = layout.file_bytes();
        check_space(&target, file_bytes)?;
        let writer = GgufWriter::create(target, layout)?;
        // A bridge hands the bands out in order: the file is written from front to back.
        self.bands(0..self.tensors.len()).into_iter().par_bridge().try_for_each_init(
            Vec::new,
            |wide, band| {
                let tensor = &self.tensors[band.tensor];
                let bytes = self.make(tensor, band.first, band.rows, wide);
                writer.write(band.tensor, (band.first * tensor.row_bytes()) as u64, &bytes)
            },
        )?;
        writer.finish()?;
        Ok(SynthReport { name: self.config.name, file_bytes, store_id: None })
    }

    fn store(self, target: PartialFile) -> Result<SynthReport, PackError> {
        let layout = self.store_layout()?;
        let file_bytes = layout.file_bytes();
        check_space(&target, file_bytes)?;
        let writer = StoreWriter::create(target, layout)?;
        let (dense, fused): (Vec<usize>, Vec<usize>) =
            (0..self.tensors.len()).partition(|&i| self.tensors[i].experts.is_none());
        // A dense tensor's checksum is made from its first byte to its last, so its bands are made
        // by all threads and written by one; of experts every part is written by itself.
        dense.into_iter().enumerate().try_for_each(|(place, i)| self.store_dense(&writer, place, i))?;
        let parts: Vec<(usize, usize)> =
            fused.into_iter().flat_map(|i| (0..self.config.experts).map(move |expert| (i, expert))).collect();
        parts.into_iter().par_bridge().try_for_each_init(Vec::new, |wide, (i, expert)| {
            let tensor = &self.tensors[i];
            let part = tensor.experts.map_or(0, |(_, part)| part);
            let bytes = self.make(tensor, expert * tensor.rows, tensor.rows, wide);
            let key = ExpertKey::new(LayerId(tensor.layer as u16), ExpertId(expert as u16));
            writer.write_part(key, part, &bytes)
        })?;
        let store_id = writer.finish()?;
        Ok(SynthReport { name: self.config.name, file_bytes, store_id: Some(store_id) })
    }

    fn store_dense(&self, writer: &StoreWriter, place: usize, i: usize) -> Result<(), PackError> {
        let mut stream = writer.dense_stream(place);
        let bands = self.bands(i..i + 1);
        for some in bands.chunks(rayon::current_num_threads()) {
            let made: Vec<Vec<u8>> = some
                .par_iter()
                .map_init(Vec::new, |wide, band| self.make(&self.tensors[i], band.first, band.rows, wide))
                .collect();
            made.iter().try_for_each(|bytes| stream.push(bytes))?;
        }
        Ok(stream.finish()?)
    }

    fn store_layout(&self) -> Result<StoreLayout, PackError> {
        let metadata = StoreMetadata {
            architecture: Architecture::Qwen3Moe,
            config: self.config.clone(),
            tokenizer: self.vocabulary.clone(),
            chat_template: Some(TEMPLATE.to_owned()),
            tied: false,
            suggested_memory: None,
            recipe: "synthetic q4_k_m".to_owned(),
            families: None,
        };
        let dense = self.tensors.iter().filter(|tensor| tensor.experts.is_none()).map(|tensor| DenseShape {
            name: tensor.name.clone(),
            ty: tensor.ty,
            rows: tensor.rows,
            cols: tensor.cols,
        });
        let fused: Vec<PartShape> = self
            .tensors
            .iter()
            .filter(|tensor| tensor.experts.is_some())
            .map(|tensor| PartShape { ty: tensor.ty, rows: tensor.rows, cols: tensor.cols })
            .collect();
        let parts = fused
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|layer| std::iter::repeat_n(*layer, self.config.experts))
            .collect();
        Ok(StoreLayout::new(&metadata, dense.collect(), parts)?)
    }

    fn bands(&self, tensors: std::ops::Range<usize>) -> Vec<Band> {
        let of_tensor = |i: usize| {
            let (all, rows) = (self.tensors[i].all_rows(), (BAND / self.tensors[i].row_bytes()).max(1));
            (0..all).step_by(rows).map(move |first| Band { tensor: i, first, rows: rows.min(all - first) })
        };
        tensors.flat_map(of_tensor).collect()
    }

    fn make(&self, tensor: &Tensor, first: usize, rows: usize, wide: &mut Vec<f32>) -> Vec<u8> {
        let mut bytes = vec![0; rows * tensor.row_bytes()];
        wide.resize(tensor.cols, 0.0);
        for (i, out) in bytes.chunks_exact_mut(tensor.row_bytes()).enumerate() {
            self.weights.row(tensor, first + i, wide, out);
        }
        let done = self.done.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        (self.progress)(Bytes(done));
        bytes
    }
}

/// Innermost dimension first; norms have one dimension, experts three.
fn gguf_shape(tensor: &Tensor) -> GgufTensor {
    let mut dims = vec![tensor.cols as u64];
    if tensor.rows > 1 {
        dims.push(tensor.rows as u64);
    }
    dims.extend(tensor.experts.map(|(experts, _)| experts as u64));
    GgufTensor { name: tensor.name.clone(), dims, ty: tensor.ty }
}
