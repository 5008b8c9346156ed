//! From named tensors to a complete model: every tensor there once, of the right shape, none unknown.

use std::collections::BTreeMap;
use std::path::Path;

use hotset_base::{Bytes, Extent, WeightType};

use crate::{DenseLayer, DenseTensors, ExpertParts, FormatError, ModelConfig, TensorSlice, other_forms};

/// A tensor as a file declares it, with its extent checked.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    /// Outermost dimension first.
    pub shape: Vec<u64>,
    pub ty: WeightType,
    pub extent: Extent,
}

impl Declared {
    /// `rows` rows of `cols` weights, `before` rows from the tensor's first.
    pub fn rows(&self, before: usize, rows: usize, cols: usize) -> TensorSlice {
        let each = self.extent.bytes.0 / self.shape[..self.shape.len() - 1].iter().product::<u64>();
        let extent = Extent {
            offset: self.extent.offset + before as u64 * each,
            bytes: Bytes(rows as u64 * each),
            ..self.extent
        };
        TensorSlice { extent, ty: self.ty, rows, cols, crc: None }
    }
}

/// All tensors of a model by name; taken out as they find their place.
pub(crate) struct TensorMap<'a> {
    pub model: &'a Path,
    pub tensors: BTreeMap<String, Declared>,
    pub names: &'a dyn Names,
}

/// The names of a format. `{layer}` numbers are filled in by the methods.
pub(crate) trait Names {
    fn embedding(&self) -> String;
    fn output_norm(&self) -> String;
    fn head(&self) -> String;
    /// attn_norm, q, k, v, o, q_norm, k_norm, ffn_norm, router.
    fn layer(&self, layer: usize) -> [String; 9];
    /// Takes the experts of one layer, gate, up and down, out of the map.
    fn experts(
        &self,
        map: &mut TensorMap<'_>,
        config: &ModelConfig,
        layer: usize,
    ) -> Result<Vec<ExpertParts>, FormatError>;
    /// Whether a model of this architecture may have a tensor of this name, whatever its layers and experts.
    fn is_part(&self, name: &str) -> bool;
}

/// Where the head is.
#[derive(Clone, Copy)]
pub(crate) enum Head {
    /// The embedding serves as the head; a copy of it may be there and is passed over.
    Tied,
    /// In a tensor of its own; with what to say if that is missing.
    Own(&'static str),
    /// In a tensor of its own if there is one.
    IfThere,
}

const INCOMPLETE: &str = "is missing: the checkpoint is incomplete; get it again";

impl TensorMap<'_> {
    /// Takes a tensor out, if it is there with this shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Declared, FormatError> {
        let declared = self.tensors.remove(name).ok_or_else(|| self.missing(name, INCOMPLETE))?;
        if declared.shape.iter().map(|&n| n as usize).ne(shape.iter().copied()) {
            let mut what =
                format!("has shape {:?}, the model's configuration needs {shape:?}", declared.shape);
            let mut turned = shape.to_vec();
            if let [.., rows, cols] = &mut turned[..] {
                std::mem::swap(rows, cols);
            }
            if declared.shape.iter().map(|&n| n as usize).eq(turned) {
                what.push_str(": its rows and columns are exchanged");
            }
            return Err(FormatError::tensor(self.model, name, what));
        }
        Ok(declared)
    }

    /// A tensor that is not there. What is there in its place says more than that it is missing; only if
    /// nothing unknown is, `otherwise` is right.
    fn missing(&self, name: &str, otherwise: &str) -> FormatError {
        let unknown = self.tensors.keys().find(|name| !self.names.is_part(name));
        let Some(unknown) = unknown else { return FormatError::tensor(self.model, name, otherwise) };
        let form = other_forms::form_of(unknown).map_or_else(String::new, |form| format!(" ({form})"));
        let unknown = crate::printable::printable(unknown);
        let what =
            format!("is missing, and there is `{unknown}`{form}: a form of this model that is not supported");
        FormatError::tensor(self.model, name, what)
    }

    /// Takes a matrix of `rows` x `cols`.
    pub fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<TensorSlice, FormatError> {
        Ok(self.take(name, &[rows, cols])?.rows(0, rows, cols))
    }

    /// Takes one matrix of each expert, which lie in one tensor.
    pub fn stacked(
        &mut self,
        name: &str,
        experts: usize,
        rows: usize,
        cols: usize,
    ) -> Result<Vec<TensorSlice>, FormatError> {
        let whole = self.take(name, &[experts, rows, cols])?;
        Ok((0..experts).map(|expert| whole.rows(expert * rows, rows, cols)).collect())
    }

    /// The same of two matrices of each expert, `rows` x `cols` both, one below the other.
    pub fn stacked_pairs(
        &mut self,
        name: &str,
        experts: usize,
        rows: usize,
        cols: usize,
    ) -> Result<[Vec<TensorSlice>; 2], FormatError> {
        let whole = self.take(name, &[experts, 2 * rows, cols])?;
        let half = |which: usize| {
            (0..experts).map(|expert| whole.rows((2 * expert + which) * rows, rows, cols)).collect()
        };
        Ok([half(0), half(1)])
    }

    /// Takes a vector. Norms are read as numbers, not as blocks.
    pub fn vector(&mut self, name: &str, len: usize) -> Result<TensorSlice, FormatError> {
        let Declared { ty, extent, .. } = self.take(name, &[len])?;
        if ty.block_weights() != 1 {
            let what = format!("is {ty}; norms must be F32, F16 or BF16");
            return Err(FormatError::tensor(self.model, name, what));
        }
        Ok(TensorSlice { extent, ty, rows: 1, cols: len, crc: None })
    }

    /// The head, if it is not the embedding.
    fn head(&mut self, c: &ModelConfig, head: Head) -> Result<Option<TensorSlice>, FormatError> {
        let name = self.names.head();
        let there = self.tensors.contains_key(&name);
        match head {
            Head::Tied => {
                self.tensors.remove(&name);
                Ok(None)
            }
            Head::IfThere if !there => Ok(None),
            Head::Own(missing) if !there => Err(self.missing(&name, missing)),
            Head::IfThere | Head::Own(_) => self.matrix(&name, c.vocab, c.hidden).map(Some),
        }
    }

    /// Nothing may be left: ignoring it could change what the model says.
    fn check_empty(&self, c: &ModelConfig) -> Result<(), FormatError> {
        let unknown = self.tensors.keys().find(|name| !self.names.is_part(name));
        let Some(name) = unknown.or_else(|| self.tensors.keys().next()) else { return Ok(()) };
        let what = if unknown.is_none() {
            format!(
                "has no place: the configuration has {} layers of {} experts, every tensor once",
                c.layers, c.experts
            )
        } else {
            let form = other_forms::form_of(name).map_or_else(String::new, |form| format!(" ({form})"));
            format!(
                "is not a part of the Qwen3-MoE architecture{form}: ignoring it could change what the model says"
            )
        };
        Err(FormatError::tensor(self.model, name, what))
    }
}

