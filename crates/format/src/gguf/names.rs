//! Tensor names of `qwen3moe` files. The experts of a layer are fused: `[experts, rows, cols]`.

use hotset_base::{Bytes, Extent};

use crate::assemble::{Names, TensorMap};
use crate::{ExpertParts, FormatError, ModelConfig, TensorSlice};

pub(super) struct GgufNames;

impl Names for GgufNames {
    fn embedding(&self) -> String {
        "token_embd.weight".to_owned()
    }

    fn output_norm(&self) -> String {
        "output_norm.weight".to_owned()
    }

    fn head(&self) -> String {
        "output.weight".to_owned()
    }

    fn layer(&self, layer: usize) -> [String; 9] {
        [
            "attn_norm",
            "attn_q",
            "attn_k",
            "attn_v",
            "attn_output",
            "attn_q_norm",
            "attn_k_norm",
            "ffn_norm",
            "ffn_gate_inp",
        ]
        .map(|name| format!("blk.{layer}.{name}.weight"))
    }

    fn experts(
        &self,
        map: &mut TensorMap<'_>,
        c: &ModelConfig,
        layer: usize,
    ) -> Result<Vec<ExpertParts>, FormatError> {
        let mut fused = |name: &str, rows: usize, cols: usize| {
            let name = format!("blk.{layer}.ffn_{name}_exps.weight");
            let whole = map.take(&name, &[c.experts, rows, cols])?;
            let each = whole.extent.bytes.0 / c.experts as u64;
            Ok::<_, FormatError>(move |expert: usize| TensorSlice {
                extent: Extent {
                    offset: whole.extent.offset + expert as u64 * each,
                    bytes: Bytes(each),
                    ..whole.extent
                },
                ty: whole.ty,
                rows,
                cols,
                crc: None,
            })
        };
        let gate = fused("gate", c.expert_width, c.hidden)?;
        let up = fused("up", c.expert_width, c.hidden)?;
        let down = fused("down", c.hidden, c.expert_width)?;
        Ok((0..c.experts).map(|e| ExpertParts { gate: gate(e), up: up(e), down: down(e) }).collect())
    }
}
