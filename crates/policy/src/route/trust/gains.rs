//! What contexts say of the experts of one layer: how much each does when it is computed.

use hotset_base::ExpertId;

use crate::Record;

/// Contributions before an expert's own mean is believed.
const ENOUGH: f32 = 4.0;

/// The records of a layer in the present context, and what its experts do on average there.
pub(super) struct Gains<'a> {
    /// `[experts]`, or empty while nothing is known.
    records: &'a [Record],
    /// Over the picks of the context; 0 while nothing is known.
    mean: f32,
    /// The exponent of a gain: 0 takes all experts for equal, 1 believes it.
    trust: f32,
}

impl<'a> Gains<'a> {
    pub fn new(records: &'a [Record], trust: f32) -> Self {
        let records = if trust == 0.0 { &[] } else { records };
        let known = || records.iter().filter(|record| record.seen >= ENOUGH);
        let picks: f32 = known().map(|record| record.uses).sum();
        let sum: f32 = known().map(|record| record.uses * record.mean).sum();
        Self { records, mean: if picks > 0.0 { sum / picks } else { 0.0 }, trust }
    }

    /// The gain to expect of an expert, in means of its layer, `caution` standard deviations below its mean,
    /// as far as it is believed. 1 for an expert that is not known yet.
    pub fn of(&self, expert: ExpertId, caution: f32) -> f32 {
        match self.records.get(expert.index()) {
            Some(own) if own.seen >= ENOUGH && self.mean > 0.0 => {
                let gain = (own.mean - caution * own.variance.sqrt()).max(0.0) / self.mean;
                gain.powf(self.trust)
            }
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seen: f32, uses: f32, mean: f32, variance: f32) -> Record {
        Record { seen, uses, mean, variance, ..Record::default() }
    }

    #[test]
    fn gains_are_in_means_of_the_layer_and_lowered_by_doubt() {
        let records = [record(9.0, 3.0, 1.0, 0.0), record(9.0, 1.0, 5.0, 4.0), record(1.0, 9.0, 50.0, 0.0)];
        let gains = Gains::new(&records, 1.0);
        let of = |expert, caution| gains.of(ExpertId(expert), caution);
        // (3 * 1 + 1 * 5) / 4 = 2; the third is not known yet.
        assert_eq!([of(0, 0.0), of(1, 0.0), of(1, 1.0), of(1, 9.0), of(2, 1.0)], [0.5, 2.5, 1.5, 0.0, 1.0]);
        assert_eq!(Gains::new(&records, 0.5).of(ExpertId(1), 0.0), 2.5f32.sqrt());
        assert_eq!(Gains::new(&records, 0.0).of(ExpertId(1), 0.0), 1.0);
        assert_eq!(Gains::new(&[], 1.0).of(ExpertId(1), 0.0), 1.0);
    }
}
