//! A list of characters that may be very long where few of them differ.

use crate::tokenizer::TokenizerError;
use hotset_base::limits::MAX_HELD_RUNS;

/// A character's code has 21 bits; the others count how often it comes in a row, less one.
const COUNT_SHIFT: u32 = 21;
const CODE: u32 = (1 << COUNT_SHIFT) - 1;
const ONE_MORE: u32 = 1 << COUNT_SHIFT;

/// Characters in order, four bytes for each run of up to 2,048 equal ones.
#[derive(Default)]
pub(crate) struct Runs(Vec<u32>);

impl Runs {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(1 << 10);
    }

    /// # Errors
    /// If there are too many runs.
    pub(crate) fn push(&mut self, c: char) -> Result<(), TokenizerError> {
        if let Some(last) = self.0.last_mut()
            && *last & CODE == c as u32
            && let Some(more) = last.checked_add(ONE_MORE)
        {
            *last = more;
            return Ok(());
        }
        if self.0.len() == MAX_HELD_RUNS {
            return Err(TokenizerError::TooManyChanges { limit: MAX_HELD_RUNS });
        }
        self.0.push(c as u32);
        Ok(())
    }

    /// Characters with how often they come in a row; the same one may follow itself.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (char, u32)> {
        // Every code came from a character.
        self.0.iter().filter_map(|run| Some((char::from_u32(run & CODE)?, (run >> COUNT_SHIFT) + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let text: String = ["a".repeat(5000), "\u{10FFFF}b".repeat(2), "b".repeat(2048)].concat();
        let mut runs = Runs::default();
        text.chars().for_each(|c| runs.push(c).unwrap());
        let back: String = runs.iter().flat_map(|(c, n)| std::iter::repeat_n(c, n as usize)).collect();
        assert_eq!(back, text);
        assert!(runs.0.len() < 12);
    }

    #[test]
    fn there_is_a_limit() {
        let mut runs = Runs::default();
        let mut push = |i: usize| runs.push(if i.is_multiple_of(2) { 'a' } else { 'b' });
        assert!((0..MAX_HELD_RUNS).all(|i| push(i).is_ok()));
        assert!(push(MAX_HELD_RUNS - 1).is_ok());
        assert!(matches!(push(MAX_HELD_RUNS), Err(TokenizerError::TooManyChanges { .. })));
    }
}
