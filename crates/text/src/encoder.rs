//! Text in, piece by piece, ids out as soon as they are certain, in memory that does not grow with the text.

use std::ops::ControlFlow;

use hotset_base::Bytes;
use hotset_base::limits::MAX_PROMPT;

use crate::added::Part;
use crate::composer::Composer;
use crate::long_word::{LongWord, WordState};
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::words::Words;

/// What is looked at together for added tokens.
const PIECE: usize = 16 << 10;

/// Takes ids; `Break` when it has enough.
pub type Ids<'i> = dyn FnMut(u32) -> ControlFlow<()> + 'i;

/// Why encoding goes no further.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Whoever takes the ids has enough.
    Enough,
    /// The text was refused.
    Refused(TokenizerError),
}

impl From<TokenizerError> for Halt {
    fn from(error: TokenizerError) -> Self {
        Self::Refused(error)
    }
}

/// A text being encoded, made by [`Tokenizer::encoder`]. It holds at most a few hundred KiB, but for long runs of
/// different combining marks or spaces and for vocabularies of extremely long tokens.
pub struct Encoder<'t> {
    tokenizer: &'t Tokenizer,
    parse_special: bool,
    /// Bytes so far.
    length: Bytes,
    /// Text in which an added token may have begun.
    pending: String,
    part: TextPart,
}

/// The text since the last added token.
struct TextPart {
    composer: Composer,
    words: Words,
    word: WordState,
}

impl<'t> Encoder<'t> {
    pub(crate) fn new(tokenizer: &'t Tokenizer, parse_special: bool) -> Self {
        let part =
            TextPart { composer: Composer::default(), words: Words::new(), word: WordState::default() };
        Self { tokenizer, parse_special, length: Bytes(0), pending: String::new(), part }
    }

    /// Takes more of the text. `Break` once `ids` has enough: what comes then is of no use.
    ///
    /// # Errors
    /// If the text is too long, or so odd that its ids can not be told in bounded memory.
    pub fn push(&mut self, text: &str, ids: &mut Ids) -> Result<ControlFlow<()>, TokenizerError> {
        self.length += Bytes(text.len() as u64);
        if self.length > MAX_PROMPT {
            return Err(TokenizerError::TextTooLong { limit: MAX_PROMPT });
        }
        let mut rest = text;
        let mut result = Ok(());
        while !rest.is_empty() && result.is_ok() {
            let (piece, behind) = rest.split_at(cut(rest));
            self.pending.push_str(piece);
            result = self.drain(false, ids);
            rest = behind;
        }
        outcome(result)
    }

    /// Ends the text.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self, ids: &mut Ids) -> Result<ControlFlow<()>, TokenizerError> {
        let result = self.drain(true, ids).and_then(|()| self.part.finish(self.tokenizer, ids));
        outcome(result)
    }

    fn drain(&mut self, last: bool, ids: &mut Ids) -> Result<(), Halt> {
        let Self { tokenizer, part: text_part, pending, .. } = self;
        let matcher = tokenizer.added.matcher(self.parse_special);
        let done = matcher.split(pending, last, &mut |part| match part {
            Part::Text(text) => text_part.push(text, tokenizer, ids),
            Part::Token(id) => {
                text_part.finish(tokenizer, ids)?;
                if ids(id).is_break() { Err(Halt::Enough) } else { Ok(()) }
            }
        })?;
        pending.drain(..done);
        Ok(())
    }
}

impl TextPart {
    fn push(&mut self, text: &str, tokenizer: &Tokenizer, ids: &mut Ids) -> Result<(), Halt> {
        let Self { composer, words, word } = self;
        let vocabulary = &tokenizer.vocabulary;
        let mut sink = LongWord { vocabulary, state: word, ids };
        let mut take = |c| words.push(c, &tokenizer.classes, &mut sink);
        if tokenizer.composes {
            text.chars().try_for_each(|c| composer.push(c, &mut take))
        } else {
            text.chars().try_for_each(take)
        }
    }

    fn finish(&mut self, tokenizer: &Tokenizer, ids: &mut Ids) -> Result<(), Halt> {
        let Self { composer, words, word } = self;
        let mut sink = LongWord { vocabulary: &tokenizer.vocabulary, state: word, ids };
        composer.finish(&mut |c| words.push(c, &tokenizer.classes, &mut sink))?;
        words.finish(&mut sink)
    }
}

/// Where a piece of `text` ends: at most three bytes past [`PIECE`], at a character.
fn cut(text: &str) -> usize {
    (PIECE..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

fn outcome(result: Result<(), Halt>) -> Result<ControlFlow<()>, TokenizerError> {
    match result {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(Halt::Enough) => Ok(ControlFlow::Break(())),
        Err(Halt::Refused(error)) => Err(error),
    }
}
