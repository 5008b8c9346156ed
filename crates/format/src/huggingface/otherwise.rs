//! Settings of config.json that make a model compute something else: of this family, and of others whose
//! settings people copy. Each may be there with a value that changes nothing; any other is refused by its
//! name and value.

use std::fmt;
use std::path::Path;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use super::json::Setting;
use crate::FormatError;

/// Which values change nothing. `null` never does.
#[derive(Clone, Copy)]
enum Harmless {
    /// False, zero or empty.
    Off,
    /// The same or one.
    One,
    /// True or one.
    On,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of nothing but this word.
    All(&'static str),
}

impl Harmless {
    fn holds(self, setting: &Setting) -> bool {
        let off = match setting {
            Setting::Null => return true,
            Setting::Bool(on) => !on,
            Setting::Number(number) => *number == 0.0,
            Setting::Text(text) => text.is_empty(),
            Setting::List { length, .. } | Setting::Object { length } => *length == 0,
        };
        let one = *setting == Setting::Number(1.0);
        match self {
            Self::Off => off,
            Self::One => off || one,
            Self::On => one || *setting == Setting::Bool(true),
            Self::Word(words) => matches!(setting, Setting::Text(text) if words.contains(&text.as_str())),
            Self::All(word) => match setting {
                Setting::List { length: 0, .. } => true,
                Setting::List { all, .. } => all.as_deref() == Some(word),
                _ => false,
            },
        }
    }
}

/// Name, values that change nothing, what is computed.
type Field = (&'static str, Harmless, &'static str);

const FIELDS: [Field; 63] = {
    use Harmless::{All, Off, On, One, Word};
    const BIAS: &str = "projections without bias";
    const EVERY: &str = "experts in every layer";
    const FULL: &str = "full attention";
    const PLAIN: &str = "the Qwen3-MoE architecture without it";
    const ROUTER: &str = "a softmax router over all experts, none of them shared";
    const ROPE: &str = "rotary embedding of whole heads, in halves, in every layer";
    [
        ("attention_bias", Off, BIAS),
        ("mlp_bias", Off, BIAS),
        ("qkv_bias", Off, BIAS),
        ("use_qkv_bias", Off, BIAS),
        ("use_bias", Off, BIAS),
        ("hidden_act", Word(&["silu", "swish"]), "silu"),
        ("hidden_activation", Word(&["silu", "swish"]), "silu"),
        ("mlp_only_layers", Off, EVERY),
        ("decoder_sparse_step", One, EVERY),
        ("moe_layer_freq", One, EVERY),
        ("interleave_moe_layer_step", One, EVERY),
        ("first_k_dense_replace", Off, EVERY),
        ("moe_layer_start_index", Off, EVERY),
        ("use_sliding_window", Off, "full attention (use_sliding_window false)"),
        ("layer_types", All("full_attention"), FULL),
        ("attention_chunk_size", Off, FULL),
        ("dual_chunk_attention_config", Off, FULL),
        ("sliding_window_pattern", Off, FULL),
        ("use_bidirectional_attention", Off, FULL),
        ("is_causal", On, FULL),
        ("attn_logit_softcapping", Off, PLAIN),
        ("final_logit_softcapping", Off, PLAIN),
        ("router_logit_softcapping", Off, PLAIN),
        ("logit_softcapping", Off, PLAIN),
        ("query_pre_attn_scalar", Off, PLAIN),
        ("attention_multiplier", Off, PLAIN),
        ("attn_scale", Off, PLAIN),
        ("clip_qkv", Off, PLAIN),
        ("embedding_multiplier", One, PLAIN),
        ("residual_multiplier", One, PLAIN),
        ("residual_scale", One, PLAIN),
        ("logits_scaling", One, PLAIN),
        ("logit_scale", One, PLAIN),
        ("scale_emb", One, PLAIN),
        ("scale_depth", Off, PLAIN),
        ("swiglu_limit", Off, PLAIN),
        ("use_qk_norm", On, PLAIN),
        ("qk_layernorm", On, PLAIN),
        ("parallel_attn", Off, PLAIN),
        ("use_parallel_residual", Off, PLAIN),
        ("num_nextn_predict_layers", Off, PLAIN),
        ("add_cross_attention", Off, PLAIN),
        ("is_encoder_decoder", Off, PLAIN),
        ("pruned_heads", Off, PLAIN),
        ("routed_scaling_factor", One, ROUTER),
        ("router_scaling_factor", One, ROUTER),
        ("moe_routed_scaling_factor", One, ROUTER),
        ("n_shared_experts", Off, ROUTER),
        ("num_shared_experts", Off, ROUTER),
        ("shared_expert_intermediate_size", Off, ROUTER),
        ("n_group", One, ROUTER),
        ("topk_group", One, ROUTER),
        ("use_grouped_topk", Off, ROUTER),
        ("scoring_func", Word(&["softmax"]), ROUTER),
        ("topk_method", Word(&["greedy"]), ROUTER),
        ("moe_router_use_sigmoid", Off, ROUTER),
        ("rotary_pct", One, ROPE),
        ("rope_pct", One, ROPE),
        ("rope_interleave", Off, ROPE),
        ("rope_interleaved", Off, ROPE),
        ("no_rope_layers", Off, ROPE),
        ("no_rope_layer_interval", Off, ROPE),
        ("alibi", Off, ROPE),
    ]
};

/// A field of a table and what is said there instead of what would change nothing.
type Found = Vec<(usize, Setting)>;

/// Reads an object and finds the settings of a table that change something, in the order of the file.
struct Search<'t>(&'t [Field]);

