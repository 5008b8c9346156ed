//! From named tensors to a complete model: every tensor there once, of the right shape, none unknown.

use std::collections::BTreeMap;
use std::path::Path;

use hotset_base::{Extent, WeightType};

use crate::{DenseLayer, DenseTensors, ExpertParts, FormatError, ModelConfig, TensorSlice};

/// A tensor as a file declares it, with its extent checked.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    /// Outermost dimension first.
    pub shape: Vec<u64>,
    pub ty: WeightType,
    pub extent: Extent,
}

/// All tensors of a model by name; taken out as they find their place.
pub(crate) struct TensorMap<'a> {
    pub model: &'a Path,
    pub tensors: BTreeMap<String, Declared>,
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
}

impl TensorMap<'_> {
    /// Takes a tensor out, if it is there with this shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Declared, FormatError> {
        let declared = self.tensors.remove(name).ok_or_else(|| {
            FormatError::tensor(self.model, name, "is missing: the checkpoint is incomplete; get it again")
        })?;
        if declared.shape.iter().map(|&n| n as usize).ne(shape.iter().copied()) {
            let what = format!("has shape {:?}, the model's configuration needs {shape:?}", declared.shape);
            return Err(FormatError::tensor(self.model, name, what));
        }
        Ok(declared)
    }

    /// Takes a matrix of `rows` x `cols`.
    pub fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<TensorSlice, FormatError> {
        let Declared { ty, extent, .. } = self.take(name, &[rows, cols])?;
        Ok(TensorSlice { extent, ty, rows, cols, crc: None })
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
}

/// Puts every tensor in its place. `tied`: what the format says of the head; `None` where the head's
/// presence decides.
pub(crate) fn assemble(
    mut map: TensorMap<'_>,
    config: &ModelConfig,
    names: &dyn Names,
    tied: Option<bool>,
) -> Result<(DenseTensors, Vec<ExpertParts>), FormatError> {
    let c = config;
    let embedding = map.matrix(&names.embedding(), c.vocab, c.hidden)?;
    let layers = (0..c.layers).map(|i| dense_layer(&mut map, c, names, i)).collect::<Result<_, _>>()?;
    let mut experts = Vec::new();
    for layer in 0..c.layers {
        let of_layer = names.experts(&mut map, c, layer)?;
        check_uniform(map.model, layer, &of_layer)?;
        experts.extend(of_layer);
    }
    let output_norm = map.vector(&names.output_norm(), c.hidden)?;
    let has_head = map.tensors.contains_key(&names.head());
    let head = match tied {
        Some(true) => {
            // A tied checkpoint may still carry a copy; the configuration says it is not used.
            map.tensors.remove(&names.head());
            None
        }
        Some(false) => Some(map.matrix(&names.head(), c.vocab, c.hidden)?),
        None if has_head => Some(map.matrix(&names.head(), c.vocab, c.hidden)?),
        None => None,
    };
    if let Some(name) = map.tensors.keys().next() {
        let what =
            "is not a part of the Qwen3-MoE architecture: ignoring it could change what the model says";
        return Err(FormatError::tensor(map.model, name, what));
    }
    Ok((DenseTensors { embedding, output_norm, head, layers }, experts))
}

fn dense_layer(
    map: &mut TensorMap<'_>,
    c: &ModelConfig,
    names: &dyn Names,
    layer: usize,
) -> Result<DenseLayer, FormatError> {
    let [attn_norm, q, k, v, o, q_norm, k_norm, ffn_norm, router] = names.layer(layer);
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
