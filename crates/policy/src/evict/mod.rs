//! Eviction: which resident expert is worth least.

mod lfu;
mod lru;

use hotset_base::ExpertKey;

pub use lfu::Lfu;
pub use lru::Lru;

/// How much an expert deserves its slot; the smallest leaves first. Compared field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Retention(pub u64, pub u64);

/// An eviction policy over the experts of one model.
///
/// `now` counts layer-tokens and never falls. The pager asks for the retention of every expert that
/// may leave and overwrites the smallest; pinned experts and those the present layer-token picked
/// are not its business.
pub trait Evict: Send {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// A layer-token chose this expert, whether or not it was hot.
    fn used(&mut self, key: ExpertKey, now: u64);

    /// What the expert's place in the arena is worth.
    fn retention(&self, key: ExpertKey) -> Retention;
}

/// The eviction policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictKind {
    /// Least recently used.
    Lru,
    /// Least frequently used, ties to the least recently used.
    Lfu,
}

impl EvictKind {
    /// The policy for a model of this many layers and experts.
    pub fn build(self, layers: usize, experts: usize) -> Box<dyn Evict> {
        match self {
            Self::Lru => Box::new(Lru::new(layers, experts)),
            Self::Lfu => Box::new(Lfu::new(layers, experts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotset_base::{ExpertId, LayerId};

    fn key(expert: u16) -> ExpertKey {
        ExpertKey::new(LayerId(0), ExpertId(expert))
    }

    /// The expert each policy gives up after these uses, of experts 0 to 2.
    fn victim(kind: EvictKind, uses: &[u16]) -> u16 {
        let mut policy = kind.build(1, 3);
        for (now, &expert) in uses.iter().enumerate() {
            policy.used(key(expert), now as u64 + 1);
        }
        (0..3).min_by_key(|&e| policy.retention(key(e))).unwrap()
    }

    #[test]
    fn recency_and_frequency_disagree_where_they_should() {
        assert_eq!(victim(EvictKind::Lru, &[0, 0, 0, 1, 2]), 0);
        assert_eq!(victim(EvictKind::Lfu, &[0, 0, 0, 1, 2]), 1);
        assert_eq!(victim(EvictKind::Lfu, &[2, 1, 0, 2, 1]), 0);
    }
}
