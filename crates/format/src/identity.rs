//! What tells one model from another, whichever format it comes in.

use hotset_base::{Bytes, Extent};

use crate::{Checkpoint, FormatError, RopeScaling, TensorSlice, read_extent};

/// Of each router this much is looked at: whole routers of a large model are many megabytes, and training
/// changes every weight.
const SAMPLE: u64 = 4096;

/// BLAKE3 over the model's shape, the table of its tensors (names, types, sizes; not where they lie) and the
/// first 4 KiB of every router, which differ between models of one shape. Names for people do not count, so
/// a file may be renamed, and a store has the identity of what it was packed from unless that changed types.
///
/// # Errors
/// If a router cannot be read.
pub fn identity(checkpoint: &Checkpoint) -> Result<[u8; 32], FormatError> {
    let mut hasher = blake3::Hasher::new();
    let c = &checkpoint.config;
    let sizes = [c.layers, c.hidden, c.heads, c.kv_heads, c.head_dim, c.experts, c.top_k, c.expert_width];
    for size in sizes.into_iter().chain([c.vocab, usize::from(c.norm_topk)]) {
        hasher.update(&(size as u64).to_le_bytes());
    }
    for number in [c.rms_eps, c.rope_theta] {
        hasher.update(&number.to_le_bytes());
    }
    if let Some(scaling) = c.rope_scaling {
        identify_scaling(&mut hasher, &scaling);
    }
    let mut tensor = |tensor: &TensorSlice| {
        hasher.update(&tensor.ty.ggml_id().to_le_bytes());
        hasher.update(&(tensor.rows as u64).to_le_bytes());
        hasher.update(&(tensor.cols as u64).to_le_bytes());
    };
    checkpoint.dense.named().iter().for_each(|(_, dense)| tensor(dense));
    checkpoint.experts.iter().flat_map(|expert| expert.in_order()).for_each(|part| tensor(&part));
    let mut sample = Vec::new();
    for layer in &checkpoint.dense.layers {
        let whole = layer.router.extent;
        let first = Extent { bytes: Bytes(whole.bytes.0.min(SAMPLE)), ..whole };
        sample.resize(first.bytes.0 as usize, 0);
        read_extent(&checkpoint.files, &first, &mut sample)?;
        hasher.update(&sample);
    }
    Ok(*hasher.finalize().as_bytes())
}

fn identify_scaling(hasher: &mut blake3::Hasher, scaling: &RopeScaling) {
    hasher.update(b"rope scaling");
    let yarn = scaling.yarn.map(|yarn| {
        let bounds = [yarn.beta_fast, yarn.beta_slow, f32::from(u8::from(yarn.truncate))];
        (yarn.original_context as u64, bounds)
    });
    for number in [scaling.factor, scaling.attention_factor] {
        hasher.update(&number.to_le_bytes());
    }
    if let Some((original, bounds)) = yarn {
        hasher.update(&original.to_le_bytes());
        for bound in bounds {
            hasher.update(&bound.to_le_bytes());
        }
    }
}
