//! Text to ids and back, as Hugging Face's fast tokenizer does it for the Qwen2 family.
//!
//! A text goes through [`AddedTokens`], `Composer` (NFC), `Words` (the pattern) and `LongWord` (merging), a character
//! at a time: none of them holds the text, a line or a word of it.

use std::ops::ControlFlow;

use hotset_base::Bytes;
use hotset_format::TokenizerSpec;

use crate::added::AddedTokens;
use crate::char_class::Classes;
use crate::encoder::Encoder;
use crate::long_word::Vocabulary;
use crate::merges::Merges;
use crate::token_table::TokenTable;

/// How text is cut before byte-pair merging: the pattern published with the Qwen2 and Qwen3
/// tokenizers. Never taken from a file: a pattern is a program, and a bad one takes forever.
pub const QWEN2_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Why a vocabulary or a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the fields are named by the messages
pub enum TokenizerError {
    /// More ids than the project supports.
    #[error("vocabulary has {found} tokens, at most {limit} are supported")]
    TooManyTokens { found: usize, limit: usize },
    /// More merges than the project supports.
    #[error("tokenizer has {found} merges, at most {limit} are supported")]
    TooManyMerges { found: usize, limit: usize },
    /// One token is too long.
    #[error("token {id} has {bytes} bytes, at most {limit} are supported")]
    TokenTooLong { id: usize, bytes: usize, limit: usize },
    /// All tokens together are too long.
    #[error("the texts of the vocabulary exceed {limit}")]
    VocabTooLarge { limit: Bytes },
    /// The added tokens together are too long.
    #[error("the added tokens hold {bytes} of text, at most {limit} are supported")]
    AddedTooLarge { bytes: Bytes, limit: Bytes },
    /// Two added tokens claim one id.
    #[error("added token {id} is defined twice")]
    AddedTwice { id: u32 },
    /// Two ids have one text, so encoding would be ambiguous.
    #[error("tokens {first} and {second} have the same text")]
    SameText { first: u32, second: usize },
    /// A byte of UTF-8 that no token can express would vanish from the prompt.
    #[error("vocabulary has no token for byte 0x{byte:02X}")]
    MissingByte { byte: u8 },
    /// A merge names an id that has no text.
    #[error("merge {rank} uses token {id}, which does not exist")]
    MergeOutside { rank: usize, id: u32 },
    /// A merge makes a token that is not in the vocabulary.
    #[error("merge {rank} joins tokens {left} and {right} into a text that is no token")]
    MergeUnknown { rank: usize, left: u32, right: u32 },
    /// The text is too long.
    #[error("the text is longer than the {limit} that are supported")]
    TextTooLong { limit: Bytes },
    /// What has to be held of the text does not end.
    #[error("the text has more than {limit} different combining marks or spaces in a row")]
    TooManyChanges { limit: usize },
    /// Tokens depend on text too far behind them.
    #[error("the text has a word whose tokens can not be told from {window} of it")]
    Uncuttable { window: Bytes },
    /// The added tokens could not be made into a matcher.
    #[error("the added tokens can not be searched for: {0}")]
    Library(String),
}

/// A byte-level BPE tokenizer: NFC (unless the vocabulary goes without), added tokens, [`QWEN2_PATTERN`], merges. It adds no token of
/// its own to a text.
pub struct Tokenizer {
    pub(crate) added: AddedTokens,
    pub(crate) classes: Classes,
    pub(crate) vocabulary: Vocabulary,
    /// Whether texts are put into NFC.
    pub(crate) composes: bool,
    /// Sorted.
    stop: Vec<u32>,
}

impl Tokenizer {
    /// Checks `spec` completely and builds the tokenizer. Source of the data: tokenizer.json,
    /// GGUF metadata or a store, through `hotset-format`.
    pub fn new(spec: &TokenizerSpec) -> Result<Self, TokenizerError> {
        let table = TokenTable::new(spec)?;
        let added = AddedTokens::new(&spec.added)?;
        let mut stop = spec.stop.clone();
        stop.sort_unstable();
        let vocabulary = Vocabulary::new(Merges::new(spec)?, table);
        Ok(Self { added, classes: Classes::new(), vocabulary, composes: !spec.uncomposed, stop })
    }

    /// The ids of `text`; nothing is added. With `parse_special` the texts of control tokens
    /// become those tokens: for rendered chat templates. Without it they are ordinary characters,
    /// so that text from outside can not end a turn or open another; added tokens that are not
    /// control tokens are matched either way, as by the reference's `split_special_tokens`.
    pub fn encode(&self, text: &str, parse_special: bool) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        let mut keep = |id| {
            ids.push(id);
            ControlFlow::Continue(())
        };
        let mut encoder = self.encoder(parse_special);
        let _ = encoder.push(text, &mut keep)?;
        let _ = encoder.finish(&mut keep)?;
        Ok(ids)
    }

    /// The same for a text that comes in pieces, without holding it.
    pub fn encoder(&self, parse_special: bool) -> Encoder<'_> {
        Encoder::new(self, parse_special)
    }

    /// The bytes `id` stands for: part of a character, several words, the text of an added token;
    /// empty for an unused or unknown id.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.vocabulary.table.bytes(id)
    }

    /// Whether `id` is a control token, which is not printed.
    pub fn is_special(&self, id: u32) -> bool {
        self.vocabulary.table.is_special(id)
    }

    /// Whether `id` ends an answer.
    pub fn is_stop(&self, id: u32) -> bool {
        self.stop.binary_search(&id).is_ok()
    }

    /// The ids that end an answer, in order.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stop
    }

    /// Number of ids, unused ones included; a model's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.table.len()
    }

    /// The id of an added token's exact text, control token or not (`<|im_end|>`, `<think>`).
    pub fn special_id(&self, content: &str) -> Option<u32> {
        self.added.id(content)
    }

    /// The text of `ids`; what is not UTF-8 becomes U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let shown = ids.iter().filter(|&&id| !(skip_special && self.is_special(id)));
        let bytes: Vec<u8> = shown.flat_map(|&id| self.token_bytes(id)).copied().collect();
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}
