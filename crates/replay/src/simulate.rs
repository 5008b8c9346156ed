//! One cache, or many side by side, over a trace.

use hotset_base::{Bytes, ExpertId, LayerId};
use rayon::prelude::*;

use crate::cache::Cache;
use crate::router::Router;
use crate::{Demand, Outcome, ReplayError, ReplayPolicy, RouterMaker};

/// A cache and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The cache.
    pub policy: ReplayPolicy,
    /// Slots per layer.
    pub experts_per_layer: usize,
}

/// Replays a trace through one cache, empty at first. The first `warm` tokens are not counted.
///
/// # Errors
/// If `warm` leaves nothing to count, the cache needs a demand that is known, or a router refuses.
pub fn replay(
    demand: &Demand,
    setting: Setting,
    warm: usize,
    router: Option<RouterMaker<'_>>,
) -> Result<Outcome, ReplayError> {
    if warm >= demand.tokens() {
        return Err(ReplayError::AllWarm { warm, tokens: demand.tokens() });
    }
    if setting.policy.is_clairvoyant() && router.is_some() {
        return Err(ReplayError::NeedsKnownDemand);
    }
    let header = demand.header();
    let mut cache = Cache::new(demand, setting.policy, setting.experts_per_layer);
    let mut router = Router::new(router, demand, setting.experts_per_layer);
    let mut outcome = Outcome::new(setting.policy, setting.experts_per_layer, demand.tokens() - warm);
    let mut wanted: Vec<ExpertId> = Vec::new();
    for token in 0..demand.tokens() {
        for layer in (0..header.layers as u16).map(LayerId) {
            let held = cache.held(layer);
            let chosen = router.choose(demand, (token, layer), held)?;
            if chosen.is_empty() {
                continue;
            }
            if token >= warm {
                let native = demand.native(token, layer);
                let expert_bytes = Bytes(header.expert_bytes[layer.index()]);
                outcome.count((native, chosen), held, expert_bytes, header.norm_topk);
            }
            wanted.clear();
            wanted.extend(chosen.iter().map(|choice| choice.expert));
            cache.visit(layer, &wanted);
        }
    }
    Ok(outcome)
}

/// What caches that are replayed side by side take together, if one alone does not take more.
const SIDE_BY_SIDE: usize = 32 << 20;

/// Replays a trace through every cache, on all cores unless that takes too much memory; outcomes in the order
/// of the settings.
///
/// # Errors
/// As [`replay`].
pub fn replay_all(
    demand: &Demand,
    settings: &[Setting],
    warm: usize,
    router: Option<RouterMaker<'_>>,
) -> Result<Vec<Outcome>, ReplayError> {
    let largest = settings.iter().map(|setting| Cache::planned_bytes(demand, setting.policy)).max();
    let mut outcomes = Vec::with_capacity(settings.len());
    for some in settings.chunks((SIDE_BY_SIDE / largest.unwrap_or(0).max(1)).max(1)) {
        let replayed = some.par_iter().map(|&setting| replay(demand, setting, warm, router));
        outcomes.extend(replayed.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(outcomes)
}
