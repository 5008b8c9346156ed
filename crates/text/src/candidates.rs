//! The tokens that may come next, narrowed step by step.

use std::cmp::Ordering;

/// First number of candidates that are sorted when no top-k bounds them; grows fourfold until it
/// holds the wanted probability, which a peaked distribution has in the first few hundred.
const FIRST_SORTED: usize = 256;

/// One token and its logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) logit: f32,
    pub(crate) id: u32,
}

/// The remaining tokens. Its buffer is made once, for the whole vocabulary.
pub(crate) struct Candidates {
    all: Vec<Candidate>,
    /// The first so many are the best, in descending order.
    sorted: usize,
}

/// Larger logits first, then smaller ids: a total order, so selection has one result.
fn order(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

impl Candidates {
    /// Empty, with room for `vocab`.
    pub(crate) fn with_capacity(vocab: usize) -> Self {
        Self { all: Vec::with_capacity(vocab), sorted: 0 }
    }

    /// Starts over with every token; `logits` are `[vocab]`.
    pub(crate) fn fill(&mut self, logits: &[f32]) {
        self.all.clear();
        self.sorted = 0;
        // Adding zero makes one zero of both: the total order tells them apart.
        self.all.extend(logits.iter().zip(0..).map(|(&logit, id)| Candidate { logit: logit + 0.0, id }));
    }

    /// The token at `id`; only right after [`fill`](Self::fill).
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Candidate> {
        self.all.get_mut(id as usize)
    }

    /// The most likely token.
    pub(crate) fn best(&self) -> Option<Candidate> {
        let seen = if self.sorted > 0 { 1 } else { self.all.len() };
        self.all[..seen].iter().min_by(|a, b| order(a, b)).copied()
    }

    /// Makes the first `count` the most likely ones, in order. At most as many as there are.
    fn sort(&mut self, count: usize) {
        let count = count.min(self.all.len());
        if count <= self.sorted {
            return;
        }
        let rest = &mut self.all[self.sorted..];
        let wanted = count - self.sorted;
        if wanted < rest.len() {
            rest.select_nth_unstable_by(wanted - 1, order);
        }
        rest[..wanted].sort_unstable_by(order);
        self.sorted = count;
    }

    /// Keeps the `count` most likely; 0 keeps all.
    pub(crate) fn top_k(&mut self, count: usize) {
        if count > 0 {
            self.sort(count);
            self.all.truncate(count);
        }
    }

    /// Keeps the fewest most likely tokens whose probabilities sum to at least `share`, never none.
    pub(crate) fn top_p(&mut self, share: f32) {
        let Some(best) = self.best().filter(|_| share < 1.0) else { return };
        let weight = |candidate: &Candidate| f64::from(candidate.logit - best.logit).exp();
        let wanted = f64::from(share) * self.all.iter().map(weight).sum::<f64>();
        let (mut sum, mut seen, mut batch) = (0.0, 0, FIRST_SORTED);
        while seen < self.all.len() {
            self.sort(batch);
            for candidate in &self.all[seen..self.sorted] {
                seen += 1;
                sum += weight(candidate);
                if sum >= wanted {
                    self.all.truncate(seen);
                    self.sorted = self.sorted.min(seen);
                    return;
                }
            }
            batch = self.sorted.saturating_mul(4);
        }
    }

    /// Keeps tokens at least `share` times as likely as the most likely one.
    pub(crate) fn min_p(&mut self, share: f32) {
        let Some(best) = self.best().filter(|_| share > 0.0) else { return };
        let least = best.logit + share.ln();
        // The sorted part stays in front: retain keeps the order.
        self.all.retain(|candidate| candidate.logit >= least);
        self.sorted = self.sorted.min(self.all.len());
    }

    /// The token at `unit` in [0, 1) of the distribution at `temperature` above 0.
    pub(crate) fn draw(&self, temperature: f32, unit: f64) -> Option<Candidate> {
        let best = self.best()?;
        let weight =
            |candidate: &Candidate| (f64::from(candidate.logit - best.logit) / f64::from(temperature)).exp();
        let mut left = unit * self.all.iter().map(weight).sum::<f64>();
        for candidate in &self.all {
            left -= weight(candidate);
            if left < 0.0 {
                return Some(*candidate);
            }
        }
        Some(best) // rounding used up the whole sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits whose probabilities are these.
    fn filled(probabilities: &[f32]) -> Candidates {
        let mut candidates = Candidates::with_capacity(probabilities.len());
        candidates.fill(&probabilities.iter().map(|p| p.ln()).collect::<Vec<_>>());
        candidates
    }

    fn ids(candidates: &Candidates) -> Vec<u32> {
        let mut ids: Vec<_> = candidates.all.iter().map(|candidate| candidate.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn each_step_keeps_what_it_says() {
        let probabilities = [0.1, 0.4, 0.05, 0.25, 0.2];
        let after = |step: fn(&mut Candidates)| {
            let mut candidates = filled(&probabilities);
            step(&mut candidates);
            ids(&candidates)
        };
        assert_eq!(after(|c| c.top_k(2)), [1, 3]);
        assert_eq!(after(|c| c.top_k(0)), [0, 1, 2, 3, 4]);
        assert_eq!(after(|c| c.top_k(99)), [0, 1, 2, 3, 4]);
        assert_eq!(after(|c| c.top_p(0.0)), [1]);
        assert_eq!(after(|c| c.top_p(0.6)), [1, 3]);
        assert_eq!(after(|c| c.top_p(0.7)), [1, 3, 4]);
        assert_eq!(after(|c| c.top_p(1.0)), [0, 1, 2, 3, 4]);
        assert_eq!(after(|c| c.min_p(0.45)), [1, 3, 4]);
        assert_eq!(after(|c| c.min_p(1.0)), [1]);
    }

    #[test]
    fn top_p_over_a_large_vocabulary_equals_a_full_sort() {
        let logits: Vec<f32> =
            (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32 / 700.0).collect();
        let mut candidates = Candidates::with_capacity(logits.len());
        candidates.fill(&logits);
        candidates.top_p(0.9);
        let mut sorted: Vec<_> = logits.iter().zip(0..).map(|(&logit, id)| Candidate { logit, id }).collect();
        sorted.sort_by(order);
        assert!(candidates.all.len() > FIRST_SORTED);
        assert_eq!(candidates.all[..], sorted[..candidates.all.len()]);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let candidates = filled(&[0.1, 0.6, 0.3]);
        let at = |unit| candidates.draw(1.0, unit).unwrap().id;
        assert_eq!([0.0, 0.09, 0.11, 0.69, 0.71, 0.999].map(at), [0, 0, 1, 1, 2, 2]);
        assert_eq!(candidates.draw(1e-38, 0.999).unwrap().id, 1);
    }
}
