//! Byte-pair merging, as the reference does it: of all pairs that can be merged the one of best rank, of equal
//! ones the leftmost, until there is none.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use hotset_base::limits::MAX_VOCAB;
use hotset_format::TokenizerSpec;

use crate::byte_level;
use crate::tokenizer::TokenizerError;

/// What two tokens become.
#[derive(Clone, Copy)]
struct Merge {
    right: u32,
    /// Smaller is better; no two merges have the same.
    rank: u32,
    /// The token they become.
    joined: u32,
}

/// All merges of a vocabulary.
pub(crate) struct Merges {
    /// The token of each byte; `u32::MAX` for bytes that no UTF-8 text has.
    byte_tokens: [u32; 256],
    /// Those with left token `i` are `merges[starts[i]..starts[i + 1]]`, ordered by the right one.
    merges: Vec<Merge>,
    starts: Vec<u32>,
}

impl Merges {
    /// Checks the vocabulary: every text once, a token for every byte, merges of tokens that exist into one
    /// that does.
    pub(crate) fn new(spec: &TokenizerSpec) -> Result<Self, TokenizerError> {
        let found = spec.merges.len();
        if found > MAX_VOCAB {
            return Err(TokenizerError::TooManyMerges { found, limit: MAX_VOCAB });
        }
        let ids = ids(spec)?;
        let byte_tokens = byte_tokens(&ids)?;
        let mut all = Vec::with_capacity(found);
        let mut joined = String::new();
        for (rank, &(left, right)) in spec.merges.iter().enumerate() {
            let text = |id: u32| match spec.vocab.get(id as usize) {
                Some(text) if !text.is_empty() => Ok(text),
                _ => Err(TokenizerError::MergeOutside { rank, id }),
            };
            joined.clear();
            joined.push_str(text(left)?);
            joined.push_str(text(right)?);
            let &joined =
                ids.get(joined.as_str()).ok_or(TokenizerError::MergeUnknown { rank, left, right })?;
            all.push((left, Merge { right, rank: rank as u32, joined })); // MAX_VOCAB is far below 2^32
        }
        Ok(Self::of(byte_tokens, all, spec.vocab.len()))
    }

    fn of(byte_tokens: [u32; 256], mut all: Vec<(u32, Merge)>, tokens: usize) -> Self {
        // Of a pair that is listed twice the last counts.
        all.sort_by_key(|&(left, merge)| (left, merge.right, Reverse(merge.rank)));
        all.dedup_by_key(|(left, merge)| (*left, merge.right));
        let starts =
            (0..=tokens).map(|token| all.partition_point(|&(left, _)| (left as usize) < token) as u32);
        Self {
            byte_tokens,
            starts: starts.collect(),
            merges: all.into_iter().map(|(_, merge)| merge).collect(),
        }
    }

    fn find(&self, left: u32, right: u32) -> Option<Merge> {
        let ends = self.starts.get(left as usize..left as usize + 2)?;
        let own = &self.merges[ends[0] as usize..ends[1] as usize];
        own.binary_search_by_key(&right, |merge| merge.right).ok().map(|at| own[at])
    }
}

fn ids(spec: &TokenizerSpec) -> Result<HashMap<&str, u32>, TokenizerError> {
    let mut ids = HashMap::with_capacity(spec.vocab.len());
    for (id, text) in spec.vocab.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
        if let Some(first) = ids.insert(text.as_str(), id as u32) {
            return Err(TokenizerError::SameText { first, second: id });
        }
    }
    Ok(ids)
}

fn byte_tokens(ids: &HashMap<&str, u32>) -> Result<[u32; 256], TokenizerError> {
    let mut tokens = [u32::MAX; 256];
    for byte in (0..=255).filter(|byte| !matches!(byte, 0xC0 | 0xC1 | 0xF5..)) {
        let text = byte_level::char_of(byte);
        tokens[usize::from(byte)] =
            *ids.get(text.encode_utf8(&mut [0; 4]) as &str).ok_or(TokenizerError::MissingByte { byte })?;
    }
    Ok(tokens)
}

/// A token of the text being merged, in a doubly linked list.
#[derive(Clone, Copy)]
struct Symbol {
    token: u32,
    /// Place of the one before; `NONE` for the first.
    before: u32,
    /// Place of the one behind; `NONE` for the last, `GONE` if it has been merged into one before it.
    behind: u32,
}

const NONE: u32 = u32::MAX;
const GONE: u32 = u32::MAX - 1;

/// The buffers of a merging, kept from one to the next: 12 bytes for each byte of text and 8 for each
/// pair that can be merged, of which there are at most two for each byte.
#[derive(Default)]
pub(crate) struct Merger {
    symbols: Vec<Symbol>,
    /// Pairs by rank and place of the left symbol. A pair that is no more is passed over.
    pairs: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Merger {
    /// The tokens of `text`, bytes of a UTF-8 text, merged as far as can be. n log n steps.
    pub(crate) fn merge(
        &mut self,
        merges: &Merges,
        text: impl Iterator<Item = u8>,
    ) -> impl Iterator<Item = u32> {
        self.symbols.clear();
        self.pairs.clear();
        for (place, byte) in (0u32..).zip(text) {
            let token = merges.byte_tokens[usize::from(byte)];
            self.symbols.push(Symbol { token, before: place.wrapping_sub(1), behind: place + 1 });
        }
        if let Some(last) = self.symbols.last_mut() {
            last.behind = NONE;
        }
        for place in 1..self.symbols.len() {
            self.offer(merges, place as u32 - 1);
        }
        while let Some(Reverse((rank, place))) = self.pairs.pop() {
            if let Some(merge) = self.pair(merges, place).filter(|merge| merge.rank == rank) {
                self.join(merges, place, merge.joined);
            }
        }
        self.symbols.iter().filter(|symbol| symbol.behind != GONE).map(|symbol| symbol.token)
    }

    /// What the symbol at `place` and the one behind it can become.
    fn pair(&self, merges: &Merges, place: u32) -> Option<Merge> {
        let symbol = self.symbols[place as usize];
        let behind = self.symbols.get(symbol.behind as usize)?;
        merges.find(symbol.token, behind.token)
    }

    fn offer(&mut self, merges: &Merges, place: u32) {
        if let Some(merge) = self.pair(merges, place) {
            self.pairs.push(Reverse((merge.rank, place)));
        }
    }

    fn join(&mut self, merges: &Merges, place: u32, token: u32) {
        let Symbol { before, behind: gone, .. } = self.symbols[place as usize];
        let behind = self.symbols[gone as usize].behind;
        self.symbols[gone as usize].behind = GONE;
        self.symbols[place as usize] = Symbol { token, before, behind };
        if let Some(next) = self.symbols.get_mut(behind as usize) {
            next.before = place;
            self.offer(merges, place);
        }
        if before != NONE {
            self.offer(merges, before);
        }
    }
}
