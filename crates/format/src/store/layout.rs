//! Where every byte of a store goes, computed from shapes alone.

use hotset_base::{Architecture, Bytes, ExpertId, ExpertKey, Families, LayerId, WeightType, limits};
use serde::{Deserialize, Serialize};

use super::header::{
    DENSE_ENTRY, EXPERT_ENTRY, READ_OTHERWISE, STORE_VERSION, WITH_FAMILIES, WITHOUT_FAMILIES,
};
use super::span::Span;
use super::{LINE, PAGE, StoreError};
use crate::{ModelConfig, TokenizerSpec};

/// Everything about the model that is not weights: the JSON section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreMetadata {
    /// How the model computes. Stores that were written before they said it are of the only one there was.
    #[serde(default)]
    pub architecture: Architecture,
    /// Shape of the model.
    pub config: ModelConfig,
    /// Vocabulary.
    pub tokenizer: TokenizerSpec,
    /// Jinja source.
    pub chat_template: Option<String>,
    /// Whether the embedding serves as the head, so that there is no `output.weight`.
    pub tied: bool,
    /// Budget to use when the user names none.
    pub suggested_memory: Option<Bytes>,
    /// How it was packed, e.g. `q8_0`: for people.
    pub recipe: String,
    /// `[layers][experts]`: the family of each expert, numbered by first expert, and with it the order of the
    /// records of a layer; none in stores of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub families: Option<Vec<Vec<u16>>>,
}

impl StoreMetadata {
    /// The oldest version that has all of it.
    pub(super) fn version(&self) -> u32 {
        match &self.families {
            _ if self.architecture != Architecture::Qwen3Moe => STORE_VERSION,
            _ if self.reads_otherwise() => READ_OTHERWISE,
            Some(_) => WITH_FAMILIES,
            None => WITHOUT_FAMILIES,
        }
    }

    /// Whether a reader of version 2 would pass something over and compute another model, or read other
    /// tokens.
    pub(super) fn reads_otherwise(&self) -> bool {
        self.config.rope_scaling.is_some() || self.tokenizer.uncomposed
    }

    /// One for every layer; none if there are none.
    ///
    /// # Errors
    /// A phrase, if they are not those of this model's experts.
    pub fn families(&self) -> Result<Vec<Families>, String> {
        let Some(labels) = &self.families else { return Ok(Vec::new()) };
        let c = &self.config;
        if labels.len() != c.layers || labels.iter().any(|layer| layer.len() != c.experts) {
            return Err(format!("families are not those of {} layers of {} experts", c.layers, c.experts));
        }
        let layers = labels.iter().enumerate();
        layers
            .map(|(i, labels)| {
                Families::from_labels(labels).map_err(|e| format!("families of layer {i}: {e}"))
            })
            .collect()
    }
}

/// Name and shape of a dense tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenseShape {
    /// Canonical name.
    pub name: String,
    /// Weight type.
    pub ty: WeightType,
    /// Output features.
    pub rows: usize,
    /// Input features.
    pub cols: usize,
}

/// Shape of gate, up or down of one expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartShape {
    /// Weight type.
    pub ty: WeightType,
    /// Output features.
    pub rows: usize,
    /// Input features.
    pub cols: usize,
}

/// The place of every section, tensor and part.
#[derive(Clone, Debug)]
pub struct StoreLayout {
    pub(super) version: u32,
    pub(super) metadata: Vec<u8>,
    pub(super) dense_shapes: Vec<DenseShape>,
    pub(super) part_shapes: Vec<[PartShape; 3]>,
    pub(super) experts_per_layer: usize,
    /// Places in the expert table in the order of the records.
    pub(super) record_order: Vec<usize>,
    pub(super) metadata_span: Span,
    pub(super) dense_table: Span,
    pub(super) expert_table: Span,
    pub(super) dense: Vec<Span>,
    pub(super) parts: Vec<[Span; 3]>,
    pub(super) file_bytes: u64,
}

/// Hands out consecutive spans; refuses to wrap.
struct Cursor(u64);

impl Cursor {
    fn align(&mut self, to: u64) -> Result<(), StoreError> {
        self.0 = self.0.checked_next_multiple_of(to).ok_or_else(too_large)?;
        Ok(())
    }

    fn take(&mut self, bytes: u64) -> Result<Span, StoreError> {
        let span = Span { offset: self.0, bytes };
        self.0 = self.0.checked_add(bytes).ok_or_else(too_large)?;
        Ok(span)
    }
}

fn too_large() -> StoreError {
    StoreError::Layout("the store would be larger than 2^64 bytes".to_owned())
}

