//! What is expected to be wanted soon: kept in memory if it is there, read ahead if it is not.

use std::time::Instant;

use hotset_base::{ExpertId, ExpertKey, LayerId};
use hotset_policy::prefetch::{Governor, Guess};

/// How experts of a later layer were predicted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prediction {
    /// For one token, surest first: each prediction is right or wrong by itself.
    Token,
    /// For the many tokens of a prompt chunk, most wanted first.
    Chunk,
}

/// An expert that was not in memory when it was predicted.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub key: ExpertKey,
    /// The latest that was said of it; `None` for those of a chunk.
    guess: Option<Guess>,
    /// What was said of it from one layer farther away.
    earlier: Option<Guess>,
    /// A read has been begun.
    pub started: bool,
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

    /// Predictions kept at once: all experts of two layers.
    pub fn most(experts: usize) -> usize {
        2 * experts
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

    /// Notes a prediction from `distance` layers before; `absent` tells whether an expert needs a read.
    pub fn expect(
        &mut self,
        (layer, distance): (LayerId, usize),
        experts: &[ExpertId],
        kind: Prediction,
        absent: impl Fn(ExpertKey) -> bool,
    ) {
        for (rank, &expert) in experts.iter().enumerate() {
            let key = ExpertKey::new(layer, expert);
            let guess = (kind == Prediction::Token).then_some(Guess { layer, distance, rank });
            let known = std::mem::replace(&mut self.expected[key.flat(self.experts)], true);
            if known {
                self.expect_again(key, guess);
            } else if absent(key) && self.entries.len() < self.entries.capacity() {
                self.entries.push(Expected { key, guess, earlier: None, started: false });
            }
        }
    }

    /// From nearer it shows better what an expert is worth that has not been read yet.
    fn expect_again(&mut self, key: ExpertKey, guess: Option<Guess>) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.key == key && !e.started) {
            entry.earlier = std::mem::replace(&mut entry.guess, guess);
        }
    }

    /// The next one that is nearly sure. `absent` as in [`Ahead::expect`]: others may have read it meanwhile.
    pub fn next_sure(&self, absent: impl Fn(ExpertKey) -> bool) -> Option<usize> {
        let deserves = |e: &Expected| e.guess.is_some_and(|guess| self.governor.is_sure(guess));
        self.entries.iter().position(|e| !e.started && deserves(e) && absent(e.key))
    }

    /// The next one that deserves a read; `absent` as above.
    pub fn next(&self, absent: impl Fn(ExpertKey) -> bool) -> Option<usize> {
        let deserves = |e: &Expected| match e.guess {
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
            for guess in e.guess.into_iter().chain(e.earlier) {
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
        ahead.expect((LAYER, distance), &[ExpertId(2)], Prediction::Token, |_| true);
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
            ahead.expect((LAYER, 2), &[ExpertId(2)], Prediction::Token, |_| true);
        }
        assert_eq!(ahead.next(|_| true), None, "from two layers away it is always wrong");
        ahead.expect((LAYER, 1), &[ExpertId(2)], Prediction::Token, |_| true);
        assert_eq!(ahead.next(|_| true), Some(0), "from one it has not been tried");
        assert_eq!(ahead.entries.len(), 1);
    }
}
