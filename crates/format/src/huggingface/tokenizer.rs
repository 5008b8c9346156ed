//! tokenizer.json: a byte-level BPE vocabulary of the Qwen family, and nothing else.
//!
//! Only data is taken from the file. What it says about splitting must be what is built in; a regular
//! expression from a file is never run.

use std::path::Path;

use hotset_base::limits;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::json::{Few, Merges, Pairs};
use super::parse::parse;
use crate::file::read_small;
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
    normalizer: Option<Normalizer>,
    post_processor: Option<PostProcessor>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Pairs<u32, { limits::MAX_VOCAB }>,
    merges: Merges,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    dropout: Option<f32>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
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
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    normalizers: Few<Normalizer, 8>,
}

#[derive(Deserialize)]
struct PostProcessor {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    processors: Few<PostProcessor, 8>,
    /// Of a template: what a text becomes.
    #[serde(default)]
    single: Few<Piece, 64>,
}

/// Either the text or a token that is added to it.
#[derive(Deserialize)]
struct Piece {
    #[serde(rename = "Sequence")]
    text: Option<IgnoredAny>,
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
    let unsupported = |what| FormatError::unsupported(&path, what, SUPPORTED);
    check_kind(&file).map_err(unsupported)?;
    let composes = file.normalizer.as_ref().map_or(Ok(false), composes).map_err(unsupported)?;
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
    let spec = specification(&path, vocab, file.model.merges.iter(), added, stop)?;
    Ok(TokenizerSpec { uncomposed: !composes, ..spec })
}

fn beyond(path: &Path, id: u32, vocab: usize) -> FormatError {
    FormatError::malformed(path, format!("token id {id} is beyond the model's vocabulary of {vocab}"))
}

/// What of the file is not supported, if anything is.
fn check_kind(file: &File) -> Result<(), String> {
    let model = &file.model;
    let kind = model.kind.as_deref().unwrap_or("BPE");
    if kind != "BPE" {
        return Err(named("the tokenizer model", kind));
    }
    let switches = [("byte_fallback", model.byte_fallback), ("ignore_merges", model.ignore_merges)];
    if let Some((name, _)) = switches.iter().find(|(_, on)| *on == Some(true)) {
        return Err(named("the tokenizer setting", name));
    }
    if model.dropout.is_some_and(|share| share != 0.0) {
        return Err(named("the tokenizer setting", "dropout"));
    }
    let affixes = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
    if affixes.into_iter().flatten().any(|affix| !affix.is_empty()) {
        return Err("a prefix or suffix of words".to_owned());
    }
    file.post_processor.as_ref().map_or(Ok(()), adds_nothing)?;
    if file.added_tokens.0.iter().any(|token| token.single_word || token.lstrip || token.rstrip) {
        return Err("an added token that takes its surroundings into account".to_owned());
    }
    match &file.pre_tokenizer {
        None => Err("a vocabulary without a pre-tokenizer".to_owned()),
        Some(PreTokenizer { kind, pretokenizers: Few(steps) }) if kind == "Sequence" => match &steps[..] {
            [split, bytes] if is_qwen2_split(split) && is_plain_byte_level(bytes) => Ok(()),
            steps => {
                let kinds: Vec<&str> = steps.iter().map(|step| step.kind.as_str()).collect();
                Err(named("with its settings, the pre-tokenizer", &kinds.join(", ")))
            }
        },
        Some(PreTokenizer { kind, .. }) => Err(named("the pre-tokenizer", kind)),
    }
}

fn named(what: &str, name: &str) -> String {
    format!("{what} `{}`", crate::printable::printable(name))
}

/// Whether the normalizer puts texts into NFC; none at all leaves them as they are.
fn composes(normalizer: &Normalizer) -> Result<bool, String> {
    match normalizer.kind.as_str() {
        "NFC" => Ok(true),
        "Sequence" => normalizer.normalizers.0.iter().try_fold(false, |any, one| Ok(composes(one)? | any)),
        other => Err(named("the normalizer", other)),
    }
}

/// Refuses what adds tokens to a text. The byte level's only moves offsets, which nobody here asks for.
fn adds_nothing(after: &PostProcessor) -> Result<(), String> {
    match after.kind.as_str() {
        "ByteLevel" => Ok(()),
        "Sequence" => after.processors.0.iter().try_for_each(adds_nothing),
        "TemplateProcessing" if matches!(&after.single.0[..], [Piece { text: Some(_) }]) => Ok(()),
        other => Err(format!("{}, which may add tokens,", named("the post-processor", other))),
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
