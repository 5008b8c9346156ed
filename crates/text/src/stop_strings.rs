//! Texts that end an answer. They are not part of it, and nothing of them is shown.

use hotset_base::limits::{MAX_STOP_BYTES, MAX_STOP_STRINGS};

use crate::Tokenizer;

/// Why stop strings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the fields are named by the messages
pub enum StopError {
    /// It would end every answer before it begins.
    #[error("a stop string is empty")]
    Empty,
    /// More than anybody needs.
    #[error("there are {found} stop strings, at most {limit} are supported")]
    TooMany { found: usize, limit: usize },
    /// Longer than what may be held back of an answer.
    #[error("a stop string has {bytes} bytes, at most {limit} are supported")]
    TooLong { bytes: usize, limit: usize },
}

/// Looks for stop strings in the pieces of an answer, and holds back what may be the beginning of one.
#[derive(Clone, Debug, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    /// Tokens that are a stop string by themselves, and which: control tokens have no text in an answer.
    tokens: Vec<(u32, usize)>,
    /// The end of the answer so far, which may be the beginning of a stop string.
    held: String,
    shown: String,
}

impl StopStrings {
    /// # Errors
    /// If there are too many, or one is empty or too long.
    pub fn new(stops: &[String], tokenizer: &Tokenizer) -> Result<Self, StopError> {
        if stops.len() > MAX_STOP_STRINGS {
            return Err(StopError::TooMany { found: stops.len(), limit: MAX_STOP_STRINGS });
        }
        for stop in stops {
            match stop.len() {
                0 => return Err(StopError::Empty),
                bytes if bytes > MAX_STOP_BYTES => {
                    return Err(StopError::TooLong { bytes, limit: MAX_STOP_BYTES });
                }
                _ => {}
            }
        }
        let token = |(which, stop): (usize, &String)| Some((tokenizer.special_id(stop)?, which));
        let tokens = stops.iter().enumerate().filter_map(token).collect();
        // Pieces of usual length then fit without another allocation.
        let room = 4 * MAX_STOP_BYTES;
        let (held, shown) = (String::with_capacity(room), String::with_capacity(room));
        Ok(Self { stops: stops.to_vec(), tokens, held, shown })
    }

    /// Which stop string `token` is by itself.
    pub fn token(&self, token: u32) -> Option<usize> {
        self.tokens.iter().find(|(id, _)| *id == token).map(|&(_, which)| which)
    }

    /// Takes the answer's next piece. Gives the text that can be shown now, and which stop string has come, if
    /// one has: then the answer ends with that text.
    pub fn push(&mut self, piece: &str) -> (&str, Option<usize>) {
        self.held.push_str(piece);
        let found = self
            .stops
            .iter()
            .enumerate()
            .filter_map(|(which, stop)| Some((self.held.find(stop.as_str())?, which)));
        let found = found.min();
        let end = found.map_or_else(|| self.held.len() - self.begun(), |(at, _)| at);
        self.shown.clear();
        self.shown.push_str(&self.held[..end]);
        self.held.drain(..end);
        if found.is_some() {
            self.held.clear();
        }
        (&self.shown, found.map(|(_, which)| which))
    }

    /// Ends an answer that no stop string has ended: what is held is part of it. Ready for another one.
    pub fn finish(&mut self) -> &str {
        self.shown.clear();
        self.shown.push_str(&self.held);
        self.held.clear();
        &self.shown
    }

    /// Bytes at the end of what is held that a stop string begins with, the most of any.
    fn begun(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let first = self.held.len().saturating_sub(longest.saturating_sub(1));
        let begins = |tail: &str| self.stops.iter().any(|stop| stop.starts_with(tail));
        let starts = (first..self.held.len()).filter(|&at| self.held.is_char_boundary(at));
        starts.map(|at| &self.held[at..]).find(|tail| begins(tail)).map_or(0, str::len)
    }
}
