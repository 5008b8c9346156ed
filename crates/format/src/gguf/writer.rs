//! Writing a GGUF file of version 3: complete under its name or not there.

use hotset_base::{Bytes, WeightType};
use hotset_outputs::{OutputError, PartialFile};

use super::keys::{
    ARCHITECTURE, ARCHITECTURE_KEY, CONTROL, MERGES, MODEL_KEY, NAME_KEY, NORMAL, PRE_KEY, TEMPLATE_KEY,
    TOKEN_TYPES, TOKENS, UNUSED, USER_DEFINED,
};
use crate::{ModelConfig, TokenizerSpec};

const ALIGNMENT: u64 = 32;
/// `gguf_metadata_value_type`
const UINT32: u32 = 4;
const INT32: u32 = 5;
const FLOAT32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Key-value pairs as the file has them.
#[derive(Clone, Debug, Default)]
pub struct GgufPairs {
    count: u64,
    bytes: Vec<u8>,
}

impl GgufPairs {
    /// What every reader of a `qwen3moe` file needs: shape, vocabulary, chat template.
    pub fn of_model(config: &ModelConfig, tokenizer: &TokenizerSpec, chat_template: Option<&str>) -> Self {
        let mut pairs = Self::default();
        pairs.text(ARCHITECTURE_KEY, ARCHITECTURE);
        pairs.text(NAME_KEY, &config.name);
        let numbers = [
            ("block_count", config.layers),
            ("context_length", config.context),
            ("embedding_length", config.hidden),
            // A dense model's key; readers want it although no layer is dense.
            ("feed_forward_length", config.top_k * config.expert_width),
            ("attention.head_count", config.heads),
            ("attention.head_count_kv", config.kv_heads),
            ("attention.key_length", config.head_dim),
            ("attention.value_length", config.head_dim),
            ("expert_count", config.experts),
            ("expert_used_count", config.top_k),
            ("expert_feed_forward_length", config.expert_width),
            ("vocab_size", config.vocab),
        ];
        for (key, value) in numbers {
            pairs.number(&format!("{}.{key}", ARCHITECTURE), value as u32);
        }
        pairs.float(&format!("{}.attention.layer_norm_rms_epsilon", ARCHITECTURE), config.rms_eps);
        pairs.float(&format!("{}.rope.freq_base", ARCHITECTURE), config.rope_theta);
        pairs.vocabulary(config.vocab, tokenizer);
        if let Some(template) = chat_template {
            pairs.text(TEMPLATE_KEY, template);
        }
        pairs
    }

    fn vocabulary(&mut self, rows: usize, spec: &TokenizerSpec) {
        self.text(MODEL_KEY, "gpt2");
        self.text(PRE_KEY, "qwen2");
        let mut tokens = spec.vocab.clone();
        tokens.resize(rows, String::new());
        let mut types = vec![NORMAL; rows];
        for token in &spec.added {
            tokens[token.id as usize].clone_from(&token.content);
            types[token.id as usize] = if token.special { CONTROL } else { USER_DEFINED };
        }
        for (id, token) in tokens.iter_mut().enumerate().filter(|(_, token)| token.is_empty()) {
            *token = format!("[PAD{id}]");
            types[id] = UNUSED;
        }
        let merge = |&(left, right): &(u32, u32)| {
            format!("{} {}", spec.vocab[left as usize], spec.vocab[right as usize])
        };
        let merges: Vec<String> = spec.merges.iter().map(merge).collect();
        self.texts(TOKENS, &tokens);
        self.numbers(TOKEN_TYPES, &types);
        self.texts(MERGES, &merges);
        if let Some(&stop) = spec.stop.last() {
            self.number("tokenizer.ggml.eos_token_id", stop);
        }
        self.flag("tokenizer.ggml.add_bos_token", false);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The pairs' bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn pair(&mut self, key: &str, kind: u32) {
        self.count += 1;
        push_string(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
    }

    /// A pair with a 32-bit number.
    pub fn number(&mut self, key: &str, value: u32) {
        self.pair(key, UINT32);
        self.bytes.extend(value.to_le_bytes());
    }

    /// A pair with a float.
    pub fn float(&mut self, key: &str, value: f32) {
        self.pair(key, FLOAT32);
        self.bytes.extend(value.to_le_bytes());
    }

    /// A pair with a truth value.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.pair(key, BOOL);
        self.bytes.push(u8::from(value));
    }

    /// A pair with a string.
    pub fn text(&mut self, key: &str, value: &str) {
        self.pair(key, STRING);
        push_string(&mut self.bytes, value);
    }

    /// A pair with an array of strings.
    pub fn texts(&mut self, key: &str, values: &[String]) {
        self.array(key, STRING, values.len());
        values.iter().for_each(|value| push_string(&mut self.bytes, value));
    }

    /// A pair with an array of signed numbers.
    pub fn numbers(&mut self, key: &str, values: &[i32]) {
        self.array(key, INT32, values.len());
        values.iter().for_each(|value| self.bytes.extend(value.to_le_bytes()));
    }

