//! Checkpoint in, store out: every tensor read, converted and written once, experts on all cores.

use std::sync::atomic::{AtomicU64, Ordering};

use hotset_base::{Bytes, ExpertId, ExpertKey, LayerId, WeightType};
use hotset_format::store::{
    DenseShape, PartShape, StoreLayout, StoreMetadata, StoreWriter, part_seed, tensor_seed,
};
use hotset_format::{Checkpoint, TensorSlice, read_extent};
use hotset_kernels::{dequantize_row, quantize_row};
use hotset_outputs::PartialFile;
use rayon::prelude::*;

use crate::families::families;
use crate::recipe::Subject;
use crate::{PackError, Recipe};

/// Weights converted at a time: bounds the memory of one thread whatever the tensor's size.
const BAND_WEIGHTS: usize = 1 << 20;
/// Kept whatever was asked for: routing is decided by it.
pub(crate) const ROUTER: &str = "ffn_gate_inp";
const PART_NAMES: [&str; 3] = ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"];

/// How to pack.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Weight types.
    pub recipe: Recipe,
    /// Types for single kinds of tensor (`ffn_down_exps`, `token_embd` ...) in place of the recipe's; of two
    /// for one kind the last counts.
    pub overrides: Vec<(String, WeightType)>,
    /// Budget to write into the store for users who name none, in place of the source's.
    pub suggested_memory: Option<Bytes>,
}

impl PackOptions {
    /// Whether the source is only copied.
    fn keeps(&self) -> bool {
        self.recipe == Recipe::Keep && self.overrides.is_empty()
    }

    /// Refuses overrides that would do nothing.
    ///
    /// # Errors
    /// [`PackError::Kind`]
    pub fn check(&self, source: &Checkpoint) -> Result<(), PackError> {
        let names = source.dense.named();
        let dense = names.iter().filter(|(_, tensor)| tensor.rows > 1).map(|(name, _)| split_name(name).1);
        let mut kinds: Vec<&str> = dense.filter(|&kind| kind != ROUTER).chain(PART_NAMES).collect();
        kinds.sort_unstable();
        kinds.dedup();
        match self.overrides.iter().find(|(kind, _)| !kinds.contains(&kind.as_str())) {
            None => Ok(()),
            Some((kind, _)) => Err(PackError::Kind { kind: kind.clone(), kinds: kinds.join(", ") }),
        }
    }

    /// The source as it will be in the store: its shapes and sizes, not where anything lies. For plans.
    pub fn as_packed(&self, source: &Checkpoint) -> Checkpoint {
        let mut packed = source.clone();
        let shapes = Shapes::of(source, self);
        let experts =
            packed.experts.iter_mut().flat_map(|expert| [&mut expert.gate, &mut expert.up, &mut expert.down]);
        let parts = shapes.parts.iter().flatten().map(|part| part.ty);
        let dense = packed.dense.all_mut().into_iter();
        for (tensor, ty) in dense.chain(experts).zip(shapes.dense.iter().map(|dense| dense.ty).chain(parts)) {
            let row = ty.row_bytes(tensor.cols).unwrap_or_default();
            (tensor.ty, tensor.extent.bytes) = (ty, Bytes(row.0 * tensor.rows as u64));
        }
        packed.suggested_memory = self.suggested_memory.or(source.suggested_memory);
        packed
    }
}

/// What was written.
#[derive(Clone, Debug)]
pub struct PackReport {
    /// Identity of the store, in hexadecimal.
    pub store_id: String,
    /// Its length.
    pub file_bytes: Bytes,
    /// Bytes of weights read from the source.
    pub source_bytes: Bytes,
}

