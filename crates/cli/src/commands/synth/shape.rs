//! Which model to make: a preset and what differs from it.

use anyhow::Result;
use clap::Args;
use hotset_convert::synth::{PRESETS, preset};
use hotset_format::ModelConfig;

use crate::output::Usage;

#[derive(Args)]
#[command(next_help_heading = "Shape")]
pub struct ShapeArgs {
    /// The shape to start from: qwen3-30b-a3b, half-width, demo-shape or tiny
    #[arg(long, value_name = "NAME", default_value = "qwen3-30b-a3b")]
    preset: String,
    /// Layers
    #[arg(long, value_name = "N")]
    layers: Option<usize>,
    /// Width of the residual stream
    #[arg(long, value_name = "N")]
    hidden: Option<usize>,
    /// Experts of one layer
    #[arg(long, value_name = "N")]
    experts: Option<usize>,
    /// Experts that a token uses
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Rows of an expert's gate and up matrices
    #[arg(long, value_name = "N")]
    expert_width: Option<usize>,
    /// Query heads
    #[arg(long, value_name = "N")]
    heads: Option<usize>,
    /// Key/value heads
    #[arg(long, value_name = "N")]
    kv_heads: Option<usize>,
    /// Width of a head
    #[arg(long, value_name = "N")]
    head_dim: Option<usize>,
    /// Rows of the embedding
    #[arg(long, value_name = "N")]
    vocab: Option<usize>,
    /// Context length that the model claims
    #[arg(long, value_name = "N")]
    context: Option<usize>,
}

impl ShapeArgs {
    pub fn config(&self) -> Result<ModelConfig> {
        let mut config = preset(&self.preset).ok_or_else(|| {
            Usage(format!("`{}` is not a known preset; known are {}", self.preset, PRESETS.join(", ")))
        })?;
        let changes = [
            (self.layers, &mut config.layers),
            (self.hidden, &mut config.hidden),
            (self.experts, &mut config.experts),
            (self.top_k, &mut config.top_k),
            (self.expert_width, &mut config.expert_width),
            (self.heads, &mut config.heads),
            (self.kv_heads, &mut config.kv_heads),
            (self.head_dim, &mut config.head_dim),
            (self.vocab, &mut config.vocab),
            (self.context, &mut config.context),
        ];
        let mut changed = false;
        for (wanted, field) in changes {
            if let Some(wanted) = wanted {
                changed |= *field != wanted;
                *field = wanted;
            }
        }
        if changed {
            config.name.push_str("-changed");
        }
        Ok(config)
    }
}
