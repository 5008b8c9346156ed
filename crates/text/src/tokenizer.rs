//! Text to ids and back, as Hugging Face's fast tokenizer does it for the Qwen2 family.

use hotset_base::Bytes;
use hotset_base::limits::{MAX_PROMPT, MAX_VOCAB};
use hotset_format::TokenizerSpec;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    SplitDelimiterBehavior,
};

use crate::added::{AddedTokens, Part};
use crate::byte_level;
use crate::cuts;
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
    #[error("text has {bytes}, at most {limit} are supported")]
    TextTooLong { bytes: Bytes, limit: Bytes },
    /// The text has no word or line boundary for too long.
    #[error("text has no word or line boundary within {limit} after byte {at}")]
    Unbroken { at: usize, limit: Bytes },
    /// The tokenizers library failed.
    #[error("tokenizer failed: {0}")]
    Library(String),
}

/// A byte-level BPE tokenizer: NFC, added tokens, [`QWEN2_PATTERN`], merges. It adds no token of
/// its own to a text.
pub struct Tokenizer {
    added: AddedTokens,
    pattern: Split,
    bytes: ByteLevel,
    model: BPE,
    table: TokenTable,
    /// Sorted.
    stop: Vec<u32>,
}

impl Tokenizer {
    /// Checks `spec` completely and builds the tokenizer. Source of the data: tokenizer.json,
    /// GGUF metadata or a store, through `hotset-format`.
    pub fn new(spec: &TokenizerSpec) -> Result<Self, TokenizerError> {
        let table = TokenTable::new(spec)?;
        let added = AddedTokens::new(&spec.added)?;
        let pattern = Split::new(
            SplitPattern::Regex(QWEN2_PATTERN.to_owned()),
            SplitDelimiterBehavior::Isolated,
            false,
        )
        .map_err(library)?;
        let bytes = ByteLevel::new(false, false, false);
        let mut stop = spec.stop.clone();
        stop.sort_unstable();
        Ok(Self { added, pattern, bytes, model: model(spec)?, table, stop })
    }

    /// The ids of `text`; nothing is added. With `parse_special` the texts of control tokens
    /// become those tokens: for rendered chat templates. Without it they are ordinary characters,
    /// so that text from outside can not end a turn or open another; added tokens that are not
    /// control tokens are matched either way, as by the reference's `split_special_tokens`.
    pub fn encode(&self, text: &str, parse_special: bool) -> Result<Vec<u32>, TokenizerError> {
        let length = Bytes(text.len() as u64);
        if length > MAX_PROMPT {
            return Err(TokenizerError::TextTooLong { bytes: length, limit: MAX_PROMPT });
        }
        let mut ids = Vec::new();
        for part in self.added.split(text, parse_special) {
            match part {
                Part::Token(id) => ids.push(id),
                Part::Text(part) => self.encode_part(part, &mut ids)?,
            }
        }
        Ok(ids)
    }

    fn encode_part(&self, part: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let mut rest = part;
        while !rest.is_empty() {
            let Some(end) = cuts::first_piece(rest) else {
                let (at, limit) = (part.len() - rest.len(), Bytes(cuts::LONGEST as u64));
                return Err(TokenizerError::Unbroken { at, limit });
            };
            let (piece, tail) = rest.split_at(end);
            self.encode_piece(piece, ids).map_err(library)?;
            rest = tail;
        }
        Ok(())
    }

    fn encode_piece(&self, piece: &str, ids: &mut Vec<u32>) -> tokenizers::Result<()> {
        let mut text = NormalizedString::from(piece);
        NFC.normalize(&mut text)?;
        let mut words = PreTokenizedString::from(text);
        self.pattern.pre_tokenize(&mut words)?;
        self.bytes.pre_tokenize(&mut words)?;
        for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            ids.extend(self.model.tokenize(word)?.iter().map(|token| token.id));
        }
        Ok(())
    }

    /// The bytes `id` stands for: part of a character, several words, the text of an added token;
    /// empty for an unused or unknown id.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.table.bytes(id)
    }

    /// Whether `id` is a control token, which is not printed.
    pub fn is_special(&self, id: u32) -> bool {
        self.table.is_special(id)
    }

    /// Whether `id` ends an answer.
    pub fn is_stop(&self, id: u32) -> bool {
        self.stop.binary_search(&id).is_ok()
    }

    /// Number of ids, unused ones included; a model's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.table.len()
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

fn library(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Library(error.to_string())
}

/// The merge model. Everything its builder would panic on or silently drop is refused before.
fn model(spec: &TokenizerSpec) -> Result<BPE, TokenizerError> {
    let mut vocab = Vocab::with_capacity(spec.vocab.len());
    for (id, text) in spec.vocab.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        if let Some(first) = vocab.insert(text.clone(), id as u32) {
            return Err(TokenizerError::SameText { first, second: id });
        }
    }
    let in_utf8 = |byte: &u8| !matches!(byte, 0xC0 | 0xC1 | 0xF5..);
    for byte in (0..=255).filter(in_utf8) {
        if !vocab.contains_key(byte_level::char_of(byte).encode_utf8(&mut [0; 4]) as &str) {
            return Err(TokenizerError::MissingByte { byte });
        }
    }
    let merges = merges(spec, &vocab)?;
    BPE::builder().vocab_and_merges(vocab, merges).build().map_err(library)
}

fn merges(spec: &TokenizerSpec, vocab: &Vocab) -> Result<Merges, TokenizerError> {
    let found = spec.merges.len();
    if found > MAX_VOCAB {
        return Err(TokenizerError::TooManyMerges { found, limit: MAX_VOCAB });
    }
    let mut joined = String::new();
    let mut merges = Merges::with_capacity(found);
    for (rank, &(left, right)) in spec.merges.iter().enumerate() {
        let text = |id: u32| match spec.vocab.get(id as usize) {
            Some(text) if !text.is_empty() => Ok(text.clone()),
            _ => Err(TokenizerError::MergeOutside { rank, id }),
        };
        let pair = (text(left)?, text(right)?);
        joined.clear();
        joined.push_str(&pair.0);
        joined.push_str(&pair.1);
        if !vocab.contains_key(&joined) {
            return Err(TokenizerError::MergeUnknown { rank, left, right });
        }
        merges.push(pair);
    }
    Ok(merges)
}
