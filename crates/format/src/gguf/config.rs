//! The model's shape from `qwen3moe.*` keys.

use std::path::Path;

use hotset_base::Architecture;

use super::keys::{ARCHITECTURE, ARCHITECTURE_KEY, NAME_KEY, NORM_TOPK_KEY, TYPE_KEY};
use super::metadata::Metadata;
use super::rope;
use crate::{FormatError, ModelConfig};

/// The first thing looked at: other architectures have other keys.
pub(super) fn architecture(path: &Path, metadata: &Metadata) -> Result<Architecture, FormatError> {
    if let Some(kind) = metadata.text(path, TYPE_KEY)?.filter(|kind| *kind != "model") {
        let what = format!("a file of type `{}`", crate::printable::printable(kind));
        return Err(FormatError::unsupported(path, what, "whole models"));
    }
    match metadata.text(path, ARCHITECTURE_KEY)? {
        Some(name) => Architecture::named(name).ok_or_else(|| {
            let what = format!("architecture `{}`", crate::printable::printable(name));
            FormatError::unsupported(path, what, Architecture::ALL.map(Architecture::name).join(", "))
        }),
        None => Err(FormatError::malformed(path, "has no general.architecture: it is not a model")),
    }
}

/// Reads and checks the shape.
pub(super) fn read(path: &Path, metadata: &Metadata, vocab: usize) -> Result<ModelConfig, FormatError> {
    let optional = |key: &str| metadata.number(path, &format!("{ARCHITECTURE}.{key}"));
    let missing =
        |key: &str| FormatError::malformed(path, format!("metadata key `{ARCHITECTURE}.{key}` is missing"));
    let number = |key: &str| {
        optional(key)?.map(|n| usize::try_from(n).unwrap_or(usize::MAX)).ok_or_else(|| missing(key))
    };
    let float = |key: &str| metadata.float(path, &format!("{ARCHITECTURE}.{key}"));
    let (hidden, heads) = (number("embedding_length")?, number("attention.head_count")?);
    let head_dim = optional("attention.key_length")?.map_or(hidden / heads.max(1), |n| n as usize);
    let value_dim = optional("attention.value_length")?.map_or(head_dim, |n| n as usize);
    if value_dim != head_dim {
        let what = format!("value heads of {value_dim} beside key heads of {head_dim}");
        return Err(FormatError::unsupported(path, what, "heads of one size"));
    }
    let rotated = optional("rope.dimension_count")?.map_or(head_dim, |n| n as usize);
    if rotated != head_dim {
        let what = format!("rotary embedding of {rotated} of the {head_dim} numbers of a head");
        return Err(FormatError::unsupported(path, what, "of whole heads"));
    }
    let name = metadata.text(path, NAME_KEY)?.map(crate::printable::one_line);
    let rms_eps = float("attention.layer_norm_rms_epsilon")?;
    let stem = || path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let context = number("context_length")?;
    let rope_scaling = rope::read(path, metadata, context)?;
    let config = ModelConfig {
        name: name.unwrap_or_else(stem),
        layers: number("block_count")?,
        hidden,
        heads,
        kv_heads: number("attention.head_count_kv")?,
        head_dim,
        experts: number("expert_count")?,
        top_k: number("expert_used_count")?,
        expert_width: number("expert_feed_forward_length")?,
        vocab,
        context: rope_scaling.map_or(context, |rope| rope.context(context)),
        rms_eps: rms_eps.ok_or_else(|| missing("attention.layer_norm_rms_epsilon"))? as f32,
        rope_theta: float("rope.freq_base")?.unwrap_or(10_000.0) as f32,
        rope_scaling,
        // Few files say it: this architecture's models are converted from checkpoints that renormalise.
        norm_topk: metadata.flag(path, NORM_TOPK_KEY)?.unwrap_or(true),
    };
    config.check().map_err(|what| FormatError::malformed(path, what))?;
    Ok(config)
}