/// Puts every tensor in its place.
pub(crate) fn assemble(
    mut map: TensorMap<'_>,
    config: &ModelConfig,
    head: Head,
) -> Result<(DenseTensors, Vec<ExpertParts>), FormatError> {
    let (c, names) = (config, map.names);
    let embedding = map.matrix(&names.embedding(), c.vocab, c.hidden)?;
    let layers = (0..c.layers).map(|i| dense_layer(&mut map, c, i)).collect::<Result<_, _>>()?;
    let mut experts = Vec::new();
    for layer in 0..c.layers {
        let of_layer = names.experts(&mut map, c, layer)?;
        check_uniform(map.model, layer, &of_layer)?;
        experts.extend(of_layer);
    }
    let output_norm = map.vector(&names.output_norm(), c.hidden)?;
    let head = map.head(c, head)?;
    map.check_empty(c)?;
    Ok((DenseTensors { embedding, output_norm, head, layers }, experts))
}

fn dense_layer(map: &mut TensorMap<'_>, c: &ModelConfig, layer: usize) -> Result<DenseLayer, FormatError> {
    let [attn_norm, q, k, v, o, q_norm, k_norm, ffn_norm, router] = map.names.layer(layer);
    let (q_rows, kv_rows) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    Ok(DenseLayer {
        attn_norm: map.vector(&attn_norm, c.hidden)?,
        q: map.matrix(&q, q_rows, c.hidden)?,
        k: map.matrix(&k, kv_rows, c.hidden)?,
        v: map.matrix(&v, kv_rows, c.hidden)?,
        o: map.matrix(&o, c.hidden, q_rows)?,
        q_norm: map.vector(&q_norm, c.head_dim)?,
        k_norm: map.vector(&k_norm, c.head_dim)?,
        ffn_norm: map.vector(&ffn_norm, c.hidden)?,
        router: map.matrix(&router, c.experts, c.hidden)?,
    })
}

/// The experts of a layer share slots, so they must have one shape.
fn check_uniform(model: &Path, layer: usize, experts: &[ExpertParts]) -> Result<(), FormatError> {
    let types = |e: &ExpertParts| e.in_order().map(|part| part.ty);
    match experts.iter().position(|e| types(e) != types(&experts[0])) {
        None => Ok(()),
        Some(e) => Err(FormatError::malformed(
            model,
            format!("expert {e} of layer {layer} has other weight types than expert 0; convert all alike"),
        )),
    }
}

/// `model.layers.3.mlp.experts.7.up_proj` -> `model.layers.#.mlp.experts.#.up_proj`.
pub(crate) fn without_numbers(name: &str) -> String {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.split('.').map(|part| if number(part) { "#" } else { part });
    parts.collect::<Vec<_>>().join(".")
}
