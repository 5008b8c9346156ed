//! Writing GGUF files: a tiny model's, and hostile ones piece by piece.

use std::io;
use std::path::Path;

use hotset_base::WeightType;
use hotset_format::gguf::GgufPairs;
use hotset_kernels::quantize_row;

use crate::tiny::{SPECIALS, TEMPLATE, TinyModel, TinyTensor};

const ALIGNMENT: usize = 32;

/// A file under construction. Nothing is checked: counts, types and offsets are what the test says.
#[derive(Clone, Debug, Default)]
pub struct GgufBuilder {
    /// Number of pairs that the header will declare.
    pub pairs: u64,
    /// Number of tensors that the header will declare.
    pub tensors: u64,
    /// Format version.
    pub version: u32,
    metadata: Vec<u8>,
    table: Vec<u8>,
    data: Vec<u8>,
}

impl GgufBuilder {
    /// An empty file of version 3.
    pub fn new() -> Self {
        Self { version: 3, ..Self::default() }
    }

    /// Appends raw bytes to the metadata.
    pub fn raw_metadata(&mut self, bytes: &[u8]) {
        self.metadata.extend(bytes);
    }

    /// Appends raw bytes to the tensor table.
    pub fn raw_table(&mut self, bytes: &[u8]) {
        self.table.extend(bytes);
    }

    /// The pairs a sound file has, written by the real writer.
    fn add(&mut self, add: impl FnOnce(&mut GgufPairs)) {
        let mut pairs = GgufPairs::default();
        add(&mut pairs);
        self.pairs += pairs.count();
        self.metadata.extend(pairs.bytes());
    }

    /// A pair with a 32-bit number.
    pub fn number(&mut self, key: &str, value: u32) {
        self.add(|pairs| pairs.number(key, value));
    }

    /// A pair with a float.
    pub fn float(&mut self, key: &str, value: f32) {
        self.add(|pairs| pairs.float(key, value));
    }

    /// A pair with a truth value.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.add(|pairs| pairs.flag(key, value));
    }

    /// A pair with a string.
    pub fn text(&mut self, key: &str, value: &str) {
        self.add(|pairs| pairs.text(key, value));
    }

    /// A pair with an array of strings.
    pub fn texts(&mut self, key: &str, values: &[String]) {
        self.add(|pairs| pairs.texts(key, values));
    }

    /// A pair with an array of signed numbers.
    pub fn numbers(&mut self, key: &str, values: &[i32]) {
        self.add(|pairs| pairs.numbers(key, values));
    }

    /// A table entry; `dims` innermost first.
    pub fn entry(&mut self, name: &str, dims: &[u64], kind: u32, offset: u64) {
        self.tensors += 1;
        push_string(&mut self.table, name);
        self.table.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|dim| self.table.extend(dim.to_le_bytes()));
        self.table.extend(kind.to_le_bytes());
        self.table.extend(offset.to_le_bytes());
    }

    /// A tensor with its bytes; `dims` innermost first.
    pub fn tensor(&mut self, name: &str, dims: &[u64], ty: WeightType, bytes: &[u8]) {
        self.data.resize(self.data.len().next_multiple_of(ALIGNMENT), 0);
        let offset = self.data.len() as u64;
        self.entry(name, dims, ty.ggml_id(), offset);
        self.data.extend(bytes);
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.tensors.to_le_bytes());
        out.extend(self.pairs.to_le_bytes());
        out.extend(&self.metadata);
        out.extend(&self.table);
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        out.extend(&self.data);
        out
    }
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl TinyModel {
    /// Writes one GGUF file, or `splits` of them named by the convention beside `path`. `ty_of` gives
    /// the type of a tensor by its GGUF name; norms and routers are F32 as in published files.
    ///
    /// # Errors
    /// Writing, or a type that cannot be quantised to.
    pub fn write_gguf(
        &self,
        path: &Path,
        ty_of: &dyn Fn(&str) -> WeightType,
        splits: usize,
    ) -> io::Result<()> {
        let tensors = self.fused();
        for part in 0..splits {
            let mut file = GgufBuilder::new();
            if part == 0 {
                self.metadata(&mut file);
            }
            if splits > 1 {
                file.number("split.no", part as u32);
                file.number("split.count", splits as u32);
                file.number("split.tensors.count", tensors.len() as u32);
            }
            for tensor in tensors.iter().skip(part).step_by(splits) {
                let ty = if is_small(tensor) { WeightType::F32 } else { ty_of(&tensor.name) };
                file.tensor(&tensor.name, &dims(tensor), ty, &quantized(tensor, ty)?);
            }
            std::fs::write(split_path(path, part, splits), file.bytes())?;
        }
        Ok(())
    }

    /// A whole file of these tensors, with the usual pairs and what `change` adds.
    ///
    /// # Errors
    /// A type that cannot be quantised to.
    pub fn gguf_of(
        &self,
        tensors: &[TinyTensor],
        ty: WeightType,
        change: &dyn Fn(&mut GgufBuilder),
    ) -> io::Result<Vec<u8>> {
        let mut file = GgufBuilder::new();
        self.metadata(&mut file);
        change(&mut file);
        for tensor in tensors {
            let ty = if is_small(tensor) { WeightType::F32 } else { ty };
            file.tensor(&tensor.name, &dims(tensor), ty, &quantized(tensor, ty)?);
        }
        Ok(file.bytes())
    }

    /// The pairs a published file has.
    pub fn metadata(&self, file: &mut GgufBuilder) {
        let s = self.shape;
        file.text("general.architecture", "qwen3moe");
        file.text("general.name", "tiny");
        let numbers = [
            ("block_count", s.layers),
            ("context_length", s.context),
            ("embedding_length", s.hidden),
            ("attention.head_count", s.heads),
            ("attention.head_count_kv", s.kv_heads),
            ("attention.key_length", s.head_dim),
            ("attention.value_length", s.head_dim),
            ("expert_count", s.experts),
            ("expert_used_count", s.top_k),
            ("expert_feed_forward_length", s.expert_width),
        ];
        for (key, value) in numbers {
            file.number(&format!("qwen3moe.{key}"), value as u32);
        }
        file.float("qwen3moe.attention.layer_norm_rms_epsilon", 1e-6);
        file.float("qwen3moe.rope.freq_base", 10_000.0);
        file.text("tokenizer.ggml.model", "gpt2");
        file.text("tokenizer.ggml.pre", "qwen2");
        let (tokens, types) = self.gguf_tokens();
        file.texts("tokenizer.ggml.tokens", &tokens);
        file.numbers("tokenizer.ggml.token_type", &types);
        let merges: Vec<String> = self.merges.iter().map(|(a, b)| format!("{a} {b}")).collect();
        file.texts("tokenizer.ggml.merges", &merges);
        file.number("tokenizer.ggml.eos_token_id", self.first_special() as u32 + 2);
        file.text("tokenizer.chat_template", TEMPLATE);
    }

    /// Texts and types of the tokens.
    pub fn gguf_tokens(&self) -> (Vec<String>, Vec<i32>) {
        let (normal, control, unused) = (1, 3, 5);
        let mut tokens = self.tokens.clone();
        let mut types = vec![normal; tokens.len()];
        for special in SPECIALS {
            tokens.push(special.to_owned());
            types.push(control);
        }
        while tokens.len() < self.vocab() {
            tokens.push(format!("[PAD{}]", tokens.len()));
            types.push(unused);
        }
        (tokens, types)
    }

    /// Tensors under their GGUF names, the experts of a layer fused.
    pub fn fused(&self) -> Vec<TinyTensor> {
        let mut out: Vec<TinyTensor> = Vec::new();
        for tensor in &self.tensors {
            let (name, is_expert) = gguf_name(&tensor.name);
            match out.iter_mut().find(|known| known.name == name) {
                Some(fused) => {
                    fused.shape[0] += 1;
                    fused.values.extend(&tensor.values);
                }
                None => {
                    let mut shape = tensor.shape.clone();
                    if is_expert {
                        shape.insert(0, 1);
                    }
                    out.push(TinyTensor { name, shape, values: tensor.values.clone() });
                }
            }
        }
        out
    }
}

