//! What will probably be wanted soon: protected if it is there, prefetched if it is not.

use std::time::Instant;

use hotset_base::limits::MAX_LOOKAHEAD;
use hotset_base::{ExpertId, ExpertKey, LayerId, RowKind};
use hotset_policy::prefetch::{Governor, Prediction};

/// An expert that was not in memory when it was predicted.
#[derive(Clone, Copy)]
pub(crate) struct Predicted {
    pub key: ExpertKey,
    /// What was said of it from each distance, the nearest first: of all rows that said so, the likeliest.
    /// None for those of a prompt.
    predictions: [Option<Prediction>; MAX_LOOKAHEAD],
    /// A read has been begun.
    pub started: bool,
}

impl Predicted {
    fn note(&mut self, prediction: Prediction) {
        let known = &mut self.predictions[prediction.distance.clamp(1, MAX_LOOKAHEAD) - 1];
        if known.is_none_or(|known| prediction.rank < known.rank) {
            *known = Some(prediction);
        }
    }

    /// What was said of it last.
    fn nearest(&self) -> Option<Prediction> {
        self.predictions.into_iter().flatten().next()
    }
}

/// The predictions not yet come to their layer.
pub(crate) struct Prefetch {
    experts: usize,
    /// `[layers * experts]`: predicted, so not to be evicted if it can be helped.
    predicted: Vec<bool>,
    /// Those to be read, likeliest first within a layer. Sized for [`Prefetch::most`].
    pub entries: Vec<Predicted>,
    pub governor: Governor,
    /// Microseconds the busy disk takes for an expert: a running mean.
    pub service_us: f64,
    last_arrival: Option<Instant>,
}

