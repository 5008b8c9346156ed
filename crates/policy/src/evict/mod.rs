//! Eviction: which resident expert is worth least.

mod history;
mod least_stale;
mod lfru;
mod lfu;
mod lru;
mod window_lfu;

use std::fmt;

use hotset_base::ExpertKey;

pub use least_stale::LeastStale;
pub use lfru::Lfru;
pub use lfu::Lfu;
pub use lru::Lru;
pub use window_lfu::WindowLfu;

/// How much an expert deserves its slot; the smallest leaves first. Compared field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Retention(pub u64, pub u64);

/// An eviction policy over the experts of one model.
///
/// `visit_number` counts visits, over all layers: a layer visited for a whole chunk of tokens is one. It
/// never falls. The pager asks for the retention of every expert that may leave and overwrites the smallest;
/// pinned experts and those that the present visit wants are not its business.
pub trait Evict: Send {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// A layer-token chose this expert, whether or not it was hot. Its experts come in rank order, those of a
    /// prompt chunk in the order of their numbers.
    fn used(&mut self, key: ExpertKey, visit_number: u64);

    /// A context is known again: how often this expert was used in it, in uses that have faded. Told of every
    /// expert, what was used most last; what is known otherwise is of another context.
    ///
    /// Policies that do not count take it for one use.
    fn preload(&mut self, key: ExpertKey, uses: f32, visit_number: u64) {
        if uses > 0.0 {
            self.used(key, visit_number);
        }
    }

    /// What the expert's place in the arena is worth.
    fn retention(&self, key: ExpertKey) -> Retention;

    /// An expert's retention stays what it is until the next visit to its layer after the one that used it,
    /// and from then on until it is used again: it may be kept in order instead of being asked for.
    fn is_steady(&self) -> bool {
        false
    }
}

/// The eviction policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictKind {
    /// Least recently used.
    Lru,
    /// Least frequently used, ties to the least recently used; uses fade.
    Lfu {
        /// Visits of its layer after which a use counts half; `None` never fades.
        half_life: Option<u32>,
    },
    /// The same, and what the latest visit of a layer chose is protected.
    WindowLfu {
        /// As for `Lfu`.
        half_life: Option<u32>,
    },
    /// Uses over the time since the last one.
    Lfru,
    /// What its layer has not chosen longest, then what its layer needs last.
    LeastStale,
}

impl EvictKind {
    /// The policy for a model of this many layers and experts.
    pub fn build(self, layers: usize, experts: usize) -> Box<dyn Evict> {
        match self {
            Self::Lru => Box::new(Lru::new(layers, experts)),
            Self::Lfu { half_life } => Box::new(Lfu::new(layers, experts, half_life)),
            Self::WindowLfu { half_life } => Box::new(WindowLfu::new(layers, experts, half_life)),
            Self::Lfru => Box::new(Lfru::new(layers, experts)),
            Self::LeastStale => Box::new(LeastStale::new(layers, experts)),
        }
    }
}

