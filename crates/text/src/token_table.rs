//! What each id stands for, in one flat table.

use hotset_base::limits::{MAX_TOKEN_BYTES, MAX_VOCAB, MAX_VOCAB_BYTES};
use hotset_format::TokenizerSpec;

use crate::byte_level;
use crate::tokenizer::TokenizerError;

/// Bytes and kind of every id. The bytes of id `i` are `bytes[ends[i - 1]..ends[i]]`.
pub(crate) struct TokenTable {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    special: Vec<bool>,
}

impl TokenTable {
    /// Decodes the byte-level texts once. Added tokens stand for their own text.
    pub(crate) fn new(spec: &TokenizerSpec) -> Result<Self, TokenizerError> {
        let added_end = spec.added.iter().map(|token| token.id as usize + 1).max().unwrap_or(0);
        let size = spec.vocab.len().max(added_end);
        if size > MAX_VOCAB {
            return Err(TokenizerError::TooManyTokens { found: size, limit: MAX_VOCAB });
        }
        let mut added = vec![None; size];
        for token in &spec.added {
            if added[token.id as usize].replace(token).is_some() {
                return Err(TokenizerError::AddedTwice { id: token.id });
            }
        }
        let mut table =
            Self { bytes: Vec::new(), ends: Vec::with_capacity(size), special: vec![false; size] };
        for (id, added) in added.iter().enumerate() {
            let start = table.bytes.len();
            match added {
                Some(token) => {
                    table.bytes.extend_from_slice(token.content.as_bytes());
                    table.special[id] = token.special;
                }
                None => byte_level::append_bytes(
                    spec.vocab.get(id).map(String::as_str).unwrap_or_default(),
                    &mut table.bytes,
                ),
            }
            let bytes = table.bytes.len() - start;
            if bytes > MAX_TOKEN_BYTES {
                return Err(TokenizerError::TokenTooLong { id, bytes, limit: MAX_TOKEN_BYTES });
            }
            if table.bytes.len() > MAX_VOCAB_BYTES.index() {
                return Err(TokenizerError::VocabTooLarge { limit: MAX_VOCAB_BYTES });
            }
            table.ends.push(table.bytes.len() as u32); // MAX_VOCAB_BYTES is far below 4 GiB
        }
        Ok(table)
    }

    /// Number of ids.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes `id` stands for; none for an id that does not exist.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start as usize..end as usize]
    }

    /// Bytes of the longest token.
    pub(crate) fn longest(&self) -> usize {
        (0..self.ends.len() as u32).map(|id| self.bytes(id).len()).max().unwrap_or(0)
    }

    /// Whether `id` is a control token.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }
}
