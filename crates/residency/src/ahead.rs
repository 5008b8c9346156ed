//! What is expected to be wanted soon: kept in memory if it is there, read ahead if it is not.

use std::time::Instant;

use hotset_base::limits::MAX_LOOKAHEAD;
use hotset_base::{ExpertId, ExpertKey, LayerId, RowKind};
use hotset_policy::prefetch::{Governor, Guess};

/// An expert that was not in memory when it was predicted.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub key: ExpertKey,
    /// What was said of it from each distance, the nearest first: of all rows that said so, the surest. None
    /// for those of a prompt.
    guesses: [Option<Guess>; MAX_LOOKAHEAD],
    /// A read has been begun.
    pub started: bool,
}

impl Expected {
    fn note(&mut self, guess: Guess) {
        let known = &mut self.guesses[guess.distance.clamp(1, MAX_LOOKAHEAD) - 1];
        if known.is_none_or(|known| guess.rank < known.rank) {
            *known = Some(guess);
        }
    }

    /// What was said of it last.
    fn nearest(&self) -> Option<Guess> {
        self.guesses.into_iter().flatten().next()
    }
}

/// The predictions not yet come to their layer.
pub(crate) struct Ahead {
    experts: usize,
    /// `[layers * experts]`: predicted, so not to be evicted if it can be helped.
    expected: Vec<bool>,
    /// Those to be read, surest first within a layer. Sized for [`Ahead::most`].
    pub entries: Vec<Expected>,
    pub governor: Governor,
    /// Microseconds the busy disk takes for an expert: a running mean.
    pub service_us: f64,
    last_arrival: Option<Instant>,
}

impl Ahead {
    pub fn new(layers: usize, experts: usize) -> Self {
        Self {
            experts,
            expected: vec![false; layers * experts],
            entries: Vec::with_capacity(Self::most(experts)),
            governor: Governor::new(layers),
            service_us: 0.0,
            last_arrival: None,
        }
    }

    /// Predictions kept at once: all experts of the layers that are looked ahead.
    pub fn most(experts: usize) -> usize {
        MAX_LOOKAHEAD * experts
    }

    /// Forgets what is expected and how predictions fared, not what was learnt of the disk.
    pub fn forget(&mut self) {
        self.expected.fill(false);
        self.entries.clear();
        self.governor = Governor::new(self.expected.len() / self.experts);
    }

    pub fn expects(&self, key: ExpertKey) -> bool {
        self.expected[key.flat(self.experts)]
    }

    /// Notes a prediction from `distance` layers before, surest first; `absent` tells whether an expert needs a
    /// read. One that there is no room for is not noted at all.
    pub fn expect(
        &mut self,
        (layer, distance): (LayerId, usize),
        experts: &[ExpertId],
        kind: RowKind,
        absent: impl Fn(ExpertKey) -> bool,
    ) {
        for (rank, &expert) in experts.iter().enumerate() {
            let key = ExpertKey::new(layer, expert);
            let guess = (!kind.is_prompt()).then_some(Guess { layer, distance, rank });
            if self.expects(key) {
                self.expect_again(key, guess);
                continue;
            }
            if absent(key) {
                if self.entries.len() == Self::most(self.experts) {
                    continue;
                }
                let mut entry = Expected { key, guesses: [None; MAX_LOOKAHEAD], started: false };
                guess.into_iter().for_each(|guess| entry.note(guess));
                self.entries.push(entry);
            }
            self.expected[key.flat(self.experts)] = true;
        }
    }

    /// From nearer it shows better what an expert is worth that has not been read yet.
    fn expect_again(&mut self, key: ExpertKey, guess: Option<Guess>) {
        let entry = self.entries.iter_mut().find(|e| e.key == key && !e.started);
        if let (Some(entry), Some(guess)) = (entry, guess) {
            entry.note(guess);
        }
    }

    /// The next one that is nearly sure. `absent` as in [`Ahead::expect`]: others may have read it meanwhile.
    pub fn next_sure(&self, absent: impl Fn(ExpertKey) -> bool) -> Option<usize> {
        let deserves = |e: &Expected| e.nearest().is_some_and(|guess| self.governor.is_sure(guess));
        self.entries.iter().position(|e| !e.started && deserves(e) && absent(e.key))
    }

    /// The next one that deserves a read; `absent` as above.
    pub fn next(&self, absent: impl Fn(ExpertKey) -> bool) -> Option<usize> {
        let deserves = |e: &Expected| match e.nearest() {
            Some(guess) => self.governor.allows(guess),
            None => self.governor.is_on(),
        };
        self.entries.iter().position(|e| !e.started && deserves(e) && absent(e.key))
    }