    fn array(&mut self, key: &str, kind: u32, len: usize) {
        self.pair(key, ARRAY);
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((len as u64).to_le_bytes());
    }
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Name and shape of a tensor to be written.
#[derive(Clone, Debug)]
pub struct GgufTensor {
    /// Its name in the file.
    pub name: String,
    /// Innermost dimension first: the length of a row, rows, and for fused experts their number.
    pub dims: Vec<u64>,
    /// Weight type; rows must be whole blocks of it.
    pub ty: WeightType,
}

/// The header and the place of every tensor, computed from shapes alone.
#[derive(Clone, Debug)]
pub struct GgufLayout {
    header: Vec<u8>,
    /// Offset in the file and bytes.
    places: Vec<(u64, u64)>,
    file_bytes: u64,
}

impl GgufLayout {
    /// Lays out a file with these tensors in this order.
    ///
    /// # Panics
    /// If a row is not whole blocks of its type, or there are more than 2^64 bytes: both are the
    /// caller's arithmetic, not a file's.
    pub fn new(pairs: &GgufPairs, tensors: &[GgufTensor]) -> Self {
        let mut header = b"GGUF".to_vec();
        header.extend(3u32.to_le_bytes());
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend(pairs.count.to_le_bytes());
        header.extend(&pairs.bytes);
        let (mut sizes, mut at) = (Vec::new(), 0u64);
        for tensor in tensors {
            push_string(&mut header, &tensor.name);
            header.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| header.extend(dim.to_le_bytes()));
            header.extend(tensor.ty.ggml_id().to_le_bytes());
            header.extend(at.to_le_bytes());
            let row = tensor.ty.row_bytes(tensor.dims[0] as usize).expect("rows are whole blocks");
            let bytes = row.0 * tensor.dims[1..].iter().product::<u64>();
            sizes.push((at, bytes));
            at = (at + bytes).next_multiple_of(ALIGNMENT);
        }
        header.resize(header.len().next_multiple_of(ALIGNMENT as usize), 0);
        let data = header.len() as u64;
        let places = sizes.into_iter().map(|(at, bytes)| (data + at, bytes)).collect();
        Self { header, places, file_bytes: data + at }
    }

    /// Length of the finished file.
    pub fn file_bytes(&self) -> Bytes {
        Bytes(self.file_bytes)
    }
}

/// A GGUF file being written. Bytes of tensors may be written from several threads and in any order;
/// dropping the writer before [`GgufWriter::finish`] removes what was written.
pub struct GgufWriter {
    file: PartialFile,
    layout: GgufLayout,
}

impl GgufWriter {
    /// Begins the file in one that was claimed for it.
    pub fn create(file: PartialFile, layout: GgufLayout) -> Result<Self, OutputError> {
        file.resize(layout.file_bytes)?;
        Ok(Self { file, layout })
    }

    /// Writes bytes of the `tensor`-th tensor of the layout, beginning at its byte `at`.
    ///
    /// # Panics
    /// If they do not lie in the tensor.
    pub fn write(&self, tensor: usize, at: u64, bytes: &[u8]) -> Result<(), OutputError> {
        let (offset, room) = self.layout.places[tensor];
        assert!(at + bytes.len() as u64 <= room, "tensor {tensor} has {room} bytes");
        self.file.write_at(bytes, offset + at)
    }

    /// Writes the header, makes everything durable and gives the file its name.
    pub fn finish(self) -> Result<(), OutputError> {
        self.file.write_at(&self.layout.header, 0)?;
        self.file.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotset_outputs::{FileKind, Force, Outputs, PARTIAL_MARK};

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let (target, partial) = (dir.path().join("m.gguf"), dir.path().join("m.gguf.partial"));
        let mut pairs = GgufPairs::default();
        pairs.text("a", "b");
        pairs.flag("c", true);
        let tensor =
            |name: &str| GgufTensor { name: name.to_owned(), dims: vec![32, 3], ty: WeightType::Q8_0 };
        let layout = GgufLayout::new(&pairs, &[tensor("x"), tensor("y")]);
        let claim = || Outputs::new(Force::No).claim_new(FileKind::Gguf, &target);
        let write = || {
            let writer = GgufWriter::create(claim().unwrap(), layout.clone()).unwrap();
            writer.write(1, 34, &[7; 68]).unwrap();
            writer
        };
        let writer = write();
        assert!(matches!(claim(), Err(OutputError::Locked { .. })));
        assert_eq!(std::fs::read(&partial).unwrap()[..8], PARTIAL_MARK, "no header before the end");
        drop(writer);
        assert!(!target.exists() && !partial.exists());
        write().finish().unwrap();
        let bytes = std::fs::read(&target).unwrap();
        assert!(bytes.starts_with(b"GGUF\x03\0\0\0\x02\0\0\0") && !partial.exists());
        assert_eq!(bytes.len() as u64, layout.file_bytes().0);
        // Tensors of 102 bytes, each rounded up to 128.
        let end = bytes.len();
        assert_eq!((bytes[end - 95], bytes[end - 94], bytes[end - 27], bytes[end - 26]), (0, 7, 7, 0));
    }
}
