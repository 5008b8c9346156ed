//! Added tokens: verbatim texts that are cut out before anything else looks at the input.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};
use hotset_base::Bytes;
use hotset_format::AddedToken;

use crate::tokenizer::TokenizerError;

/// Text of all added tokens together: the matcher takes several times this. Qwen3's 26 tokens take
/// 350 bytes; vocabularies with thousands of placeholder tokens stay below 100 KiB.
const MAX_ADDED: Bytes = Bytes::mib(2);

/// One part of an input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    /// Goes through byte-level BPE.
    Text(&'t str),
    /// An added token.
    Token(u32),
}

/// Finds added tokens, the longest of those that start first (the reference's rule).
pub(crate) struct AddedTokens {
    every: Matcher,
    ordinary: Matcher,
    ids: HashMap<String, u32>,
}

struct Matcher {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

impl AddedTokens {
    pub(crate) fn new(tokens: &[AddedToken]) -> Result<Self, TokenizerError> {
        let bytes: usize = tokens.iter().map(|token| token.content.len()).sum();
        if bytes > MAX_ADDED.index() {
            return Err(TokenizerError::AddedTooLarge { bytes: Bytes(bytes as u64), limit: MAX_ADDED });
        }
        Ok(Self {
            every: Matcher::new(tokens.iter())?,
            ordinary: Matcher::new(tokens.iter().filter(|token| !token.special))?,
            ids: tokens.iter().rev().map(|token| (token.content.clone(), token.id)).collect(),
        })
    }

    /// The id of an added token's exact text.
    pub(crate) fn id(&self, content: &str) -> Option<u32> {
        self.ids.get(content).copied()
    }

    /// Cuts `text` into added tokens and what lies between them; concatenated, the parts are
    /// `text`. Without `parse_special`, control tokens are left in the text.
    pub(crate) fn split<'t>(&'t self, text: &'t str, parse_special: bool) -> impl Iterator<Item = Part<'t>> {
        let matcher = if parse_special { &self.every } else { &self.ordinary };
        let mut matches = matcher.automaton.find_iter(text);
        let (mut done, mut found) = (0, None);
        std::iter::from_fn(move || {
            if let Some(id) = found.take() {
                return Some(Part::Token(id));
            }
            let Some(hit) = matches.next() else {
                let rest = &text[done..];
                done = text.len();
                return (!rest.is_empty()).then_some(Part::Text(rest));
            };
            let (before, id) = (&text[done..hit.start()], matcher.ids[hit.pattern().as_usize()]);
            done = hit.end();
            if before.is_empty() {
                return Some(Part::Token(id));
            }
            found = Some(id);
            Some(Part::Text(before))
        })
    }
}

impl Matcher {
    fn new<'t>(tokens: impl Iterator<Item = &'t AddedToken>) -> Result<Self, TokenizerError> {
        let tokens: Vec<_> = tokens.filter(|token| !token.content.is_empty()).collect();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|token| &token.content))
            .map_err(|error| TokenizerError::Library(error.to_string()))?;
        Ok(Self { automaton, ids: tokens.iter().map(|token| token.id).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> AddedTokens {
        let token = |id, content: &str, special| AddedToken { id, content: content.to_owned(), special };
        let all =
            [token(7, "<a>", true), token(8, "<a><b>", false), token(9, "<c>", false), token(10, "", true)];
        AddedTokens::new(&all).unwrap()
    }

    #[test]
    fn the_longest_token_wins_and_nothing_is_lost() {
        let tokens = tokens();
        let parts = |text, special| tokens.split(text, special).collect::<Vec<_>>();
        assert_eq!(parts("", true), []);
        assert_eq!(parts("x", true), [Part::Text("x")]);
        assert_eq!(
            parts("é<a><b><a>ü<c>", true),
            [Part::Text("é"), Part::Token(8), Part::Token(7), Part::Text("ü"), Part::Token(9)]
        );
        assert_eq!(parts("<a><c><a", false), [Part::Text("<a>"), Part::Token(9), Part::Text("<a")]);
    }

    #[test]
    fn too_much_text_is_refused() {
        let token = AddedToken { id: 0, content: "x".repeat(MAX_ADDED.index() + 1), special: true };
        assert!(matches!(AddedTokens::new(&[token]), Err(TokenizerError::AddedTooLarge { .. })));
    }
}