impl<'de> Visitor<'de> for Search<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = Found::new();
        while let Some(name) = map.next_key::<String>()? {
            let Some(field) = self.0.iter().position(|(field, ..)| *field == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let setting = map.next_value::<Setting>()?;
            if !self.0[field].1.holds(&setting) && found.iter().all(|(known, _)| *known != field) {
                found.push((field, setting));
            }
        }
        Ok(found)
    }
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_map(self)
    }
}

fn search(path: &Path, bytes: &[u8], table: &[Field]) -> Result<Found, FormatError> {
    Search(table)
        .deserialize(&mut serde_json::Deserializer::from_slice(bytes))
        .map_err(|error| super::parse::not_json(path, bytes, &error))
}

/// Refuses a configuration of something else.
pub(super) fn check(path: &Path, bytes: &[u8]) -> Result<(), FormatError> {
    match search(path, bytes, &FIELDS)?.first() {
        None => Ok(()),
        Some((field, setting)) => {
            let (name, _, supported) = FIELDS[*field];
            Err(FormatError::unsupported(path, format!("{name} {setting}"), supported))
        }
    }
}

/// What generation_config.json asks for beside what the sampler's flags set.
const GENERATION: [Field; 14] = {
    use Harmless::{Off, One};
    const NOTHING: &str = "";
    [
        ("suppress_tokens", Off, NOTHING),
        ("begin_suppress_tokens", Off, NOTHING),
        ("bad_words_ids", Off, NOTHING),
        ("sequence_bias", Off, NOTHING),
        ("forced_bos_token_id", Off, NOTHING),
        ("forced_eos_token_id", Off, NOTHING),
        ("forced_decoder_ids", Off, NOTHING),
        ("stop_strings", Off, NOTHING),
        ("min_length", Off, NOTHING),
        ("min_new_tokens", Off, NOTHING),
        ("no_repeat_ngram_size", Off, NOTHING),
        ("guidance_scale", One, NOTHING),
        ("num_beams", One, NOTHING),
        ("penalty_alpha", Off, NOTHING),
    ]
};

/// A sentence about settings of generation_config.json that are not used, if there are any.
pub(super) fn unused_generation(path: &Path, bytes: &[u8]) -> Result<Option<String>, FormatError> {
    let found = search(path, bytes, &GENERATION)?;
    let names: Vec<&str> = found.iter().map(|(field, _)| GENERATION[*field].0).collect();
    let said = || format!("generation_config.json sets {}, which is not used", names.join(", "));
    Ok((!names.is_empty()).then(said))
}