/// Packs a checkpoint into a store, in a file claimed for it. `progress` is told the source bytes done; it may be
/// called from several threads.
///
/// Memory: one expert part or one band of rows per core, and the tables.
pub fn pack(
    source: &Checkpoint,
    target: PartialFile,
    options: &PackOptions,
    progress: &(dyn Fn(Bytes) + Sync),
) -> Result<PackReport, PackError> {
    options.check(source)?;
    let layout = layout(source, options)?;
    let file_bytes = layout.file_bytes();
    check_space(&target, file_bytes)?;
    let shapes = Shapes::of(source, options);
    let writer = StoreWriter::create(target, layout)?;
    let packer = Packer { source, writer: &writer, done: AtomicU64::new(0), progress };
    for (index, (name, tensor)) in source.dense.named().iter().enumerate() {
        packer.dense(index, name, tensor, shapes.dense[index].ty)?;
    }
    (0..source.experts.len())
        .into_par_iter()
        .try_for_each(|flat| packer.expert(key_at(source, flat), &shapes.parts[flat]))?;
    source.check_unchanged()?;
    let source_bytes = Bytes(packer.done.load(Ordering::Relaxed));
    let store_id = writer.finish()?;
    Ok(PackReport { store_id, file_bytes, source_bytes })
}

fn key_at(source: &Checkpoint, flat: usize) -> ExpertKey {
    let experts = source.config.experts;
    ExpertKey::new(LayerId((flat / experts) as u16), ExpertId((flat % experts) as u16))
}

/// Types and shapes of everything that will be written.
struct Shapes {
    dense: Vec<DenseShape>,
    parts: Vec<[PartShape; 3]>,
}

impl Shapes {
    fn of(source: &Checkpoint, options: &PackOptions) -> Self {
        let dense = source.dense.named().into_iter().map(|(name, tensor)| {
            let (layer, kind) = split_name(&name);
            let ty = target_type(source, options, kind, layer, &tensor);
            DenseShape { name: name.clone(), ty, rows: tensor.rows, cols: tensor.cols }
        });
        let parts = source.experts.iter().enumerate().map(|(flat, expert)| {
            let tensors = expert.in_order();
            let part = |i: usize| {
                let layer = flat / source.config.experts;
                let ty = target_type(source, options, PART_NAMES[i], layer, &tensors[i]);
                PartShape { ty, rows: tensors[i].rows, cols: tensors[i].cols }
            };
            [part(0), part(1), part(2)]
        });
        Self { dense: dense.collect(), parts: parts.collect() }
    }
}

fn layout(source: &Checkpoint, options: &PackOptions) -> Result<StoreLayout, PackError> {
    let shapes = Shapes::of(source, options);
    // Copied, a store stays as it is, whatever its packer knew of families.
    let copied = source.recipe.clone().filter(|_| options.keeps());
    let families = if copied.is_some() { source.families.clone() } else { families(source)? };
    let labels = || families.iter().map(|layer| layer.labels().to_vec()).collect();
    let metadata = StoreMetadata {
        architecture: source.architecture,
        config: source.config.clone(),
        tokenizer: source.tokenizer.clone(),
        chat_template: source.chat_template.clone(),
        tied: source.dense.head.is_none(),
        suggested_memory: options.suggested_memory.or(source.suggested_memory),
        recipe: copied.unwrap_or_else(|| options.recipe.to_string()),
        families: (!families.is_empty()).then(labels),
    };
    Ok(StoreLayout::new(&metadata, shapes.dense, shapes.parts)?)
}

/// `blk.3.attn_q.weight` -> (3, `attn_q`); names outside layers count as layer 0.
fn split_name(name: &str) -> (usize, &str) {
    let name = name.trim_end_matches(".weight");
    let in_layer = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    match in_layer {
        Some((layer, kind)) => (layer.parse().unwrap_or(0), kind),
        None => (0, name),
    }
}

fn target_type(
    source: &Checkpoint,
    options: &PackOptions,
    kind: &str,
    layer: usize,
    tensor: &TensorSlice,
) -> WeightType {
    let named = options.overrides.iter().rev().find(|(name, _)| name == kind).map(|(_, ty)| *ty);
    let recipe = named.map_or(options.recipe, Recipe::Uniform);
    recipe.type_for(&Subject {
        kind,
        layer,
        layers: source.config.layers,
        source: tensor.ty,
        rows: tensor.rows,
        cols: tensor.cols,
        tied: source.dense.head.is_none(),
    })
}

