//! One conversation: the tokens in the context. Their keys and values are the engine's, in the cache of its seat.

use std::sync::{Arc, Mutex, PoisonError};

use hotset_base::SequenceId;

/// A timeline of tokens. The engine computes what follows them; gone with it is its place among the sessions.
pub struct Session {
    seat: Seat,
    /// Sized for the context.
    tokens: Vec<u32>,
    context: usize,
}

impl Session {
    /// `None` if all seats are taken.
    pub(crate) fn new(seats: &Arc<Seats>, context: usize) -> Option<Self> {
        let seat = Seat { sequence: seats.take()?, seats: Arc::clone(seats) };
        Some(Self { seat, tokens: Vec::with_capacity(context), context })
    }

    /// The tokens in the context.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Positions there are.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.tokens.clear();
    }

    /// Makes the context a prefix of `prompt`, keeping what they share but for the last token of the
    /// prompt: its logits are needed. Returns how many tokens were kept.
    pub(crate) fn rewind_to_shared(&mut self, prompt: &[u32]) -> usize {
        let shared = self.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let kept = shared.min(prompt.len().saturating_sub(1));
        self.tokens.truncate(kept);
        kept
    }

    /// The tokens have been computed.
    pub(crate) fn extend(&mut self, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
    }

    /// Where its keys and values are.
    ///
    /// # Panics
    /// If these are not the seats that it took its place from.
    pub(crate) fn sequence_of(&self, seats: &Arc<Seats>) -> SequenceId {
        assert!(Arc::ptr_eq(&self.seat.seats, seats), "a session is used with the engine that made it");
        self.seat.sequence
    }
}

/// Which of the planned sequences no session has.
pub(crate) struct Seats {
    planned: usize,
    free: Mutex<Vec<SequenceId>>,
}

impl Seats {
    pub fn new(planned: usize) -> Arc<Self> {
        let free = (0..planned as u16).rev().map(SequenceId).collect();
        Arc::new(Self { planned, free: Mutex::new(free) })
    }

    /// How many there are, taken or not.
    pub fn planned(&self) -> usize {
        self.planned
    }

    fn take(&self) -> Option<SequenceId> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// A sequence that a session has.
struct Seat {
    sequence: SequenceId,
    seats: Arc<Seats>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_that_is_given_back_can_be_taken_again() {
        let seats = Seats::new(2);
        let (first, second) = (Session::new(&seats, 8).unwrap(), Session::new(&seats, 8).unwrap());
        assert!(first.sequence_of(&seats) != second.sequence_of(&seats));
        assert!(Session::new(&seats, 8).is_none());
        let freed = first.sequence_of(&seats);
        drop(first);
        assert_eq!(Session::new(&seats, 8).unwrap().sequence_of(&seats), freed);
    }
}
