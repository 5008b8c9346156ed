//! The tokens of one word, of any length, in little memory.
//!
//! Tokens `t1 ... tn` are those of their text if every two neighbours are those of theirs. Say a merge across
//! the end of some `ti` came first. Up to then every token's merges went on as they do without the others, best
//! rank first, so the same merge would come in the text of `ti` and its neighbour alone. Likewise any
//! neighbours out of a word's tokens are the tokens of their own text. So a word is merged in windows that
//! overlap, each beginning where a token of the window before ends; where the two tokens that meet there
//! stay as they are when merged together, the seam is right, and all that lies before it.

use std::ops::ControlFlow;

use hotset_base::Bytes;

use crate::encoder::{Halt, Ids};
use crate::merges::{Merger, Merges};
use crate::token_table::TokenTable;
use crate::tokenizer::TokenizerError;
use crate::words::WordSink;

/// Bytes of a window, unless the vocabulary has tokens of over a quarter of it. Real vocabularies tell what a byte
/// belongs to within a few dozen bytes.
const WINDOW: usize = 16 << 10;

/// The vocabulary as far as words need it.
pub(crate) struct Vocabulary {
    pub(crate) merges: Merges,
    pub(crate) table: TokenTable,
    /// Bytes.
    window: usize,
}

impl Vocabulary {
    pub(crate) fn new(merges: Merges, table: TokenTable) -> Self {
        let window = WINDOW.max(4 * table.longest());
        Self { merges, table, window }
    }
}

/// What is kept of a word, and buffers.
#[derive(Default)]
pub(crate) struct WordState {
    /// Text that has no tokens yet.
    text: Vec<u8>,
    /// Tokens before it, right but for the seam to what comes.
    held: Vec<u32>,
    /// The token before those, given out already.
    given: Option<u32>,
    tokens: Vec<u32>,
    merger: Merger,
}

/// One word after the other, going to `ids`.
pub(crate) struct LongWord<'a, 'i> {
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) state: &'a mut WordState,
    pub(crate) ids: &'a mut Ids<'i>,
}

impl WordSink for LongWord<'_, '_> {
    fn push(&mut self, c: char) -> Result<(), Halt> {
        self.state.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        if self.state.text.len() >= self.vocabulary.window {
            self.merge()?;
            self.hold();
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Halt> {
        if self.state.text.is_empty() {
            return Ok(());
        }
        self.merge()?;
        self.state.given = None;
        self.state.text.clear();
        give(&self.state.tokens, self.ids)
    }
}

impl LongWord<'_, '_> {
    /// Makes `tokens` those of `text`, once they meet what is held; then that is right and given out.
    fn merge(&mut self) -> Result<(), Halt> {
        self.merge_text();
        if !self.meets(self.state.held.last().copied().or(self.state.given)) {
            // What has come since has changed the tokens before it: merge them once more, with it.
            let held = self.state.held.iter().flat_map(|&token| self.vocabulary.table.bytes(token));
            self.state.text.splice(..0, held.copied().collect::<Vec<_>>());
            self.state.held.clear();
            self.merge_text();
            if !self.meets(self.state.given) {
                let window = Bytes(self.vocabulary.window as u64);
                return Err(TokenizerError::Uncuttable { window }.into());
            }
        }
        give(&self.state.held, self.ids)?;
        self.state.given = self.state.held.last().copied().or(self.state.given);
        self.state.held.clear();
        Ok(())
    }

    /// Holds the tokens of all text but the last half of a window, which is merged again with what comes.
    fn hold(&mut self) {
        let WordState { text, held, tokens, .. } = &mut *self.state;
        let mut done = 0;
        let enough = text.len() - self.vocabulary.window / 2;
        for &token in tokens.iter().take_while(|&&token| {
            let go_on = done < enough;
            done += if go_on { self.vocabulary.table.bytes(token).len() } else { 0 };
            go_on
        }) {
            held.push(token);
        }
        text.drain(..done);
    }

    fn merge_text(&mut self) {
        let WordState { text, tokens, merger, .. } = &mut *self.state;
        tokens.clear();
        tokens.extend(merger.merge(&self.vocabulary.merges, text.iter().copied()));
    }

    /// Whether `before` and the first of `tokens` stay what they are side by side.
    fn meets(&mut self, before: Option<u32>) -> bool {
        let (Some(before), Some(&first)) = (before, self.state.tokens.first()) else { return true };
        let text = [before, first].into_iter().flat_map(|token| self.vocabulary.table.bytes(token));
        self.state.merger.merge(&self.vocabulary.merges, text.copied()).eq([before, first])
    }
}

fn give(tokens: &[u32], ids: &mut Ids) -> Result<(), Halt> {
    match tokens.iter().try_for_each(|&token| ids(token)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Halt::Enough),
    }
}
