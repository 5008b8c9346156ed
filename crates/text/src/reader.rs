//! UTF-8 text from a reader, a piece at a time.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::str;

use hotset_base::Bytes;
use hotset_base::limits::MAX_PROMPT;

use crate::encoder::Ids;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// Why a text could not be read or encoded. The caller says which text.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields are named by the messages
pub enum TextError {
    /// The source failed.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is not text.
    #[error("is not UTF-8 text: see byte {at}")]
    NotUtf8 { at: u64 },
    /// There is too much of it.
    #[error("is longer than {limit}")]
    TooLong { limit: Bytes },
    /// It has no ids.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// Reads text and holds one piece of it.
pub struct TextReader<R> {
    source: R,
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that have been given out.
    given: usize,
    /// Bytes given out before those in the buffer.
    before: u64,
    ended: bool,
    keep_last_newline: bool,
}

impl<R: Read> TextReader<R> {
    /// All of `source`.
    pub fn new(source: R) -> Self {
        let buffer = Vec::with_capacity(PIECE);
        Self { source, buffer, given: 0, before: 0, ended: false, keep_last_newline: true }
    }

    /// All but a newline at the very end, which `echo` and editors put there.
    pub fn without_last_newline(source: R) -> Self {
        Self { keep_last_newline: false, ..Self::new(source) }
    }

    /// The next piece of the text, not empty; `None` at the end.
    ///
    /// # Errors
    /// If it cannot be read, is not UTF-8, or is longer than [`MAX_PROMPT`].
    pub fn next_piece(&mut self) -> Result<Option<&str>, TextError> {
        self.buffer.drain(..self.given);
        self.before += self.given as u64;
        self.given = 0;
        while self.given == 0 && !(self.ended && self.buffer.is_empty()) {
            self.fill()?;
            self.given = self.complete()?;
            if !self.keep_last_newline && self.buffer[..self.given].ends_with(b"\n") {
                self.given -= 1;
                if self.ended {
                    self.buffer.truncate(self.given);
                }
            }
        }
        // Complete characters, as just found.
        Ok(str::from_utf8(&self.buffer[..self.given]).ok().filter(|piece| !piece.is_empty()))
    }

    fn fill(&mut self) -> Result<(), TextError> {
        let room = (PIECE - self.buffer.len().min(PIECE - 8)) as u64;
        let read = (&mut self.source).take(room).read_to_end(&mut self.buffer)?;
        self.ended = (read as u64) < room;
        if self.before + self.buffer.len() as u64 > MAX_PROMPT.0 {
            return Err(TextError::TooLong { limit: MAX_PROMPT });
        }
        Ok(())
    }

    /// Bytes of the buffer up to the end of its last complete character.
    fn complete(&self) -> Result<usize, TextError> {
        match str::from_utf8(&self.buffer) {
            Ok(text) => Ok(text.len()),
            Err(error) if error.error_len().is_none() && !self.ended => Ok(error.valid_up_to()),
            Err(error) => Err(TextError::NotUtf8 { at: self.before + error.valid_up_to() as u64 }),
        }
    }

    /// Gives the ids of what is left of the text to `ids`, until that has enough. Holds none of the text.
    ///
    /// # Errors
    /// As [`next_piece`](Self::next_piece) and [`Encoder::push`](crate::Encoder::push).
    pub fn encode(
        &mut self,
        tokenizer: &Tokenizer,
        parse_special: bool,
        ids: &mut Ids,
    ) -> Result<ControlFlow<()>, TextError> {
        let mut encoder = tokenizer.encoder(parse_special);
        while let Some(piece) = self.next_piece()? {
            if encoder.push(piece, ids)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(encoder.finish(ids)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(into.len()).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn whole<R: Read>(mut reader: TextReader<R>) -> Result<String, TextError> {
        let mut text = String::new();
        while let Some(piece) = reader.next_piece()? {
            text.push_str(piece);
        }
        Ok(text)
    }

    #[test]
    fn the_text_comes_whole_but_for_the_last_newline() {
        for text in ["", "a", "\n", "a\n", "a\n\n", "é\nü", &"€\n".repeat(50_000), &"\n".repeat(PIECE + 1)]
        {
            for size in [1, 3, PIECE, 1 << 20] {
                assert_eq!(whole(TextReader::new(Slow(text.as_bytes(), size))).unwrap(), text);
                let without = whole(TextReader::without_last_newline(Slow(text.as_bytes(), size))).unwrap();
                assert_eq!(without, text.strip_suffix('\n').unwrap_or(text), "{size}");
            }
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let bad = [&b"a".repeat(PIECE)[..], b"\xFFb"].concat();
        let at = PIECE as u64;
        assert!(
            matches!(whole(TextReader::new(&bad[..])), Err(TextError::NotUtf8 { at: found }) if found == at)
        );
        assert!(matches!(whole(TextReader::new(&b"a\xE2\x82"[..])), Err(TextError::NotUtf8 { at: 1 })));
        let endless = io::repeat(b' ');
        assert!(matches!(whole(TextReader::new(endless)), Err(TextError::TooLong { .. })));
    }
}