/// Refuses to begin what the file system has no room for.
pub(crate) fn check_space(target: &PartialFile, needed: Bytes) -> Result<(), PackError> {
    // Where the file system cannot be asked, the writer's own errors must do.
    let Ok(fs) = rustix::fs::fstatvfs(target.file()) else { return Ok(()) };
    let free = Bytes(fs.f_bavail.saturating_mul(fs.f_frsize));
    if needed <= free {
        return Ok(());
    }
    Err(PackError::NoSpace { target: target.target().shown().to_owned(), needed, free })
}

struct Packer<'a> {
    source: &'a Checkpoint,
    writer: &'a StoreWriter,
    done: AtomicU64,
    progress: &'a (dyn Fn(Bytes) + Sync),
}

impl Packer<'_> {
    /// Converts a dense tensor band by band: an embedding is larger than the memory we may take.
    fn dense(&self, index: usize, name: &str, tensor: &TensorSlice, ty: WeightType) -> Result<(), PackError> {
        let row_bytes = tensor.extent.bytes.index() / tensor.rows;
        let band_rows = (BAND_WEIGHTS / tensor.cols).max(1);
        let mut stream = self.writer.dense_stream(index);
        let mut crc = tensor_seed(name);
        let mut band = Vec::new();
        for first in (0..tensor.rows).step_by(band_rows) {
            let rows = band_rows.min(tensor.rows - first);
            let mut extent = tensor.extent;
            extent.offset += (first * row_bytes) as u64;
            extent.bytes = Bytes((rows * row_bytes) as u64);
            band.resize(extent.bytes.index(), 0);
            read_extent(&self.source.files, &extent, &mut band)?;
            crc = crc32c::crc32c_append(crc, &band);
            stream.push(&convert(name, &band, tensor.ty, ty, tensor.cols)?)?;
            self.report(extent.bytes);
        }
        check_source(name, tensor, crc)?;
        Ok(stream.finish()?)
    }

    fn expert(&self, key: ExpertKey, shapes: &[PartShape; 3]) -> Result<(), PackError> {
        for (i, part) in self.source.expert(key).in_order().iter().enumerate() {
            let name = || format!("blk.{}.{}.weight, expert {}", key.layer.0, PART_NAMES[i], key.expert.0);
            let mut bytes = vec![0; part.extent.bytes.index()];
            read_extent(&self.source.files, &part.extent, &mut bytes)?;
            check_source(&name(), part, crc32c::crc32c_append(part_seed(key, i), &bytes))?;
            let converted = convert(&name(), &bytes, part.ty, shapes[i].ty, part.cols)?;
            self.writer.write_part(key, i, &converted)?;
            self.report(part.extent.bytes);
        }
        Ok(())
    }

    fn report(&self, bytes: Bytes) {
        let done = self.done.fetch_add(bytes.0, Ordering::Relaxed) + bytes.0;
        (self.progress)(Bytes(done));
    }
}

/// A source that carries checksums is held to them.
pub(crate) fn check_source(name: &str, tensor: &TensorSlice, found: u32) -> Result<(), PackError> {
    match tensor.crc {
        Some(expected) if expected != found => Err(PackError::SourceChecksum(name.to_owned())),
        _ => Ok(()),
    }
}

/// Converts rows of `cols` weights. The rows of one band are independent: all cores share them.
fn convert<'a>(
    name: &str,
    rows: &'a [u8],
    from: WeightType,
    to: WeightType,
    cols: usize,
) -> Result<std::borrow::Cow<'a, [u8]>, PackError> {
    if from == to {
        return Ok(rows.into());
    }
    let row_bytes = |ty: WeightType| ty.row_bytes(cols).expect("types were chosen to fit the rows").index();
    let mut out = vec![0; rows.len() / row_bytes(from) * row_bytes(to)];
    out.par_chunks_mut(row_bytes(to))
        .zip(rows.par_chunks(row_bytes(from)))
        .try_for_each_init(
            || vec![0.0f32; cols],
            |wide, (out, row)| {
                dequantize_row(from, row, wide);
                quantize_row(to, wide, out)
            },
        )
        .map_err(|error| PackError::Weights { tensor: name.to_owned(), reason: error.to_string() })?;
    Ok(out.into())
}
