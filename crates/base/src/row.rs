//! What one pass through the model computes: rows, each a token of some text at some position.

use std::fmt;

use crate::Phase;
use crate::limits::MAX_SEQUENCES;

/// One of the texts that are under way at the same time; the index of its KV cache.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SequenceId(pub u16);

impl SequenceId {
    /// The sequence as an index into per-sequence tables.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for SequenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequence {}", self.0)
    }
}

/// Where a row's token comes from: what may be predicted from it, and how what it used is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RowKind {
    /// A given text, of which many tokens are computed together and want most experts of a layer once.
    Prompt,
    /// The token that was chosen last: its experts are wanted one layer after the other, and predicted.
    Decode,
    /// A guess at a token to come, which may be rejected.
    Draft,
}

impl RowKind {
    /// All of them, in the order of their numbers in files.
    pub const ALL: [Self; 3] = [Self::Prompt, Self::Decode, Self::Draft];

    /// Many rows of the kind come together, so that none of them is looked at by itself.
    pub fn is_prompt(self) -> bool {
        self == Self::Prompt
    }
}

/// One token to compute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The text it belongs to.
    pub sequence: SequenceId,
    /// Its place there, from 0.
    pub position: u32,
    /// The token.
    pub token: u32,
    /// What it is for.
    pub phase: Phase,
    /// Where it comes from.
    pub kind: RowKind,
    /// Whether the scores of the token after it are wanted.
    pub wants_logits: bool,
}

/// Rows that go through the model together. Those of one sequence are adjacent, and their positions rise by one.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    rows: &'a [Row],
}

/// Why rows are no batch: whoever made them is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// There are none.
    #[error("a pass without rows")]
    Empty,
    /// More texts than may be under way.
    #[error("{0} is beyond the {MAX_SEQUENCES} that there may be")]
    TooManySequences(SequenceId),
    /// Rows of a sequence are not next to each other.
    #[error("rows of {0} stand in two places of a pass")]
    Scattered(SequenceId),
    /// A position was left out or repeated.
    #[error("{sequence} goes on at position {position} and not at {expected}")]
    Position {
        /// The text.
        sequence: SequenceId,
        /// Where the row says that it stands.
        position: u32,
        /// Where it would have to.
        expected: u32,
    },
}

impl<'a> Batch<'a> {
    /// # Errors
    /// If the rows are not in order.
    pub fn new(rows: &'a [Row]) -> Result<Self, BatchError> {
        if rows.is_empty() {
            return Err(BatchError::Empty);
        }
        let mut seen = [false; MAX_SEQUENCES];
        for run in Self::runs_of(rows) {
            let sequence = run[0].sequence;
            let seen = seen.get_mut(sequence.index()).ok_or(BatchError::TooManySequences(sequence))?;
            if std::mem::replace(seen, true) {
                return Err(BatchError::Scattered(sequence));
            }
            for pair in run.windows(2) {
                let (position, expected) = (pair[1].position, pair[0].position.saturating_add(1));
                if position != expected {
                    return Err(BatchError::Position { sequence, position, expected });
                }
            }
        }
        Ok(Self { rows })
    }

    /// All rows, in order.
    pub fn rows(&self) -> &'a [Row] {
        self.rows
    }

    /// How many there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "an empty batch cannot be made")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows of each sequence.
    pub fn runs(&self) -> impl Iterator<Item = &'a [Row]> {
        Self::runs_of(self.rows)
    }

    /// Every row is looked at by itself: there is none of a prompt.
    pub fn is_decoding(&self) -> bool {
        self.rows.iter().all(|row| !row.kind.is_prompt())
    }

    /// No two rows of a prompt come together: there is an order in which each row's picks are wanted.
    pub fn goes_row_by_row(&self) -> bool {
        self.runs().all(|run| run.len() == 1 || !run.iter().any(|row| row.kind.is_prompt()))
    }

    fn runs_of(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
        rows.chunk_by(|a, b| a.sequence == b.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sequence: u16, position: u32) -> Row {
        Row {
            sequence: SequenceId(sequence),
            position,
            token: 0,
            phase: Phase::Setup,
            kind: RowKind::Prompt,
            wants_logits: false,
        }
    }

    #[test]
    fn rows_of_several_texts_are_one_run_each() {
        let rows = [row(3, 7), row(3, 8), row(0, 0), row(1, 5), row(1, 6)];
        let runs: Vec<usize> = Batch::new(&rows).unwrap().runs().map(<[Row]>::len).collect();
        assert_eq!(runs, [2, 1, 2]);
    }

    #[test]
    fn rows_out_of_order_are_refused() {
        let error = |rows: &[Row]| Batch::new(rows).map(|batch| batch.len()).unwrap_err();
        assert_eq!(error(&[]), BatchError::Empty);
        assert_eq!(error(&[row(0, 1), row(1, 0), row(0, 2)]), BatchError::Scattered(SequenceId(0)));
        let position = |position| BatchError::Position { sequence: SequenceId(2), position, expected: 5 };
        assert_eq!(error(&[row(2, 4), row(2, 4)]), position(4));
        assert_eq!(error(&[row(2, 4), row(2, 6)]), position(6));
    }

    #[test]
    fn there_are_so_many_sequences_and_no_more() {
        let last = MAX_SEQUENCES as u16 - 1;
        assert!(Batch::new(&[row(last, 0)]).is_ok());
        let error = Batch::new(&[row(last + 1, 0)]).unwrap_err();
        assert_eq!(error, BatchError::TooManySequences(SequenceId(last + 1)));
    }
}
