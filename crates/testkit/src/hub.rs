//! Writing a tiny model as a Hugging Face directory.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use half::{bf16, f16};
use hotset_base::WeightType;
use serde_json::{Value, json};

use crate::tiny::{SPECIALS, TEMPLATE, TinyModel, TinyTensor};

const QWEN2_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl TinyModel {
    /// Writes config, vocabulary and `shards` safetensors files. Tensors are dealt to the shards in
    /// turn, so that almost every expert straddles them.
    pub fn write_hf(&self, dir: &Path, dtype: WeightType, shards: usize) -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        let write = |name: &str, value: &Value| std::fs::write(dir.join(name), value.to_string());
        write("config.json", &self.config())?;
        write(
            "generation_config.json",
            &json!({"eos_token_id": [self.first_special() + 2, self.first_special()]}),
        )?;
        write("tokenizer.json", &self.tokenizer())?;
        write("tokenizer_config.json", &json!({"chat_template": TEMPLATE, "eos_token": "<|im_end|>"}))?;
        if shards == 1 {
            let all: Vec<&TinyTensor> = self.tensors.iter().collect();
            return std::fs::write(dir.join("model.safetensors"), safetensors(&all, dtype));
        }
        let mut map = BTreeMap::new();
        for shard in 0..shards {
            let name = format!("model-{:05}-of-{shards:05}.safetensors", shard + 1);
            let part: Vec<&TinyTensor> = self.tensors.iter().skip(shard).step_by(shards).collect();
            map.extend(part.iter().map(|tensor| (tensor.name.clone(), name.clone())));
            std::fs::write(dir.join(&name), safetensors(&part, dtype))?;
        }
        write("model.safetensors.index.json", &json!({"metadata": {}, "weight_map": map}))
    }

    fn config(&self) -> Value {
        let s = self.shape;
        json!({
            "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
            "num_hidden_layers": s.layers, "hidden_size": s.hidden, "num_attention_heads": s.heads,
            "num_key_value_heads": s.kv_heads, "head_dim": s.head_dim, "num_experts": s.experts,
            "num_experts_per_tok": s.top_k, "moe_intermediate_size": s.expert_width,
            "vocab_size": self.vocab(), "max_position_embeddings": s.context, "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0, "norm_topk_prob": true, "tie_word_embeddings": s.tied,
            "hidden_act": "silu", "attention_bias": false, "mlp_only_layers": [], "decoder_sparse_step": 1,
            "rope_scaling": null, "eos_token_id": self.first_special() + 2,
        })
    }

    fn tokenizer(&self) -> Value {
        let vocab: BTreeMap<&str, usize> =
            self.tokens.iter().enumerate().map(|(id, t)| (t.as_str(), id)).collect();
        let added: Vec<Value> = SPECIALS
            .iter()
            .enumerate()
            .map(|(i, text)| json!({"id": self.first_special() + i, "content": text, "special": true}))
            .collect();
        json!({
            "version": "1.0", "added_tokens": added, "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
            ]},
            "model": {"type": "BPE", "vocab": vocab, "merges": self.merges},
        })
    }
}

/// The bytes of one safetensors file.
fn safetensors(tensors: &[&TinyTensor], dtype: WeightType) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for tensor in tensors {
        let begin = data.len();
        for &x in &tensor.values {
            match dtype {
                WeightType::F16 => data.extend(f16::from_f32(x).to_le_bytes()),
                WeightType::F32 => data.extend(x.to_le_bytes()),
                _ => data.extend(bf16::from_f32(x).to_le_bytes()),
            }
        }
        let entry =
            json!({"dtype": dtype.name(), "shape": tensor.shape, "data_offsets": [begin, data.len()]});
        header.insert(tensor.name.clone(), entry);
    }
    let mut json = serde_json::to_vec(&header).unwrap_or_default();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut file = (json.len() as u64).to_le_bytes().to_vec();
    file.extend(json);
    file.extend(data);
    file
}
