//! config.json, generation_config.json, tokenizer_config.json.

use std::path::Path;

use hotset_base::limits;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::files::read_small;
use crate::{FormatError, ModelConfig};

/// One id or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Many(Vec<u32>),
}

impl Ids {
    fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

#[derive(Deserialize)]
struct RopeScaling {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f32>,
}

/// The fields of config.json that decide what is computed.
#[derive(Deserialize)]
struct HubConfig {
    num_hidden_layers: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    num_experts: usize,
    num_experts_per_tok: usize,
    moe_intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: f32,
    rope_theta: Option<f32>,
    rope_scaling: Option<RopeScaling>,
    rope_parameters: Option<RopeScaling>,
    #[serde(default)]
    norm_topk_prob: bool,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    hidden_act: Option<String>,
    #[serde(default)]
    mlp_only_layers: Vec<usize>,
    decoder_sparse_step: Option<usize>,
    #[serde(default)]
    use_sliding_window: bool,
    quantization_config: Option<serde::de::IgnoredAny>,
    eos_token_id: Option<Ids>,
}

#[derive(Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<Ids>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

/// The part of tokenizer_config.json that matters here.
#[derive(Deserialize)]
pub(super) struct TokenizerConfig {
    chat_template: Option<Templates>,
}

impl TokenizerConfig {
    pub fn template(self) -> Option<String> {
        match self.chat_template? {
            Templates::One(text) => Some(text),
            Templates::Named(all) => all.into_iter().find(|t| t.name == "default").map(|t| t.template),
        }
    }
}

pub(super) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, FormatError> {
    serde_json::from_slice(bytes)
        .map_err(|error| FormatError::malformed(path, format!("not usable JSON: {error}")))
}

/// The shape, whether the head is tied, and the ids that end an answer.
pub(super) fn read(dir: &Path) -> Result<(ModelConfig, bool, Vec<u32>), FormatError> {
    let path = dir.join("config.json");
    let bytes = read_small(&path, limits::MAX_CONFIG_FILE)?
        .ok_or_else(|| FormatError::malformed(&path, "is missing"))?;
    check_architecture(&path, &bytes)?;
    let hub: HubConfig = parse(&path, &bytes)?;
    refuse_unsupported(&path, &hub)?;
    let name = dir.canonicalize().ok().and_then(|d| Some(d.file_name()?.to_string_lossy().into_owned()));
    let rope_theta = hub.rope_theta.or(hub.rope_parameters.as_ref().and_then(|rope| rope.rope_theta));
    let config = ModelConfig {
        name: name.unwrap_or_else(|| "model".to_owned()),
        layers: hub.num_hidden_layers,
        hidden: hub.hidden_size,
        heads: hub.num_attention_heads,
        kv_heads: hub.num_key_value_heads.unwrap_or(hub.num_attention_heads),
        head_dim: hub.head_dim.unwrap_or(hub.hidden_size / hub.num_attention_heads.max(1)),
        experts: hub.num_experts,
        top_k: hub.num_experts_per_tok,
        expert_width: hub.moe_intermediate_size,
        vocab: hub.vocab_size,
        context: hub.max_position_embeddings,
        rms_eps: hub.rms_norm_eps,
        rope_theta: rope_theta.ok_or_else(|| FormatError::malformed(&path, "has no rope_theta"))?,
        norm_topk: hub.norm_topk_prob,
    };
    config.check().map_err(|what| FormatError::malformed(&path, what))?;
    Ok((config, hub.tie_word_embeddings, hub.eos_token_id.map(Ids::into_vec).unwrap_or_default()))
}

/// Before the fields: another architecture has other fields, and should be called by its name.
fn check_architecture(path: &Path, bytes: &[u8]) -> Result<(), FormatError> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(default)]
        architectures: Vec<String>,
        model_type: Option<String>,
    }
    let kind: Kind = parse(path, bytes)?;
    let known = kind.architectures.iter().any(|name| name == "Qwen3MoeForCausalLM")
        || (kind.architectures.is_empty() && kind.model_type.as_deref() == Some("qwen3_moe"));
    if known {
        return Ok(());
    }
    let named = kind.architectures.first().or(kind.model_type.as_ref()).map_or("(none)", String::as_str);
    let what = format!("architecture `{}`", crate::error::printable(named));
    Err(FormatError::unsupported(path, what, "Qwen3MoeForCausalLM (qwen3_moe)"))
}

fn refuse_unsupported(path: &Path, hub: &HubConfig) -> Result<(), FormatError> {
    let refuse = |what: &str, supported: &str| Err(FormatError::unsupported(path, what, supported));
    if hub.attention_bias {
        return refuse("attention_bias", "attention without bias");
    }
    if hub.hidden_act.as_deref().is_some_and(|act| act != "silu") {
        return refuse("this hidden_act", "silu");
    }
    if !hub.mlp_only_layers.is_empty() || hub.decoder_sparse_step.is_some_and(|step| step != 1) {
        return refuse(
            "a layer without experts (mlp_only_layers, decoder_sparse_step)",
            "experts in every layer",
        );
    }
    if hub.use_sliding_window {
        return refuse("use_sliding_window", "full attention");
    }
    if hub.quantization_config.is_some() {
        return refuse(
            "quantization_config",
            "BF16, F16 and F32 safetensors, or a GGUF file for quantised weights",
        );
    }
    let scaled = [&hub.rope_scaling, &hub.rope_parameters].into_iter().flatten();
    match scaled.filter_map(|rope| rope.rope_type.as_deref()).find(|kind| *kind != "default") {
        Some(kind) => {
            refuse(&format!("rope scaling `{}`", crate::error::printable(kind)), "plain rotary embedding")
        }
        None => Ok(()),
    }
}

/// Ids that end an answer by generation_config.json, if there is one.
pub(super) fn generation_eos(dir: &Path) -> Result<Vec<u32>, FormatError> {
    let path = dir.join("generation_config.json");
    let Some(bytes) = read_small(&path, limits::MAX_CONFIG_FILE)? else { return Ok(Vec::new()) };
    let found: GenerationConfig = parse(&path, &bytes)?;
    Ok(found.eos_token_id.map(Ids::into_vec).unwrap_or_default())
}