impl Prefetch {
    pub fn new(layers: usize, experts: usize) -> Self {
        Self {
            experts,
            predicted: vec![false; layers * experts],
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

    /// Forgets what is predicted and how predictions fared, not what was learnt of the disk.
    pub fn forget(&mut self) {
        self.predicted.fill(false);
        self.entries.clear();
        self.governor = Governor::new(self.predicted.len() / self.experts);
    }

    pub fn protects(&self, key: ExpertKey) -> bool {
        self.predicted[key.flat(self.experts)]
    }

    /// Notes a prediction from `distance` layers before, likeliest first; `absent` tells whether an expert
    /// needs a read. One that there is no room for is not noted at all.
    pub fn note(
        &mut self,
        (layer, distance): (LayerId, usize),
        experts: &[ExpertId],
        kind: RowKind,
        absent: impl Fn(ExpertKey) -> bool,
    ) {
        for (rank, &expert) in experts.iter().enumerate() {
            let key = ExpertKey::new(layer, expert);
            let prediction = (!kind.is_prompt()).then_some(Prediction { layer, distance, rank });
            if self.protects(key) {
                self.note_again(key, prediction);
                continue;
            }
            if absent(key) {
                if self.entries.len() == Self::most(self.experts) {
                    continue;
                }
                let mut entry = Predicted { key, predictions: [None; MAX_LOOKAHEAD], started: false };
                prediction.into_iter().for_each(|prediction| entry.note(prediction));
                self.entries.push(entry);
            }
            self.predicted[key.flat(self.experts)] = true;
        }
    }

    /// From nearer it shows better what an expert is worth that has not been read yet.
    fn note_again(&mut self, key: ExpertKey, prediction: Option<Prediction>) {
        let entry = self.entries.iter_mut().find(|e| e.key == key && !e.started);
        if let (Some(entry), Some(prediction)) = (entry, prediction) {
            entry.note(prediction);
        }
    }

    /// The next one that is nearly certain. `absent` as in [`Prefetch::note`]: others may have read it
    /// meanwhile.
    pub fn next_certain(&self, absent: impl Fn(ExpertKey) -> bool) -> Option<usize> {
        let deserves =
            |e: &Predicted| e.nearest().is_some_and(|prediction| self.governor.is_certain(prediction));
        self.entries.iter().position(|e| !e.started && deserves(e) && absent(e.key))
    }

    /// The next one that deserves a read; `absent` as above.
    pub fn next(&self, absent: impl Fn(ExpertKey) -> bool) -> Option<usize> {
        let deserves = |e: &Predicted| match e.nearest() {
            Some(prediction) => self.governor.allows(prediction),
            None => self.governor.is_on(),
        };
        self.entries.iter().position(|e| !e.started && deserves(e) && absent(e.key))
    }

    /// The layer's turn has come: its predictions are compared with what is wanted, and forgotten.
    /// Appends those whose reads were begun for nothing to `withdrawn`.
    pub fn arrive(&mut self, layer: LayerId, wanted: &[bool], withdrawn: &mut Vec<ExpertKey>) {
        let first = layer.index() * self.experts;
        self.predicted[first..first + self.experts].fill(false);
        let governor = &mut self.governor;
        self.entries.retain(|e| {
            if e.key.layer != layer {
                return true;
            }
            let chosen = wanted[e.key.expert.index()];
            for prediction in e.predictions.into_iter().flatten() {
                governor.predicted(prediction, chosen);
            }
            if e.started && !chosen {
                withdrawn.push(e.key);
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

    fn predicting(distance: usize) -> Prefetch {
        let mut prefetch = Prefetch::new(2, 4);
        prefetch.note((LAYER, distance), &[ExpertId(2)], RowKind::Decode, |_| true);
        prefetch
    }

    #[test]
    fn what_something_else_has_read_meanwhile_is_not_read_again() {
        let prefetch = predicting(1);
        assert_eq!([prefetch.next(|_| true), prefetch.next(|_| false)], [Some(0), None]);
        assert_eq!([prefetch.next_certain(|_| true), prefetch.next_certain(|_| false)], [Some(0), None]);
    }

    #[test]
    fn from_nearer_it_shows_better_what_an_expert_is_worth() {
        let arrive = |prefetch: &mut Prefetch, came_true: bool| {
            let wanted = [false, false, came_true, false];
            prefetch.arrive(LAYER, &wanted, &mut Vec::new());
        };
        let mut prefetch = predicting(2);
        for _ in 0..200 {
            arrive(&mut prefetch, false);
            prefetch.note((LAYER, 2), &[ExpertId(2)], RowKind::Decode, |_| true);
        }
        assert_eq!(prefetch.next(|_| true), None, "from two layers away it is always wrong");
        prefetch.note((LAYER, 1), &[ExpertId(2)], RowKind::Decode, |_| true);
        assert_eq!(prefetch.next(|_| true), Some(0), "from one it has not been tried");
        assert_eq!(prefetch.entries.len(), 1);
    }

    #[test]
    fn what_finds_no_room_is_not_protected_as_if_it_were_going_to_be_read() {
        let mut prefetch = Prefetch::new(MAX_LOOKAHEAD + 1, 2);
        let both = [ExpertId(0), ExpertId(1)];
        for layer in 0..=MAX_LOOKAHEAD as u16 {
            prefetch.note((LayerId(layer), 1), &both, RowKind::Decode, |_| true);
        }
        assert_eq!(prefetch.entries.len(), Prefetch::most(2));
        let beyond = ExpertKey::new(LayerId(MAX_LOOKAHEAD as u16), ExpertId(0));
        assert!(!prefetch.protects(beyond), "it has no entry");
        prefetch.note((beyond.layer, 1), &both, RowKind::Decode, |_| false);
        assert!(prefetch.protects(beyond), "what is there needs no entry");
    }

    #[test]
    fn of_several_rows_the_surest_counts_at_each_distance() {
        let mut prefetch = Prefetch::new(2, 4);
        let ranks = |entry: &Predicted| {
            entry.predictions.map(|prediction| prediction.map(|prediction| prediction.rank))
        };
        prefetch.note((LAYER, 2), &[ExpertId(1), ExpertId(2)], RowKind::Decode, |_| true);
        prefetch.note((LAYER, 2), &[ExpertId(2)], RowKind::Decode, |_| true);
        prefetch.note((LAYER, 1), &[ExpertId(3), ExpertId(2)], RowKind::Decode, |_| true);
        prefetch.note((LAYER, 1), &[ExpertId(0), ExpertId(1), ExpertId(2)], RowKind::Decode, |_| true);
        let of = |expert: u16| prefetch.entries.iter().find(|e| e.key.expert == ExpertId(expert)).unwrap();
        assert_eq!(ranks(of(2)), [Some(1), Some(0)]);
        assert_eq!(ranks(of(1)), [Some(1), Some(0)]);
        assert_eq!(ranks(of(0)), [Some(0), None]);
    }
}
