//! The same model under other names and with tensors put together, as programs in the world write it.

use crate::tiny::{TinyModel, TinyTensor};

impl TinyModel {
    /// Hub tensors under other names.
    pub fn renamed(&self, rename: impl Fn(&str) -> String) -> Self {
        let mut model = self.clone();
        model.tensors.iter_mut().for_each(|tensor| tensor.name = rename(&tensor.name));
        model
    }

    /// Hub tensors with the experts of a layer in two, `gate_up_proj` and `down_proj`, as transformers 5 has them.
    pub fn hub_fused(&self) -> Self {
        self.hub_experts(|layer, [gate, up, down]| {
            let name = |part: &str| format!("model.layers.{layer}.mlp.experts.{part}");
            vec![below(name("gate_up_proj"), &gate, &up), TinyTensor { name: name("down_proj"), ..down }]
        })
    }

    /// Hub tensors with the experts of a layer in three, under the names of MLX.
    pub fn hub_stacked(&self) -> Self {
        self.hub_experts(|layer, parts| {
            let name = |part: &str| format!("model.layers.{layer}.mlp.switch_mlp.{part}_proj.weight");
            let named = parts.into_iter().zip(["gate", "up", "down"]);
            named.map(|(tensor, part)| TinyTensor { name: name(part), ..tensor }).collect()
        })
    }

    fn hub_experts(&self, of_layer: impl Fn(usize, [TinyTensor; 3]) -> Vec<TinyTensor>) -> Self {
        let mut model = self.clone();
        model.tensors.retain(|tensor| !tensor.name.contains(".mlp.experts."));
        let fused = self.fused();
        for layer in 0..self.shape.layers {
            let part = |part: &str| {
                let name = format!("blk.{layer}.ffn_{part}_exps.weight");
                fused.iter().find(|tensor| tensor.name == name).expect("every layer has experts").clone()
            };
            model.tensors.extend(of_layer(layer, [part("gate"), part("up"), part("down")]));
        }
        model
    }

    /// GGUF tensors with gate and up of a layer in one.
    pub fn gguf_gate_up(&self) -> Vec<TinyTensor> {
        let fused = self.fused();
        let mut out: Vec<TinyTensor> = Vec::new();
        for tensor in fused.iter().filter(|tensor| !tensor.name.contains("ffn_up_exps")) {
            let up = fused.iter().find(|up| up.name == tensor.name.replace("ffn_gate_exps", "ffn_up_exps"));
            match up.filter(|_| tensor.name.contains("ffn_gate_exps")) {
                Some(up) => out.push(below(tensor.name.replace("gate", "gate_up"), tensor, up)),
                None => out.push(tensor.clone()),
            }
        }
        out
    }

    /// GGUF tensors with one for each matrix of each expert, as in files of early 2024.
    pub fn gguf_per_expert(&self) -> Vec<TinyTensor> {
        let each = |tensor: TinyTensor| {
            if !tensor.name.contains("_exps") {
                return vec![tensor];
            }
            let (count, shape) = (tensor.shape[0], tensor.shape[1..].to_vec());
            let values = tensor.values.chunks(tensor.values.len() / count).enumerate();
            let one = |(e, values): (usize, &[f32])| TinyTensor {
                name: tensor.name.replace("_exps", &format!(".{e}")),
                shape: shape.clone(),
                values: values.to_vec(),
            };
            values.map(one).collect()
        };
        self.fused().into_iter().flat_map(each).collect()
    }
}

/// Of each expert the rows of one tensor, then those of the other.
fn below(name: String, one: &TinyTensor, other: &TinyTensor) -> TinyTensor {
    let [experts, rows, cols] = one.shape[..] else { unreachable!("experts lie in three dimensions") };
    let pairs = one.values.chunks(rows * cols).zip(other.values.chunks(rows * cols));
    let values = pairs.flat_map(|(one, other)| [one, other].concat()).collect();
    TinyTensor { name, shape: vec![experts, 2 * rows, cols], values }
}
