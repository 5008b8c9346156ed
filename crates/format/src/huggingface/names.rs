//! Tensor names of Qwen3-MoE checkpoints on the hub.

use crate::assemble::{Names, TensorMap};
use crate::{ExpertParts, FormatError, ModelConfig};

pub(super) struct HubNames;

impl Names for HubNames {
    fn embedding(&self) -> String {
        "model.embed_tokens.weight".to_owned()
    }

    fn output_norm(&self) -> String {
        "model.norm.weight".to_owned()
    }

    fn head(&self) -> String {
        "lm_head.weight".to_owned()
    }

    fn layer(&self, layer: usize) -> [String; 9] {
        [
            "input_layernorm",
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "self_attn.q_norm",
            "self_attn.k_norm",
            "post_attention_layernorm",
            "mlp.gate",
        ]
        .map(|name| format!("model.layers.{layer}.{name}.weight"))
    }

    fn experts(
        &self,
        map: &mut TensorMap<'_>,
        c: &ModelConfig,
        layer: usize,
    ) -> Result<Vec<ExpertParts>, FormatError> {
        let mut part = |expert: usize, name: &str, rows, cols| {
            map.matrix(&format!("model.layers.{layer}.mlp.experts.{expert}.{name}_proj.weight"), rows, cols)
        };
        (0..c.experts)
            .map(|expert| {
                Ok(ExpertParts {
                    gate: part(expert, "gate", c.expert_width, c.hidden)?,
                    up: part(expert, "up", c.expert_width, c.hidden)?,
                    down: part(expert, "down", c.hidden, c.expert_width)?,
                })
            })
            .collect()
    }
}
