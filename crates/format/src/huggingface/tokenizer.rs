//! tokenizer.json: a byte-level BPE vocabulary of the Qwen family, and nothing else.
//!
//! Only data is taken from the file. What it says about splitting must be what is built in; a regular
//! expression from a file is never run.

use std::path::Path;

use hotset_base::limits;
use serde::Deserialize;

use super::config::parse;
use super::json::{Few, Merges, Pairs};
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
    added_tokens: Few<Added, { limits::MAX_VOCAB }>,
    pre_tokenizer: Option<PreTokenizer>,
    normalizer: Option<Kind>,
    post_processor: Option<Kind>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Pairs<u32, { limits::MAX_VOCAB }>,
    merges: Merges,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct PreTokenizer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    pretokenizers: Few<Step, 8>,
}

/// The fields of all steps in one: which of them count depends on the kind.
#[derive(Deserialize)]
struct Step {
    #[serde(rename = "type")]
    kind: String,
    pattern: Option<Pattern>,
    behavior: Option<String>,
    #[serde(default)]
    invert: bool,
    #[serde(default)]
    add_prefix_space: bool,
    /// Where it is not said, the pieces are split once more by another pattern.
    #[serde(default = "yes")]
    use_regex: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Pattern {
    #[serde(rename = "Regex")]
    regex: Option<String>,
}

/// Reads the vocabulary of a directory. `stop`: ids that end an answer by the other files.
pub(super) fn read(dir: &Path, config: &ModelConfig, stop: Vec<u64>) -> Result<TokenizerSpec, FormatError> {
    let path = dir.join("tokenizer.json");
    let bytes = read_small(&path, limits::MAX_TABLE_FILE)?
        .ok_or_else(|| FormatError::malformed(&path, "is missing: the vocabulary is read from it"))?;
    let file: File = parse(&path, &bytes)?;
    drop(bytes);
    check_kind(&path, &file)?;
    let mut vocab = vec![String::new(); config.vocab];
    let mut total = 0;
    for (text, id) in file.model.vocab.0 {
        count_token(&path, &text, &mut total)?;
        let size = config.vocab;
        let place = vocab.get_mut(id as usize).ok_or_else(|| beyond(&path, id, size))?;
        if !place.is_empty() {
            return Err(FormatError::malformed(&path, format!("two tokens have the id {id}")));
        }
        *place = text;
    }
    let added = file.added_tokens.0.into_iter().map(|token| AddedToken {
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
    specification(&path, vocab, file.model.merges.iter(), added, stop)
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
    let affixes = [&file.model.continuing_subword_prefix, &file.model.end_of_word_suffix];
    if affixes.into_iter().flatten().any(|affix| !affix.is_empty()) {
        return refuse("a prefix or suffix of words");
    }
    if file.post_processor.as_ref().is_some_and(|after| after.kind != "ByteLevel") {
        return refuse("a post-processor that may add tokens");
    }
    if file.added_tokens.0.iter().any(|token| token.single_word || token.lstrip || token.rstrip) {
        return refuse("an added token that takes its surroundings into account");
    }
    if file.normalizer.as_ref().is_some_and(|normalizer| normalizer.kind != "NFC") {
        return refuse("this normalizer");
    }
    match &file.pre_tokenizer {
        Some(PreTokenizer { kind, pretokenizers: Few(steps) }) if kind == "Sequence" => match &steps[..] {
            [split, bytes] if is_qwen2_split(split) && is_plain_byte_level(bytes) => Ok(()),
            _ => refuse("this pre-tokenizer"),
        },
        _ => refuse("this pre-tokenizer"),
    }
}

fn is_qwen2_split(step: &Step) -> bool {
    let pattern = step.pattern.as_ref().and_then(|pattern| pattern.regex.as_deref());
    step.kind == "Split"
        && pattern == Some(QWEN2_PATTERN)
        && step.behavior.as_deref() == Some("Isolated")
        && !step.invert
}

fn is_plain_byte_level(step: &Step) -> bool {
    step.kind == "ByteLevel" && !step.add_prefix_space && !step.use_regex
}
