//! Families: groups of a layer's experts that are wanted together.

use crate::ExpertId;
use crate::limits::MAX_EXPERTS;

/// A partition of one layer's experts. Families are numbered by their first expert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Families {
    /// `[experts]`: the family of each.
    of: Vec<u16>,
    /// `[families]`: members in rising order.
    members: Vec<Vec<ExpertId>>,
}

/// Labels that are no partition as [`Families`] numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// More experts than a layer may have.
    #[error("{0} experts are more than {max}", max = MAX_EXPERTS)]
    TooMany(usize),
    /// A family that is neither known nor the next new one.
    #[error("{0} is in family {1}, where families are numbered by their first expert")]
    Order(ExpertId, u16),
}

impl Families {
    /// Takes labels that came from a file.
    ///
    /// # Errors
    /// If they are not `[experts]` numbers, new ones in rising order from 0.
    pub fn from_labels(labels: &[u16]) -> Result<Self, LabelError> {
        if labels.len() > MAX_EXPERTS {
            return Err(LabelError::TooMany(labels.len()));
        }
        let mut next = 0;
        for (expert, &label) in labels.iter().enumerate() {
            if label > next {
                return Err(LabelError::Order(ExpertId(expert as u16), label));
            }
            next = next.max(label + 1);
        }
        Ok(Self::group(labels))
    }

    /// Experts with equal labels are a family.
    pub fn group(labels: &[u16]) -> Self {
        let mut seen: Vec<u16> = Vec::new();
        let mut members: Vec<Vec<ExpertId>> = Vec::new();
        let of = labels.iter().enumerate().map(|(expert, label)| {
            let family = seen.iter().position(|known| known == label).unwrap_or_else(|| {
                seen.push(*label);
                members.push(Vec::new());
                seen.len() - 1
            });
            members[family].push(ExpertId(expert as u16));
            family as u16
        });
        Self { of: of.collect(), members }
    }

    /// `[experts]`: the family of each, as [`Families::from_labels`] takes them.
    pub fn labels(&self) -> &[u16] {
        &self.of
    }

    /// `[families]`: members in rising order.
    pub fn members(&self) -> &[Vec<ExpertId>] {
        &self.members
    }

    /// Both are in one family.
    pub fn together(&self, a: ExpertId, b: ExpertId) -> bool {
        self.of[a.index()] == self.of[b.index()]
    }

    /// All experts, families adjacent.
    pub fn order(&self) -> impl Iterator<Item = ExpertId> + '_ {
        self.members.iter().flatten().copied()
    }
}
