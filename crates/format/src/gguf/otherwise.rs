//! Keys of the model's namespace that make it compute something else: of this architecture, and of others
//! whose keys a converter may have left. Each may be there with a value that changes nothing; any other is
//! refused by its name, and a key that nobody knows is warned of.

use std::path::Path;

use super::keys::ARCHITECTURE;
use super::metadata::{Metadata, Value};
use crate::printable::printable;
use crate::{FormatError, ModelConfig};

/// Which values change nothing.
#[derive(Clone, Copy)]
enum Harmless {
    /// Read elsewhere, or without a say in what is computed.
    Any,
    /// False or zero.
    Off,
    /// The same or one.
    One,
    /// True.
    On,
    /// Zero, or the usual `1 / sqrt(head size)`.
    Scale,
    /// `silu`.
    Silu,
}

/// Keys without the architecture before them.
const KEYS: [(&str, Harmless); 76] = {
    use Harmless::{Any, Off, On, One, Scale, Silu};
    [
        ("block_count", Any),
        ("context_length", Any),
        ("embedding_length", Any),
        ("feed_forward_length", Any),
        ("vocab_size", Any),
        ("expert_count", Any),
        ("expert_used_count", Any),
        ("expert_feed_forward_length", Any),
        ("expert_weights_norm", Any),
        ("attention.head_count", Any),
        ("attention.head_count_kv", Any),
        ("attention.key_length", Any),
        ("attention.value_length", Any),
        ("attention.layer_norm_rms_epsilon", Any),
        // Of norms that this architecture does not have.
        ("attention.layer_norm_epsilon", Any),
        ("rope.freq_base", Any),
        ("rope.dimension_count", Any),
        // Text has one position for all sections.
        ("rope.dimension_sections", Any),
        ("rope.scale_linear", Any),
        ("rope.scaling.type", Any),
        ("rope.scaling.factor", Any),
        ("rope.scaling.attn_factor", Any),
        ("rope.scaling.yarn_attn_factor", Any),
        ("rope.scaling.yarn_ext_factor", Any),
        ("rope.scaling.ext_factor", Any),
        ("rope.scaling.yarn_beta_fast", Any),
        ("rope.scaling.yarn_beta_slow", Any),
        ("rope.scaling.beta_fast", Any),
        ("rope.scaling.beta_slow", Any),
        ("rope.scaling.yarn_log_multiplier", Any),
        ("rope.scaling.original_context_length", Any),
        ("rope.scaling.finetuned", Any),
        ("rope.scaling.alpha", One),
        ("hidden_act", Silu),
        ("use_parallel_residual", Off),
        ("leading_dense_block_count", Off),
        ("expert_shared_count", Off),
        ("expert_shared_feed_forward_length", Off),
        ("expert_chunk_feed_forward_length", Off),
        ("expert_group_count", One),
        ("expert_group_used_count", One),
        ("expert_group_scale", One),
        ("experts_per_group", One),
        ("expert_weights_scale", One),
        // 1 is softmax; 0 leaves it to the architecture.
        ("expert_gating_func", One),
        ("moe_every_n_layers", One),
        ("interleave_moe_layer_step", One),
        ("nextn_predict_layers", Off),
        ("pooling_type", Off),
        ("logit_scale", One),
        ("residual_scale", One),
        ("embedding_scale", One),
        ("attn_logit_softcapping", Off),
        ("router_logit_softcapping", Off),
        ("final_logit_softcapping", Off),
        ("attention.logit_softcapping", Off),
        ("swin_norm", Off),
        ("rescale_every_n_layers", Off),
        ("token_shift_count", Off),
        ("swiglu_clamp_exp", Off),
        ("swiglu_clamp_shexp", Off),
        ("attention.max_alibi_bias", Off),
        ("attention.clamp_kqv", Off),
        ("attention.scale", Scale),
        ("attention.output_scale", One),
        ("attention.value_scale", One),
        ("attention.temperature_length", Off),
        ("attention.temperature_scale", Off),
        ("attention.causal", On),
        ("attention.sliding_window", Off),
        ("attention.sliding_window_pattern", Off),
        ("attention.shared_kv_layers", Off),
        ("attention.gate_lora_rank", Off),
        ("attention.q_lora_rank", Off),
        ("attention.kv_lora_rank", Off),
        ("attention.relative_buckets_count", Off),
    ]
};

impl Harmless {
    fn holds(self, value: &Value, config: &ModelConfig) -> bool {
        let number = match value {
            Value::Unsigned(n) => Some(*n as f64),
            Value::Signed(n) => Some(*n as f64),
            Value::Float(x) => Some(*x),
            Value::Bool(on) => Some(f64::from(u8::from(*on))),
            _ => None,
        };
        let usual = 1.0 / (config.head_dim as f64).sqrt();
        match self {
            Self::Any => true,
            Self::Off => number == Some(0.0),
            Self::One => number == Some(0.0) || number == Some(1.0),
            Self::On => number == Some(1.0),
            Self::Scale => number.is_some_and(|x| x == 0.0 || (x - usual).abs() < 1e-6),
            Self::Silu => *value == Value::Text("silu".to_owned()),
        }
    }
}

/// Refuses keys that would compute something else, and tells of keys it does not know.
pub(super) fn check(
    path: &Path,
    metadata: &Metadata,
    config: &ModelConfig,
) -> Result<Option<String>, FormatError> {
    let mut unknown = Vec::new();
    for (key, value) in metadata.of(ARCHITECTURE) {
        match KEYS.iter().find(|(known, _)| *known == key) {
            Some((_, harmless)) if harmless.holds(value, config) => {}
            Some(_) => {
                let what = format!("metadata key `{ARCHITECTURE}.{key}`{}", shown(value));
                return Err(FormatError::unsupported(path, what, "the architecture without it"));
            }
            None => unknown.push(key),
        }
    }
    unknown.sort_unstable();
    Ok(unknown.first().map(|first| {
        let more = match unknown.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        format!("metadata key `{ARCHITECTURE}.{}`{more} is not known and not used", printable(first))
    }))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Unsigned(n) => format!(" = {n}"),
        Value::Signed(n) => format!(" = {n}"),
        Value::Float(x) => format!(" = {x}"),
        Value::Bool(on) => format!(" = {on}"),
        Value::Text(text) => format!(" = `{}`", printable(text)),
        _ => String::new(),
    }
}
