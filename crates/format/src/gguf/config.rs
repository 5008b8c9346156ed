//! The model's shape from `qwen3moe.*` keys.

use std::path::Path;

use super::metadata::Metadata;
use crate::{FormatError, ModelConfig};

const ARCHITECTURE: &str = "qwen3moe";

/// The first thing looked at: other architectures have other keys.
pub(super) fn check_architecture(path: &Path, metadata: &Metadata) -> Result<(), FormatError> {
    match metadata.text(path, "general.architecture")? {
        Some(ARCHITECTURE) => Ok(()),
        Some(other) => {
            let what = format!("architecture `{}`", crate::error::printable(other));
            Err(FormatError::unsupported(path, what, ARCHITECTURE))
        }
        None => Err(FormatError::malformed(path, "has no general.architecture: it is not a model")),
    }
}

/// Reads and checks the shape.
pub(super) fn read(path: &Path, metadata: &Metadata, vocab: usize) -> Result<ModelConfig, FormatError> {
    let optional = |key: &str| metadata.number(path, &format!("{ARCHITECTURE}.{key}"));
    let number = |key: &str| {
        optional(key)?.map(|n| usize::try_from(n).unwrap_or(usize::MAX)).ok_or_else(|| {
            FormatError::malformed(path, format!("metadata key `{ARCHITECTURE}.{key}` is missing"))
        })
    };
    let float = |key: &str| metadata.float(path, &format!("{ARCHITECTURE}.{key}"));
    let scaling = metadata.text(path, &format!("{ARCHITECTURE}.rope.scaling.type"))?;
    if let Some(kind) = scaling.filter(|kind| *kind != "none") {
        let what = format!("rope scaling `{}`", crate::error::printable(kind));
        return Err(FormatError::unsupported(path, what, "plain rotary embedding"));
    }
    let (hidden, heads) = (number("embedding_length")?, number("attention.head_count")?);
    let head_dim = optional("attention.key_length")?.map_or(hidden / heads.max(1), |n| n as usize);
    let value_dim = optional("attention.value_length")?.map_or(head_dim, |n| n as usize);
    if value_dim != head_dim {
        let what = format!("value heads of {value_dim} beside key heads of {head_dim}");
        return Err(FormatError::unsupported(path, what, "heads of one size"));
    }
    let name = metadata.text(path, "general.name")?.map(str::to_owned);
    let stem = || path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
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
        context: number("context_length")?,
        rms_eps: float("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-6) as f32,
        rope_theta: float("rope.freq_base")?.unwrap_or(10_000.0) as f32,
        // The architecture has no key for it: its models are converted from checkpoints that renormalise.
        norm_topk: true,
    };
    config.check().map_err(|what| FormatError::malformed(path, what))?;
    Ok(config)
}
