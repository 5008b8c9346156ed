//! What may be replayed, by name.

use std::fmt;
use std::str::FromStr;

use hotset_policy::evict::{Evict, EvictKind};

use crate::Demand;
use crate::belady::Belady;

/// Who may use which slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every layer has its own.
    PerLayer,
    /// All layers share all slots, as if all experts had one size.
    Shared,
}

/// What leaves first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// As the engine does it.
    Live(EvictKind),
    /// What is needed last, known from the future.
    Belady,
}

/// A cache to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayPolicy {
    /// What leaves first.
    pub eviction: Eviction,
    /// Who may use which slots.
    pub scope: Scope,
}

/// A name that means nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a cache: lru, lfu, window-lfu, lfru, least-stale (H slots in every layer), the same with global- in front (H x layers slots for all), belady-layer, belady"
)]
pub struct ParsePolicyError(String);

/// Every cache there is, per layer and shared.
const NAMES: [(&str, &str, Eviction); 6] = [
    ("lru", "global-lru", Eviction::Live(EvictKind::Lru)),
    ("lfu", "global-lfu", Eviction::Live(EvictKind::Lfu { half_life: None })),
    ("window-lfu", "global-window-lfu", Eviction::Live(EvictKind::WindowLfu { half_life: None })),
    ("lfru", "global-lfru", Eviction::Live(EvictKind::Lfru)),
    ("least-stale", "global-least-stale", Eviction::Live(EvictKind::LeastStale)),
    ("belady-layer", "belady", Eviction::Belady),
];

impl ReplayPolicy {
    /// The same cache with this half-life of uses, if it counts them.
    pub fn with_half_life(self, half_life: Option<u32>) -> Self {
        match self.eviction {
            Eviction::Live(EvictKind::Lfu { .. }) => {
                Self { eviction: Eviction::Live(EvictKind::Lfu { half_life }), ..self }
            }
            Eviction::Live(EvictKind::WindowLfu { .. }) => {
                Self { eviction: Eviction::Live(EvictKind::WindowLfu { half_life }), ..self }
            }
            _ => self,
        }
    }

    /// It must know the demand in advance.
    pub fn is_clairvoyant(self) -> bool {
        self.eviction == Eviction::Belady
    }

    pub(crate) fn build(self, demand: &Demand) -> Box<dyn Evict> {
        let header = demand.header();
        match self.eviction {
            Eviction::Live(kind) => kind.build(header.layers, header.experts),
            Eviction::Belady => Box::new(Belady::new(demand)),
        }
    }
}

impl FromStr for ReplayPolicy {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        for (own, shared, eviction) in NAMES {
            if text == own {
                return Ok(Self { eviction, scope: Scope::PerLayer });
            }
            if text == shared {
                return Ok(Self { eviction, scope: Scope::Shared });
            }
        }
        Err(ParsePolicyError(text.to_owned()))
    }
}

impl fmt::Display for ReplayPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The half-life is a parameter, not part of the name.
        let plain = self.with_half_life(None);
        let names = NAMES.iter().find(|(_, _, eviction)| *eviction == plain.eviction);
        let (own, shared, _) = names.expect("every cache has a name");
        f.pad(if self.scope == Scope::Shared { shared } else { own })
    }
}
