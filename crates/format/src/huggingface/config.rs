//! config.json, generation_config.json, tokenizer_config.json.

use std::path::Path;

use hotset_base::limits;
use serde::Deserialize;

use super::json::{Few, Ids, Template};
use super::otherwise;
use super::parse::parse;
use super::rope::{self, RopeFields, RopeSettings};
use crate::file::read_small;
use crate::{FormatError, ModelConfig};

/// The fields of config.json that say what is computed. `null` is as good as nothing.
#[derive(Deserialize)]
struct HubConfig {
    num_hidden_layers: Option<usize>,
    hidden_size: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    num_experts: Option<usize>,
    /// The same, as `transformers` 5 writes it.
    num_local_experts: Option<usize>,
    num_experts_per_tok: Option<usize>,
    moe_intermediate_size: Option<usize>,
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f32>,
    rope_theta: Option<f32>,
    partial_rotary_factor: Option<f32>,
    rope_scaling: Option<RopeSettings>,
    rope_parameters: Option<RopeSettings>,
    norm_topk_prob: Option<bool>,
    tie_word_embeddings: Option<bool>,
    quantization_config: Option<Quantization>,
    compression_config: Option<Quantization>,
    /// The name that MLX has for it, often beside the first.
    quantization: Option<Quantization>,
    #[serde(default)]
    eos_token_id: Ids,
}

#[derive(Deserialize)]
struct Quantization {
    quant_method: Option<String>,
    quant_algo: Option<String>,
    /// Where there is no method.
    format: Option<String>,
    load_in_4bit: Option<bool>,
    load_in_8bit: Option<bool>,
}

impl Quantization {
    fn method(&self) -> Option<&str> {
        let named = self.quant_method.as_ref().or(self.quant_algo.as_ref()).or(self.format.as_ref());
        let bits = self.load_in_4bit.or(self.load_in_8bit);
        named.map(String::as_str).or_else(|| bits.map(|_| "bitsandbytes"))
    }
}

/// What a class of this architecture takes where its config.json is silent.
const DEFAULT_CONTEXT: usize = 32_768;
const DEFAULT_RMS_EPS: f32 = 1e-6;

/// What to get in place of safetensors with quantised weights.
pub(super) const INSTEAD_OF_QUANTIZED: &str =
    "the BF16, F16 or F32 checkpoint it was made from, and GGUF files, which hold quantised weights";

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

/// What config.json says.
pub(super) struct Configured {
    pub model: ModelConfig,
    /// Whether the embedding serves as the head; `None` where the file is silent, which means that it does
    /// not.
    pub tied: Option<bool>,
    /// Ids that end an answer.
    pub stop: Vec<u64>,
}

/// Reads and checks config.json.
pub(super) fn read(dir: &Path) -> Result<Configured, FormatError> {
    let path = dir.join("config.json");
    let bytes = read_small(&path, limits::MAX_CONFIG_FILE)?
        .ok_or_else(|| FormatError::malformed(&path, "is missing"))?;
    check_architecture(&path, &bytes)?;
    let hub: HubConfig = parse(&path, &bytes)?;
    refuse_quantized(&path, &hub)?;
    otherwise::check(&path, &bytes)?;
    let name = dir.canonicalize().ok().and_then(|d| Some(d.file_name()?.to_string_lossy().into_owned()));
    let model = shape(&path, &hub, name.unwrap_or_else(|| "model".to_owned()))?;
    model.check().map_err(|what| FormatError::malformed(&path, what))?;
    Ok(Configured { model, tied: hub.tie_word_embeddings, stop: hub.eos_token_id.0 })
}