fn matrix_bytes(
    what: impl Fn() -> String,
    ty: WeightType,
    rows: usize,
    cols: usize,
) -> Result<u64, StoreError> {
    let row = ty.row_bytes(cols).ok_or_else(|| {
        let block = ty.block_weights();
        StoreError::Layout(format!("{}: rows of {cols} weights are not whole {ty} blocks of {block}", what()))
    })?;
    row.0.checked_mul(rows as u64).ok_or_else(too_large)
}

impl StoreLayout {
    /// Lays out a store with these tensors; `parts` is layer-major, gate, up, down for every expert.
    pub fn new(
        metadata: &StoreMetadata,
        dense_shapes: Vec<DenseShape>,
        part_shapes: Vec<[PartShape; 3]>,
    ) -> Result<Self, StoreError> {
        let json = serde_json::to_vec(metadata).map_err(|e| StoreError::Layout(e.to_string()))?;
        Self::around(json, metadata, dense_shapes, part_shapes)
    }

    /// Lays out a store around metadata that is already written down.
    pub(super) fn around(
        json: Vec<u8>,
        metadata: &StoreMetadata,
        dense_shapes: Vec<DenseShape>,
        part_shapes: Vec<[PartShape; 3]>,
    ) -> Result<Self, StoreError> {
        let experts_per_layer = metadata.config.experts;
        let record_order = record_order(metadata, part_shapes.len())?;
        let mut at = Cursor(PAGE);
        let metadata_span = at.take(json.len() as u64)?;
        at.align(LINE)?;
        let dense_table = at.take((dense_shapes.len() * DENSE_ENTRY) as u64)?;
        at.align(LINE)?;
        let expert_table = at.take((part_shapes.len() * EXPERT_ENTRY) as u64)?;
        at.align(PAGE)?;
        let dense = dense_shapes.iter().map(|t| place_tensor(&mut at, t)).collect::<Result<_, _>>()?;
        let mut parts = vec![[Span { offset: 0, bytes: 0 }; 3]; part_shapes.len()];
        for &flat in &record_order {
            parts[flat] = place_record(&mut at, flat_key(flat, experts_per_layer), &part_shapes[flat])?;
        }
        at.align(PAGE)?;
        Ok(Self {
            version: metadata.version(),
            metadata: json,
            dense_shapes,
            part_shapes,
            experts_per_layer,
            record_order,
            metadata_span,
            dense_table,
            expert_table,
            dense,
            parts,
            file_bytes: at.0,
        })
    }

    /// Length of the finished store.
    pub fn file_bytes(&self) -> Bytes {
        Bytes(self.file_bytes)
    }

    pub(super) fn key(&self, flat: usize) -> ExpertKey {
        flat_key(flat, self.experts_per_layer)
    }
}

/// Layer by layer; in a layer families are adjacent, experts without families in their own order.
fn record_order(metadata: &StoreMetadata, records: usize) -> Result<Vec<usize>, StoreError> {
    let families = metadata.families().map_err(StoreError::Layout)?;
    if families.is_empty() {
        return Ok((0..records).collect());
    }
    let experts = metadata.config.experts;
    let layer =
        |(i, layer): (usize, &Families)| layer.order().map(|e| i * experts + e.index()).collect::<Vec<_>>();
    Ok(families.iter().enumerate().flat_map(layer).collect())
}

pub(super) fn flat_key(flat: usize, experts_per_layer: usize) -> ExpertKey {
    let (layer, expert) = (flat / experts_per_layer, flat % experts_per_layer);
    ExpertKey::new(LayerId(layer as u16), ExpertId(expert as u16))
}

fn place_tensor(at: &mut Cursor, shape: &DenseShape) -> Result<Span, StoreError> {
    if shape.name.len() > super::header::NAME_BYTES || shape.name.len() > limits::MAX_NAME_BYTES {
        return Err(StoreError::Layout(format!("tensor name `{}` is too long", shape.name)));
    }
    at.align(LINE)?;
    at.take(matrix_bytes(|| shape.name.clone(), shape.ty, shape.rows, shape.cols)?)
}

fn place_record(at: &mut Cursor, key: ExpertKey, shapes: &[PartShape; 3]) -> Result<[Span; 3], StoreError> {
    at.align(PAGE)?;
    let mut spans = [Span { offset: 0, bytes: 0 }; 3];
    for (span, shape) in spans.iter_mut().zip(shapes) {
        at.align(LINE)?;
        *span = at.take(matrix_bytes(|| key.to_string(), shape.ty, shape.rows, shape.cols)?)?;
    }
    Ok(spans)
}
