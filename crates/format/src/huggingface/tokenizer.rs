//! tokenizer.json: a byte-level BPE vocabulary of the Qwen family, and nothing else.
//!
//! Only data is taken from the file. What it says about splitting must be what is built in; a regular
//! expression from a file is never run.

use std::collections::HashMap;
use std::path::Path;

use hotset_base::limits;
use serde::Deserialize;

use super::config::parse;
use crate::files::read_small;
use crate::vocabulary::{count_token, specification};
use crate::{AddedToken, FormatError, ModelConfig, TokenizerSpec};

/// The pre-tokenizer of the Qwen2 and Qwen3 families, as their tokenizer.json spells it.
const QWEN2_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SUPPORTED: &str = "byte-level BPE with the qwen2 pre-tokenizer";

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
    pre_tokenizer: Option<PreTokenizer>,
    normalizer: Option<Kind>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Joined(String),
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PreTokenizer {
    Sequence {
        pretokenizers: Vec<PreTokenizer>,
    },
    Split {
        pattern: Pattern,
        behavior: String,
    },
    ByteLevel {
        #[serde(default)]
        add_prefix_space: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
enum Pattern {
    Regex(String),
    String(serde::de::IgnoredAny),
}

/// Reads the vocabulary of a directory.
pub(super) fn read(dir: &Path, config: &ModelConfig) -> Result<TokenizerSpec, FormatError> {
    let path = dir.join("tokenizer.json");
    let bytes = read_small(&path, limits::MAX_TABLE_FILE)?
        .ok_or_else(|| FormatError::malformed(&path, "is missing: the vocabulary is read from it"))?;
    let file: File = parse(&path, &bytes)?;
    drop(bytes);
    check_kind(&path, &file)?;
    let mut vocab = vec![String::new(); config.vocab];
    let mut total = 0;
    for (text, id) in file.model.vocab {
        count_token(&path, &text, &mut total)?;
        let size = config.vocab;
        let place = vocab.get_mut(id as usize).ok_or_else(|| beyond(&path, id, size))?;
        if !place.is_empty() {
            return Err(FormatError::malformed(&path, format!("two tokens have the id {id}")));
        }
        *place = text;
    }
    let added = file.added_tokens.into_iter().map(|token| AddedToken {
        id: token.id,
        content: token.content,
        special: token.special,
    });
    let added: Vec<AddedToken> = added.collect();
    for token in &added {
        count_token(&path, &token.content, &mut total)?;
        let size = config.vocab;
        // An added token may be listed in the vocabulary too; as an added token it is matched whole.
        vocab.get_mut(token.id as usize).ok_or_else(|| beyond(&path, token.id, size))?.clear();
    }
    let merges = file.model.merges.iter().map(|merge| match merge {
        Merge::Pair(left, right) => (left.as_str(), right.as_str()),
        Merge::Joined(text) => text.split_once(' ').unwrap_or((text, "")),
    });
    specification(&path, vocab, merges, added, Vec::new())
}

fn beyond(path: &Path, id: u32, vocab: usize) -> FormatError {
    FormatError::malformed(path, format!("token id {id} is beyond the model's vocabulary of {vocab}"))
}

fn check_kind(path: &Path, file: &File) -> Result<(), FormatError> {
    let refuse = |what: &str| Err(FormatError::unsupported(path, what, SUPPORTED));
    if file.model.kind.as_deref().unwrap_or("BPE") != "BPE"
        || file.model.byte_fallback
        || file.model.ignore_merges
    {
        return refuse("this tokenizer model");
    }
    if file.normalizer.as_ref().is_some_and(|normalizer| normalizer.kind != "NFC") {
        return refuse("this normalizer");
    }
    let Some(PreTokenizer::Sequence { pretokenizers }) = &file.pre_tokenizer else {
        return refuse("this pre-tokenizer");
    };
    match pretokenizers.as_slice() {
        [
            PreTokenizer::Split { pattern: Pattern::Regex(pattern), behavior },
            PreTokenizer::ByteLevel { add_prefix_space: false },
        ] if pattern == QWEN2_PATTERN && behavior == "Isolated" => Ok(()),
        _ => refuse("this pre-tokenizer"),
    }
}
