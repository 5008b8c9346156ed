//! Added tokens: verbatim texts that are cut out before anything else looks at the input.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use hotset_base::Bytes;
use hotset_format::AddedToken;

use crate::tokenizer::TokenizerError;

/// Text of all added tokens together: the matcher takes several times this. Qwen3's 26 tokens take
/// 350 bytes; vocabularies with thousands of placeholder tokens stay below 100 KiB.
const MAX_ADDED: Bytes = Bytes::mib(2);

/// One part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    /// Goes through byte-level BPE. What follows may belong to it, unless that is a token.
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

/// The automaton of some added tokens.
pub(crate) struct Matcher {
    automaton: AhoCorasick,
    ids: Vec<u32>,
    /// Bytes of the longest token.
    longest: usize,
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

    /// What finds the tokens; without `parse_special`, control tokens are left in the text.
    pub(crate) fn matcher(&self, parse_special: bool) -> &Matcher {
        if parse_special { &self.every } else { &self.ordinary }
    }
}

impl Matcher {
    fn new<'t>(tokens: impl Iterator<Item = &'t AddedToken>) -> Result<Self, TokenizerError> {
        let tokens: Vec<_> = tokens.filter(|token| !token.content.is_empty()).collect();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|token| &token.content))
            .map_err(|error| TokenizerError::Library(error.to_string()))?;
        let longest = tokens.iter().map(|token| token.content.len()).max().unwrap_or(0);
        Ok(Self { automaton, ids: tokens.iter().map(|token| token.id).collect(), longest })
    }

    /// Cuts `text` into added tokens and what lies between them, as far as what follows can not change it:
    /// to the end with `last`. Returns how many bytes went to `part`.
    pub(crate) fn split<E>(
        &self,
        text: &str,
        last: bool,
        part: &mut impl FnMut(Part) -> Result<(), E>,
    ) -> Result<usize, E> {
        // A token that begins here or later may be longer than is seen of it.
        let open = if last { text.len() } else { (text.len() + 1).saturating_sub(self.longest.max(1)) };
        let mut done = 0;
        while let Some(hit) =
            self.automaton.find(Input::new(text).range(done..)).filter(|hit| hit.start() < open)
        {
            if done < hit.start() {
                part(Part::Text(&text[done..hit.start()]))?;
            }
            part(Part::Token(self.ids[hit.pattern().as_usize()]))?;
            done = hit.end();
        }
        let end = (done..=open.max(done)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(done);
        if done < end {
            part(Part::Text(&text[done..end]))?;
        }
        Ok(end)
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

    /// The parts of `text` when it comes in pieces of `size` bytes, texts that follow each other as one.
    fn parts(text: &str, parse_special: bool, size: usize) -> Vec<Result<String, u32>> {
        let tokens = tokens();
        let (mut parts, mut pending): (Vec<Result<String, u32>>, _) = (Vec::new(), String::new());
        let mut take = |part: Part| {
            match (part, parts.last_mut()) {
                (Part::Text(more), Some(Ok(text))) => text.push_str(more),
                (Part::Text(text), _) => parts.push(Ok(text.to_owned())),
                (Part::Token(id), _) => parts.push(Err(id)),
            }
            Ok::<_, ()>(())
        };
        let characters: Vec<char> = text.chars().collect();
        for piece in characters.chunks(size) {
            pending.extend(piece);
            let done = tokens.matcher(parse_special).split(&pending, false, &mut take).unwrap();
            pending.drain(..done);
        }
        let done = tokens.matcher(parse_special).split(&pending, true, &mut take).unwrap();
        assert_eq!(done, pending.len());
        parts
    }

    #[test]
    fn the_longest_token_wins_and_nothing_is_lost() {
        let text = |text: &str| Ok(text.to_owned());
        for size in 1..20 {
            assert_eq!(parts("", true, size), []);
            assert_eq!(parts("x", true, size), [text("x")]);
            assert_eq!(parts("é<a><b><a>ü<c>", true, size), [text("é"), Err(8), Err(7), text("ü"), Err(9)]);
            assert_eq!(parts("<a><c><a", false, size), [text("<a>"), Err(9), text("<a")]);
            assert_eq!(parts("<a><é<a>", true, size), [Err(7), text("<é"), Err(7)]);
        }
    }

    #[test]
    fn too_much_text_is_refused() {
        let token = AddedToken { id: 0, content: "x".repeat(MAX_ADDED.index() + 1), special: true };
        assert!(matches!(AddedTokens::new(&[token]), Err(TokenizerError::AddedTooLarge { .. })));
    }
}