    /// The layer's turn has come: its predictions are compared with what is wanted, and forgotten.
    /// Appends those whose reads were begun for nothing to `unwanted`.
    pub fn arrive(&mut self, layer: LayerId, wanted: &[bool], unwanted: &mut Vec<ExpertKey>) {
        let first = layer.index() * self.experts;
        self.expected[first..first + self.experts].fill(false);
        let governor = &mut self.governor;
        self.entries.retain(|e| {
            if e.key.layer != layer {
                return true;
            }
            let chosen = wanted[e.key.expert.index()];
            for guess in e.guesses.into_iter().flatten() {
                governor.predicted(guess, chosen);
            }
            if e.started && !chosen {
                unwanted.push(e.key);
            }
            false
        });
    }

    /// An expert has arrived; `busy` says that the disk has had work since the one before.
    pub fn arrived(&mut self, now: Instant, busy: bool) {
        if let (Some(last), true) = (self.last_arrival, busy) {
            let us = (now - last).as_secs_f64() * 1e6;
            self.service_us += (us - self.service_us) / 32.0;
        }
        self.last_arrival = busy.then_some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYER: LayerId = LayerId(1);

    fn expecting(distance: usize) -> Ahead {
        let mut ahead = Ahead::new(2, 4);
        ahead.expect((LAYER, distance), &[ExpertId(2)], RowKind::Decode, |_| true);
        ahead
    }

    #[test]
    fn what_something_else_has_read_meanwhile_is_not_read_again() {
        let ahead = expecting(1);
        assert_eq!([ahead.next(|_| true), ahead.next(|_| false)], [Some(0), None]);
        assert_eq!([ahead.next_sure(|_| true), ahead.next_sure(|_| false)], [Some(0), None]);
    }

    #[test]
    fn from_nearer_it_shows_better_what_an_expert_is_worth() {
        let arrive = |ahead: &mut Ahead, came_true: bool| {
            let wanted = [false, false, came_true, false];
            ahead.arrive(LAYER, &wanted, &mut Vec::new());
        };
        let mut ahead = expecting(2);
        for _ in 0..200 {
            arrive(&mut ahead, false);
            ahead.expect((LAYER, 2), &[ExpertId(2)], RowKind::Decode, |_| true);
        }
        assert_eq!(ahead.next(|_| true), None, "from two layers away it is always wrong");
        ahead.expect((LAYER, 1), &[ExpertId(2)], RowKind::Decode, |_| true);
        assert_eq!(ahead.next(|_| true), Some(0), "from one it has not been tried");
        assert_eq!(ahead.entries.len(), 1);
    }

    #[test]
    fn what_finds_no_room_is_not_protected_as_if_it_were_going_to_be_read() {
        let mut ahead = Ahead::new(MAX_LOOKAHEAD + 1, 2);
        let both = [ExpertId(0), ExpertId(1)];
        for layer in 0..=MAX_LOOKAHEAD as u16 {
            ahead.expect((LayerId(layer), 1), &both, RowKind::Decode, |_| true);
        }
        assert_eq!(ahead.entries.len(), Ahead::most(2));
        let beyond = ExpertKey::new(LayerId(MAX_LOOKAHEAD as u16), ExpertId(0));
        assert!(!ahead.expects(beyond), "it has no entry");
        ahead.expect((beyond.layer, 1), &both, RowKind::Decode, |_| false);
        assert!(ahead.expects(beyond), "what is there needs no entry");
    }

    #[test]
    fn of_several_rows_the_surest_counts_at_each_distance() {
        let mut ahead = Ahead::new(2, 4);
        let ranks = |entry: &Expected| entry.guesses.map(|guess| guess.map(|guess| guess.rank));
        ahead.expect((LAYER, 2), &[ExpertId(1), ExpertId(2)], RowKind::Decode, |_| true);
        ahead.expect((LAYER, 2), &[ExpertId(2)], RowKind::Decode, |_| true);
        ahead.expect((LAYER, 1), &[ExpertId(3), ExpertId(2)], RowKind::Decode, |_| true);
        ahead.expect((LAYER, 1), &[ExpertId(0), ExpertId(1), ExpertId(2)], RowKind::Decode, |_| true);
        let of = |expert: u16| ahead.entries.iter().find(|e| e.key.expert == ExpertId(expert)).unwrap();
        assert_eq!(ranks(of(2)), [Some(1), Some(0)]);
        assert_eq!(ranks(of(1)), [Some(1), Some(0)]);
        assert_eq!(ranks(of(0)), [Some(0), None]);
    }
}