fn shape(path: &Path, hub: &HubConfig, name: String) -> Result<ModelConfig, FormatError> {
    let needed = |field: &str, value: Option<usize>| {
        value.ok_or_else(|| FormatError::malformed(path, format!("has no {field}")))
    };
    let hidden = needed("hidden_size", hub.hidden_size)?;
    let heads = needed("num_attention_heads", hub.num_attention_heads)?;
    let max_position_embeddings = hub.max_position_embeddings.unwrap_or(DEFAULT_CONTEXT);
    let (rope_theta, rope_scaling) = rope::read(&RopeFields {
        rope_theta: hub.rope_theta,
        partial_rotary_factor: hub.partial_rotary_factor,
        rope_scaling: hub.rope_scaling.as_ref(),
        rope_parameters: hub.rope_parameters.as_ref(),
        max_position_embeddings,
    })
    .map_err(|what| FormatError::unsupported(path, what, rope::SUPPORTED))?;
    Ok(ModelConfig {
        name,
        layers: needed("num_hidden_layers", hub.num_hidden_layers)?,
        hidden,
        heads,
        kv_heads: hub.num_key_value_heads.unwrap_or(heads),
        head_dim: hub.head_dim.unwrap_or(hidden / heads.max(1)),
        experts: needed("num_experts", experts(path, hub)?)?,
        top_k: needed("num_experts_per_tok", hub.num_experts_per_tok)?,
        expert_width: needed("moe_intermediate_size", hub.moe_intermediate_size)?,
        vocab: needed("vocab_size", hub.vocab_size)?,
        context: rope_scaling.map_or(max_position_embeddings, |rope| rope.context(max_position_embeddings)),
        rms_eps: hub.rms_norm_eps.unwrap_or(DEFAULT_RMS_EPS),
        rope_theta: rope_theta.ok_or_else(|| FormatError::malformed(path, "has no rope_theta"))?,
        rope_scaling,
        norm_topk: hub.norm_topk_prob.unwrap_or(false),
    })
}

fn experts(path: &Path, hub: &HubConfig) -> Result<Option<usize>, FormatError> {
    match (hub.num_experts, hub.num_local_experts) {
        (Some(one), Some(other)) if one != other => {
            let what = format!("says {one} num_experts and {other} num_local_experts, which mean the same");
            Err(FormatError::malformed(path, what))
        }
        (one, other) => Ok(one.or(other)),
    }
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
    let (architectures, model_type) = (&kind.architectures.0, kind.model_type.as_deref());
    let refuse = |what: String| Err(FormatError::unsupported(path, what, "Qwen3MoeForCausalLM (qwen3_moe)"));
    let shown = crate::printable::printable;
    match (architectures.first(), model_type) {
        (None, None) => Err(FormatError::malformed(
            path,
            "has neither architectures nor a model_type: it is not a model's",
        )),
        (Some(name), _) if !architectures.iter().any(|name| name == "Qwen3MoeForCausalLM") => {
            refuse(format!("architecture `{}`", shown(name)))
        }
        // Programs that go by this field compute something else.
        (_, Some(other)) if other != "qwen3_moe" => refuse(format!("model_type `{}`", shown(other))),
        _ => Ok(()),
    }
}

/// Quantised safetensors are many formats; the message says which one it is.
fn refuse_quantized(path: &Path, hub: &HubConfig) -> Result<(), FormatError> {
    let found = [
        ("quantization_config", &hub.quantization_config),
        ("compression_config", &hub.compression_config),
        ("quantization", &hub.quantization),
    ];
    let found = found.into_iter().find_map(|(field, value)| Some((field, value.as_ref()?)));
    let Some((field, quantization)) = found else { return Ok(()) };
    let method = quantization.method().or_else(|| hub.quantization.as_ref().map(|_| "MLX"));
    let what = match method {
        Some(method) => {
            format!("a checkpoint quantised with {} ({field})", crate::printable::printable(method))
        }
        None => field.to_owned(),
    };
    Err(FormatError::unsupported(path, what, INSTEAD_OF_QUANTIZED))
}

/// Ids that end an answer by generation_config.json, if there is one; what it asks for and does not get goes
/// to the warnings.
pub(super) fn generation_eos(dir: &Path, warnings: &mut Vec<String>) -> Result<Vec<u64>, FormatError> {
    let path = dir.join("generation_config.json");
    let Some(bytes) = read_small(&path, limits::MAX_CONFIG_FILE)? else { return Ok(Vec::new()) };
    let found: GenerationConfig = parse(&path, &bytes)?;
    warnings.extend(otherwise::unused_generation(&path, &bytes)?);
    Ok(found.eos_token_id.0)
}
