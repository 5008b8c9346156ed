//! config.json, generation_config.json, tokenizer_config.json.

use std::path::Path;

use hotset_base::limits;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::json::{Few, Ids, Template};
use crate::files::read_small;
use crate::{FormatError, ModelConfig};

/// Older files say `type`, newer ones `rope_type`, some both.
#[derive(Deserialize)]
struct RopeScaling {
    rope_type: Option<String>,
    #[serde(rename = "type")]
    old_type: Option<String>,
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
    mlp_only_layers: Few<usize, { limits::MAX_LAYERS }>,
    decoder_sparse_step: Option<usize>,
    #[serde(default)]
    use_sliding_window: bool,
    quantization_config: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    eos_token_id: Ids,
}

#[derive(Deserialize)]
struct GenerationConfig {
    #[serde(default)]
    eos_token_id: Ids,
}

/// The part of tokenizer_config.json that matters here.
#[derive(Deserialize)]
pub(super) struct TokenizerConfig {
    #[serde(default)]
    pub chat_template: Template,
}

pub(super) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, FormatError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let error = crate::error::one_line(&error.to_string());
        FormatError::malformed(path, format!("not usable JSON: {error}"))
    })
}

/// The shape, whether the head is tied, and the ids that end an answer.
pub(super) fn read(dir: &Path) -> Result<(ModelConfig, bool, Vec<u64>), FormatError> {
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
    Ok((config, hub.tie_word_embeddings, hub.eos_token_id.0))
}

/// Before the fields: another architecture has other fields, and should be called by its name.
fn check_architecture(path: &Path, bytes: &[u8]) -> Result<(), FormatError> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(default)]
        architectures: Few<String, 16>,
        model_type: Option<String>,
    }
    let kind: Kind = parse(path, bytes)?;
    let architectures = &kind.architectures.0;
    let known = architectures.iter().any(|name| name == "Qwen3MoeForCausalLM")
        || (architectures.is_empty() && kind.model_type.as_deref() == Some("qwen3_moe"));
    if known {
        return Ok(());
    }
    let named = architectures.first().or(kind.model_type.as_ref()).map_or("(none)", String::as_str);
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
    if !hub.mlp_only_layers.0.is_empty() || hub.decoder_sparse_step.is_some_and(|step| step != 1) {
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
    let mut kinds = scaled.flat_map(|rope| [rope.rope_type.as_deref(), rope.old_type.as_deref()]).flatten();
    match kinds.find(|kind| *kind != "default") {
        Some(kind) => {
            refuse(&format!("rope scaling `{}`", crate::error::printable(kind)), "plain rotary embedding")
        }
        None => Ok(()),
    }
}

/// Ids that end an answer by generation_config.json, if there is one.
pub(super) fn generation_eos(dir: &Path) -> Result<Vec<u64>, FormatError> {
    let path = dir.join("generation_config.json");
    let Some(bytes) = read_small(&path, limits::MAX_CONFIG_FILE)? else { return Ok(Vec::new()) };
    let found: GenerationConfig = parse(&path, &bytes)?;
    Ok(found.eos_token_id.0)
}