impl fmt::Display for EvictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lru => f.write_str("lru"),
            Self::Lfu { half_life: None } => f.write_str("lfu"),
            Self::Lfu { half_life: Some(visits) } => write!(f, "lfu, half-life {visits}"),
            Self::WindowLfu { half_life: None } => f.write_str("window-lfu"),
            Self::WindowLfu { half_life: Some(visits) } => write!(f, "window-lfu, half-life {visits}"),
            Self::Lfru => f.write_str("lfru"),
            Self::LeastStale => f.write_str("least-stale"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotset_base::{ExpertId, LayerId};

    fn key(layer: u16, expert: u16) -> ExpertKey {
        ExpertKey::new(LayerId(layer), ExpertId(expert))
    }

    const LFU: EvictKind = EvictKind::Lfu { half_life: None };

    /// The expert each policy gives up after these uses, of experts 0 to 2 of one layer.
    fn victim(kind: EvictKind, uses: &[u16]) -> u16 {
        let mut policy = kind.build(1, 3);
        for (now, &expert) in uses.iter().enumerate() {
            policy.used(key(0, expert), now as u64 + 1);
        }
        (0..3).min_by_key(|&e| policy.retention(key(0, e))).unwrap()
    }

    #[test]
    fn recency_and_frequency_disagree_where_they_should() {
        assert_eq!(victim(EvictKind::Lru, &[0, 0, 0, 1, 2]), 0);
        assert_eq!(victim(LFU, &[0, 0, 0, 1, 2]), 1);
        assert_eq!(victim(LFU, &[2, 1, 0, 2, 1]), 0);
        assert_eq!(victim(EvictKind::LeastStale, &[0, 0, 0, 1, 2]), 0);
        // 0: 3 uses, idle for 2 visits; 1: 1 use, idle for 1; 2: 1 use just now.
        assert_eq!(victim(EvictKind::Lfru, &[0, 0, 0, 1, 2]), 1);
    }

    #[test]
    fn old_uses_fade_when_they_are_told_to() {
        let mut uses = vec![0; 20];
        uses.extend([1, 2, 1, 2, 1, 2, 1, 2]);
        assert_eq!(victim(LFU, &uses), 1);
        assert_eq!(victim(EvictKind::Lfu { half_life: Some(2) }, &uses), 0);
        // Hundreds of half-lives later the arithmetic still orders them.
        let mut long = vec![0; 5000];
        long.extend([1, 2, 2]);
        assert_eq!(victim(EvictKind::Lfu { half_life: Some(4) }, &long), 1);
    }

    #[test]
    fn a_window_keeps_the_latest_picks_unless_favourites_are_at_stake() {
        const WINDOW_LFU: EvictKind = EvictKind::WindowLfu { half_life: Some(16) };
        // 0 has more uses than 2, and 2 the latest one; a window of 16 visits is worth 5.8 uses.
        assert_eq!(victim(EvictKind::Lfu { half_life: Some(16) }, &[0, 0, 0, 1, 1, 2]), 2);
        assert_eq!(victim(WINDOW_LFU, &[0, 0, 0, 1, 1, 2]), 1);
        assert_eq!(victim(WINDOW_LFU, &[0, 0, 0, 1, 1, 2, 0]), 2);
        let mut favourites = [0, 1].repeat(12);
        favourites.push(2);
        assert_eq!(victim(WINDOW_LFU, &favourites), 2);
    }

    #[test]
    fn what_is_preloaded_takes_the_place_of_what_was_counted() {
        for kind in [LFU, EvictKind::Lfu { half_life: Some(4) }] {
            let mut policy = kind.build(1, 4);
            (0..40).for_each(|now| policy.used(key(0, 0), now + 1));
            for (expert, uses) in [(0, 0.0), (1, 3.5), (2, 6.0)] {
                policy.preload(key(0, expert), uses, 41);
            }
            let mut order: Vec<u16> = (0..4).collect();
            order.sort_by_key(|&expert| policy.retention(key(0, expert)).0);
            assert_eq!(order, [0, 3, 1, 2]);
            // Uses go on from what was preloaded.
            policy.used(key(0, 1), 42);
            policy.used(key(0, 3), 43);
            order.sort_by_key(|&expert| policy.retention(key(0, expert)).0);
            assert_eq!(order, [0, 3, 1, 2]);
        }
        let mut lru = EvictKind::Lru.build(1, 3);
        (0..3).for_each(|now| lru.used(key(0, now as u16), now + 1));
        [(2, 0.0), (1, 1.0), (0, 2.0)]
            .into_iter()
            .for_each(|(expert, uses)| lru.preload(key(0, expert), uses, 4));
        assert!(lru.retention(key(0, 0)) > lru.retention(key(0, 1)));
    }

    #[test]
    fn least_stale_gives_up_what_has_just_been_passed() {
        let mut policy = EvictKind::LeastStale.build(4, 1);
        (0..8).for_each(|now| policy.used(key(now as u16 % 4, 0), now + 1));
        policy.used(key(0, 0), 9);
        policy.used(key(1, 0), 10);
        // Next come layers 2, 3, 0, 1: layer 1 is needed last, layer 2 first.
        let mut order: Vec<u16> = (0..4).collect();
        order.sort_by_key(|&layer| policy.retention(key(layer, 0)));
        assert_eq!(order, [1, 0, 3, 2]);
    }
}
