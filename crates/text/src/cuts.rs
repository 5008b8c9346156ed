//! Where a long text can be cut so that its pieces, encoded one by one, give the ids of the whole.
//!
//! Encoding costs about a hundred bytes of bookkeeping per byte of input, and the pattern engine
//! gives up silently after a million repetitions; pieces bound both.
//!
//! A cut between characters `p` and `n` is safe if no match of `QWEN2_PATTERN` can contain `pn`,
//! nothing left of it can look ahead past it, and NFC never joins `p` with `n`:
//! - `p` is a line break and `n` is not whitespace. Every alternative ends at a line break or has
//!   only whitespace after one, and a run of whitespace that contains a break is matched by
//!   `\s*[\r\n]+` up to its last break whatever follows.
//! - `p` is a letter and `n` is neither letter, digit-like mark nor combining: `\p{L}+` ends every
//!   match it is part of. Both come from sets that NFC leaves alone.

/// Pieces are cut at the first safe place after this many bytes.
const TARGET: usize = 16 << 10;

/// Longest piece: a text with no safe cut in this many bytes is refused. Half of the pattern
/// engine's million.
pub(crate) const LONGEST: usize = 512 << 10;

/// Length in bytes of the first piece of `text`; `None` if it would be longer than [`LONGEST`].
pub(crate) fn first_piece(text: &str) -> Option<usize> {
    cut(text, TARGET, LONGEST)
}

fn cut(text: &str, target: usize, longest: usize) -> Option<usize> {
    if text.len() <= target {
        return Some(text.len());
    }
    let start = (0..=target).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let mut previous = None;
    for (at, next) in text[start..].char_indices() {
        if start + at > longest {
            return None;
        }
        if previous.is_some_and(|previous| is_safe(previous, next)) {
            return Some(start + at);
        }
        previous = Some(next);
    }
    (text.len() <= longest).then_some(text.len())
}

fn is_safe(previous: char, next: char) -> bool {
    match previous {
        '\n' | '\r' => !next.is_whitespace(),
        'a'..='z' | 'A'..='Z' | '\u{4E00}'..='\u{9FFF}' => {
            next.is_ascii() && !next.is_ascii_alphabetic()
                || matches!(next, '、' | '。' | '，' | '！' | '？' | '：' | '；')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_where_matches_do() {
        let cut_at = |text| cut(text, 2, 8);
        assert_eq!(cut_at("ab"), Some(2));
        assert_eq!(cut_at("abc def"), Some(3));
        assert_eq!(cut_at("12 \n\n34"), Some(5));
        assert_eq!(cut_at("12345678"), Some(8));
        assert_eq!(cut_at("123456789"), None);
        assert_eq!(cut_at("中文。"), Some(6));
        assert_eq!(cut_at("      \r\n"), Some(8));
        assert_eq!(cut_at("  a\u{301}\n\u{301}b"), Some(6));
    }
}
