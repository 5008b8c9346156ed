//! Bytes of tokens in, text out: a token may end in the middle of a character.

use std::str;

/// Turns a stream of bytes into text piece by piece. Concatenated, the pieces are what
/// `String::from_utf8_lossy` makes of all the bytes.
#[derive(Clone, Debug, Default)]
pub struct Detokenizer {
    /// Bytes not yet shown; between calls at most three, the start of one character.
    pending: Vec<u8>,
    text: String,
}

impl Detokenizer {
    /// With room for pieces of `bytes` bytes: pushes of up to that many do not allocate.
    pub fn with_capacity(bytes: usize) -> Self {
        // Every byte may turn out invalid and become U+FFFD, three bytes long.
        let room = bytes.saturating_add(3);
        Self { pending: Vec::with_capacity(room), text: String::with_capacity(room.saturating_mul(3)) }
    }

    /// Adds bytes and returns the text they complete, possibly none. Invalid sequences become
    /// U+FFFD.
    pub fn push(&mut self, bytes: &[u8]) -> &str {
        self.text.clear();
        self.pending.extend_from_slice(bytes);
        let mut done = 0;
        loop {
            let rest = &self.pending[done..];
            match str::from_utf8(rest) {
                Ok(valid) => {
                    self.text.push_str(valid);
                    done = self.pending.len();
                    break;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    self.text.push_str(str::from_utf8(&rest[..valid]).unwrap_or_default());
                    done += valid;
                    let Some(invalid) = error.error_len() else { break };
                    self.text.push(char::REPLACEMENT_CHARACTER);
                    done += invalid;
                }
            }
        }
        self.pending.drain(..done);
        &self.text
    }

    /// Ends the stream: what is left of an unfinished character becomes U+FFFD. Ready for another
    /// stream afterwards.
    pub fn finish(&mut self) -> &str {
        self.text.clear();
        if !self.pending.is_empty() {
            self.pending.clear();
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_appear_when_they_are_complete() {
        let mut text = Detokenizer::with_capacity(8);
        let euro = "€".as_bytes();
        assert_eq!(text.push(&euro[..2]), "");
        assert_eq!(text.push(&[euro[2], b'!', 0xC3]), "€!");
        assert_eq!(text.push(b"x\xFF"), "\u{FFFD}x\u{FFFD}");
        assert_eq!(text.push(b"\xF0\x9F"), "");
        assert_eq!(text.finish(), "\u{FFFD}");
        assert_eq!(text.finish(), "");
    }

    #[test]
    fn nothing_grows_within_the_capacity() {
        let mut text = Detokenizer::with_capacity(16);
        let before = (text.pending.capacity(), text.text.capacity());
        for bytes in [[0xFF; 16], [0xF0; 16], [b'x'; 16]] {
            text.push(&bytes);
        }
        assert_eq!((text.pending.capacity(), text.text.capacity()), before);
    }
}
