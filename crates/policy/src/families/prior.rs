//! Families as a prior: what is known of a family is expected of each of its members.

use hotset_base::limits::MAX_EXPERTS;
use hotset_base::{Families, LayerId};

/// The families of every layer of a model.
#[derive(Clone, Debug)]
pub struct FamilyPrior {
    experts: usize,
    /// `[layers * experts]`: the family of each.
    of: Vec<u16>,
}

impl FamilyPrior {
    /// `families` has one partition for every layer; none for a model without.
    pub fn new(families: &[Families]) -> Option<Self> {
        let experts = families.first()?.labels().len();
        Some(Self { experts, of: families.iter().flat_map(Families::labels).copied().collect() })
    }

    /// What it occupies for a model of so many experts.
    pub fn planned_bytes(experts: usize) -> usize {
        experts * size_of::<u16>()
    }

    /// `[experts]` values of a layer become `(1 - share) * value + share * mean of its family`: their sum stays.
    pub fn blend(&self, layer: LayerId, share: f32, values: &mut [f32]) {
        let of = &self.of[layer.index() * self.experts..][..self.experts];
        let (mut sums, mut sizes) = ([0.0f32; MAX_EXPERTS], [0.0f32; MAX_EXPERTS]);
        for (&family, value) in of.iter().zip(values.iter()) {
            sums[usize::from(family)] += value;
            sizes[usize::from(family)] += 1.0;
        }
        for (&family, value) in of.iter().zip(values) {
            let family = usize::from(family);
            *value += share * (sums[family] / sizes[family] - *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_share_what_their_family_has() {
        let families = [Families::group(&[0, 0, 0]), Families::group(&[0, 1, 0])];
        let prior = FamilyPrior::new(&families).unwrap();
        let mut values = [4.0, 1.0, 0.0];
        prior.blend(LayerId(1), 0.5, &mut values);
        assert_eq!(values, [3.0, 1.0, 1.0]);
        prior.blend(LayerId(1), 0.0, &mut values);
        assert_eq!(values, [3.0, 1.0, 1.0]);
        prior.blend(LayerId(1), 1.0, &mut values);
        assert_eq!(values, [2.0, 1.0, 2.0]);
        assert!(FamilyPrior::new(&[]).is_none());
    }
}