/// Path of one part, as llama.cpp names them.
fn split_path(path: &Path, part: usize, splits: usize) -> std::path::PathBuf {
    if splits == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    path.with_file_name(format!("{stem}-{:05}-of-{splits:05}.gguf", part + 1))
}

/// Norms and routers.
fn is_small(tensor: &TinyTensor) -> bool {
    tensor.shape.len() == 1 || tensor.name.contains("ffn_gate_inp")
}

/// Innermost first.
fn dims(tensor: &TinyTensor) -> Vec<u64> {
    tensor.shape.iter().rev().map(|&n| n as u64).collect()
}

fn quantized(tensor: &TinyTensor, ty: WeightType) -> io::Result<Vec<u8>> {
    let cols = *tensor.shape.last().unwrap_or(&1);
    let row_bytes = ty.row_bytes(cols).ok_or_else(|| io::Error::other("rows are not whole blocks"))?.index();
    let mut out = vec![0; tensor.values.len() / cols * row_bytes];
    for (row, out) in tensor.values.chunks_exact(cols).zip(out.chunks_exact_mut(row_bytes)) {
        quantize_row(ty, row, out).map_err(io::Error::other)?;
    }
    Ok(out)
}

/// GGUF name of a hub tensor, and whether it is one expert's part of a fused tensor.
fn gguf_name(name: &str) -> (String, bool) {
    let plain = [
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.norm.weight", "output_norm.weight"),
        ("lm_head.weight", "output.weight"),
    ];
    if let Some((_, gguf)) = plain.iter().find(|(hub, _)| *hub == name) {
        return ((*gguf).to_owned(), false);
    }
    let rest = name.trim_start_matches("model.layers.");
    let (layer, rest) = rest.split_once('.').unwrap_or((rest, ""));
    let in_layer = [
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate", "ffn_gate_inp"),
    ];
    let kind = rest.trim_end_matches(".weight");
    match in_layer.iter().find(|(hub, _)| *hub == kind) {
        Some((_, gguf)) => (format!("blk.{layer}.{gguf}.weight"), false),
        None => {
            let part = kind.rsplit('.').next().unwrap_or_default().trim_end_matches("_proj");
            (format!("blk.{layer}.ffn_{part}_exps.weight"), true)
        }
    }
}
