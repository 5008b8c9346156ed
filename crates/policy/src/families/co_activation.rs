//! Which experts of a layer are chosen for the same tokens.

use hotset_base::{ExpertId, Families};

use super::Affinity;

/// Counts of one layer over some tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoActivation {
    tokens: u64,
    /// `[experts]`: tokens that chose each.
    single: Vec<u64>,
    /// `[experts, experts]`: tokens that chose both.
    both: Vec<u64>,
}

/// How often pairs of experts were chosen together, over how often they would be if each were chosen as often as it
/// was but for tokens of its own (Brin et al. 1997, "lift"), pairs taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lift {
    /// Pairs of one family.
    pub within: f64,
    /// Pairs of two families.
    pub between: f64,
}

impl Lift {
    /// How much more pairs of one family go together than others; 1 if families mean nothing, `None` if there is
    /// nothing to compare.
    pub fn ratio(self) -> Option<f64> {
        (self.between > 0.0).then(|| self.within / self.between)
    }
}

impl CoActivation {
    /// Of a layer with this many experts, over no tokens yet.
    pub fn new(experts: usize) -> Self {
        Self { tokens: 0, single: vec![0; experts], both: vec![0; experts * experts] }
    }

    /// Adds a token that chose these, each named once.
    pub fn add(&mut self, chosen: impl Iterator<Item = ExpertId> + Clone) {
        let experts = self.single.len();
        self.tokens += 1;
        for a in chosen.clone() {
            self.single[a.index()] += 1;
            for b in chosen.clone().filter(|&b| b != a) {
                self.both[a.index() * experts + b.index()] += 1;
            }
        }
    }

    /// Tokens added.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The cosine of two experts' columns of the table of choices: `both / sqrt(a * b)`, from 0 to 1 (Ochiai 1957).
    pub fn affinity(&self) -> Affinity {
        let experts = self.single.len();
        Affinity::of(experts, |a, b| {
            let scale = ((self.single[a] * self.single[b]) as f64).sqrt();
            if scale > 0.0 { (self.both[a * experts + b] as f64 / scale) as f32 } else { 0.0 }
        })
    }

    /// Whether the members of a family are chosen together.
    pub fn lift(&self, families: &Families) -> Lift {
        let experts = self.single.len();
        // Seen and expected: of different families, of one family.
        let mut sums = [(0.0, 0.0); 2];
        for a in 0..experts {
            for b in 0..a {
                let together = families.together(ExpertId(a as u16), ExpertId(b as u16));
                let (seen, expected) = &mut sums[usize::from(together)];
                *seen += self.both[a * experts + b] as f64;
                *expected += self.single[a] as f64 * self.single[b] as f64 / self.tokens.max(1) as f64;
            }
        }
        let [between, within] =
            sums.map(|(seen, expected)| if expected > 0.0 { seen / expected } else { 0.0 });
        Lift { within, between }
    }
}
