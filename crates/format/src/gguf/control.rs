//! Control tokens whose type a converter got wrong. As text they would be cut into pieces: a chat would never
//! stop.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::keys::{CONTROL, UNUSED, USER_DEFINED};
use super::metadata::Metadata;
use crate::printable::printable;

/// Keys of tokens that are never text.
const KEYS: [&str; 14] = [
    "bos",
    "eos",
    "eot",
    "eom",
    "padding",
    "unknown",
    "seperator",
    "separator",
    "fim_pre",
    "fim_suf",
    "fim_mid",
    "fim_pad",
    "fim_rep",
    "fim_sep",
];

/// Tokens of code models that end an answer, by name; llama.cpp treats them so too.
pub(super) const FIM_ENDS: [&str; 3] = ["<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"];

/// What the other evidence of a file says of tokens that are typed as text.
pub(super) struct Evidence<'m> {
    named: HashSet<u64>,
    merges: &'m [String],
    /// What merges make; needed for few files.
    merged: OnceCell<HashSet<String>>,
}

impl<'m> Evidence<'m> {
    /// `merges`: `left right` each.
    pub fn new(metadata: &Metadata, merges: &'m [String]) -> Self {
        let id = |key: &&str| metadata.whole(&format!("tokenizer.ggml.{key}_token_id"));
        Self { named: KEYS.iter().filter_map(id).collect(), merges, merged: OnceCell::new() }
    }

    /// The right type of a token that the file types as neither control nor user-defined; none if its own is
    /// right.
    ///
    /// No text becomes `<|im_end|>` by itself: the pre-tokenizer parts letters from marks. What no merge
    /// makes can only be meant whole; of those, a name in angle brackets (`<think>`) is as good as a user's
    /// own token.
    pub fn kind(&self, id: usize, kind: i32, text: &str) -> Option<i32> {
        if [CONTROL, USER_DEFINED].contains(&kind) {
            return None;
        }
        let marked = inside(text, "<|", "|>").or_else(|| inside(text, "<\u{ff5c}", "\u{ff5c}>"));
        if marked.is_some_and(|name| name.chars().any(char::is_alphanumeric)) {
            return Some(CONTROL);
        }
        let named = self.named.contains(&(id as u64));
        let tag = inside(text, "<", ">").is_some_and(is_tag);
        if kind == UNUSED || !(named || tag) || self.is_made(text) {
            return None;
        }
        Some(if named { CONTROL } else { USER_DEFINED })
    }

    /// Whether the token is one byte or what a merge makes.
    fn is_made(&self, text: &str) -> bool {
        let merged = || self.merges.iter().map(|merge| merge.replacen(' ', "", 1)).collect();
        text.chars().nth(1).is_none() || self.merged.get_or_init(merged).contains(text)
    }
}

fn inside<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

/// `think`, `/think`, `tool_call`, ...; `0x0A` is a byte.
fn is_tag(name: &str) -> bool {
    if name.starts_with("0x") {
        return false;
    }
    let of_tag = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
    name.bytes().all(of_tag) && name.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Tokens that were taken for what they are: how many, and the first by name.
#[derive(Default)]
pub(super) struct Retyped {
    count: usize,
    names: Vec<String>,
}

impl Retyped {
    const SHOWN: usize = 4;

    pub fn push(&mut self, text: &str) {
        self.count += 1;
        if self.names.len() < Self::SHOWN {
            self.names.push(format!("`{}`", printable(text)));
        }
    }

    /// One sentence about them, if there are any.
    pub fn warning(&self) -> Option<String> {
        let more = if self.count > Self::SHOWN { ", ..." } else { "" };
        let (count, names) = (self.count, self.names.join(", "));
        let said = || {
            format!(
                "the file types {count} special token(s) as text ({names}{more}): they are taken whole all the same"
            )
        };
        (count > 0).then(said)
    }
}
