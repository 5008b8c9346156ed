//! Least frequently used, with a window for what is new.

use hotset_base::ExpertKey;

use super::lfu::Lfu;
use super::{Evict, Retention};

/// Share of its layer's visits that the latest one is worth. On traces of two models an eighth to a quarter
/// did best or within half a point of it; more costs hits where the arena is about one token's picks, less
/// loses the window.
const WINDOW: f64 = 0.25;

/// More uses than are ever counted, and few enough for `f64` to tell any two sums apart.
const MOST_USES: f64 = (1u64 << 50) as f64;

/// LFU, but what the latest visit of a layer chose counts as if it had been chosen in another quarter of the
/// visits: two tokens in a row share more picks than any count predicts, and under LFU alone a newcomer
/// leaves before its second chance, pushed out by the layers in between. The idea of a window beside the
/// frequent ones is W-TinyLFU's (1512.00727).
///
/// The faded count of an expert chosen in all visits is `sum(2^(-i / half_life)) = half_life / ln 2`. Where
/// uses do not fade there is no such count, and the latest are worth more than any others.
#[derive(Debug)]
pub struct WindowLfu {
    lfu: Lfu,
    /// `WINDOW` in uses.
    window: f64,
}

impl WindowLfu {
    /// For `layers` x `experts` experts.
    pub fn new(layers: usize, experts: usize, half_life: Option<u32>) -> Self {
        let all_visits = |half_life| f64::from(half_life) / std::f64::consts::LN_2;
        let window = half_life.map_or(MOST_USES, |half_life| WINDOW * all_visits(half_life));
        Self { lfu: Lfu::new(layers, experts, half_life), window }
    }
}

impl Evict for WindowLfu {
    fn name(&self) -> &'static str {
        "window-lfu"
    }

    fn used(&mut self, key: ExpertKey, visit_number: u64) {
        self.lfu.used(key, visit_number);
    }

    fn preload(&mut self, key: ExpertKey, uses: f32, visit_number: u64) {
        self.lfu.preload(key, uses, visit_number);
    }

    fn retention(&self, key: ExpertKey) -> Retention {
        self.lfu.retention_with(key, if self.lfu.is_latest(key) { self.window } else { 0.0 })
    }

    fn is_steady(&self) -> bool {
        true
    }
}
