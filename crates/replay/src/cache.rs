//! The arena of the simulator: slots, who is in them, and who leaves. The rules are the pager's: all experts
//! of a visit are used first, in rank order, then those that are not there are admitted; an empty slot is
//! taken before a full one, what the visit did not want before what it did, the smallest retention before
//! larger ones, and of equals the slot of the lowest number. Where a visit wants more experts than there are
//! slots, the pager keeps what was read last; here, those of the largest retention stay.

use std::ops::Range;

use hotset_base::{ExpertId, ExpertKey, LayerId};
use hotset_policy::evict::{Evict, Retention};

use crate::order::Order;
use crate::{Demand, ReplayPolicy, Scope};

/// Slots of a pool that are searched faster than they are kept in order.
const SEARCHED: usize = 64;

/// Slots that some layers share.
#[derive(Debug)]
struct Pool {
    slots: Range<usize>,
    /// Slots in use; they are filled from the first and never emptied.
    used: usize,
    /// Of large pools, for policies whose retentions allow it. Slots count from the pool's first.
    order: Option<Order>,
}

impl Pool {
    fn set_worth(&mut self, slot: usize, worth: Retention) {
        if let Some(order) = &mut self.order {
            order.set((slot - self.slots.start) as u32, worth);
        }
    }
}

/// See the module's text.
pub(crate) struct Cache {
    evict: Box<dyn Evict>,
    /// What was just computed is not kept if all residents are needed sooner.
    may_bypass: bool,
    experts: usize,
    pools: Vec<Pool>,
    /// `[layers]`
    pool_of: Vec<usize>,
    /// `[slots]`
    residents: Vec<ExpertKey>,
    /// `[layers * experts]`
    places: Vec<Option<u32>>,
    /// `[layers * experts]`: what routing policies see.
    held: Vec<bool>,
    /// `[experts]`: wanted by the present visit.
    wanted: Vec<bool>,
    /// `[layers]`: the experts of each layer's last visit, up to `[experts]`.
    latest: Vec<Vec<ExpertId>>,
    /// Up to `[experts]`: room for what a visit does not find.
    missing: Vec<ExpertKey>,
    layer: LayerId,
    /// Visits so far.
    visit_number: u64,
}

impl Cache {
    pub fn new(demand: &Demand, policy: ReplayPolicy, experts_per_layer: usize) -> Self {
        let (layers, experts) = (demand.header().layers, demand.header().experts);
        let evict = policy.build(demand);
        let own = experts_per_layer.min(experts);
        let (pools, size) = match policy.scope {
            Scope::PerLayer => (layers, own),
            Scope::Shared => (1, own * layers),
        };
        let pool = |i: usize| Pool {
            slots: i * size..(i + 1) * size,
            used: 0,
            order: (evict.is_steady() && size > SEARCHED).then(Order::default),
        };
        Self {
            may_bypass: policy.is_clairvoyant(),
            experts,
            pools: (0..pools).map(pool).collect(),
            pool_of: (0..layers).map(|layer| layer.min(pools - 1)).collect(),
            residents: vec![ExpertKey::new(LayerId(0), ExpertId(0)); pools * size],
            places: vec![None; layers * experts],
            held: vec![false; layers * experts],
            wanted: vec![false; experts],
            latest: vec![Vec::new(); layers],
            missing: Vec::new(),
            layer: LayerId(0),
            visit_number: 0,
            evict,
        }
    }

    /// About what a cache takes when everything in it is in use.
    pub fn planned_bytes(demand: &Demand, policy: ReplayPolicy) -> usize {
        /// Place, held, history and order of one expert.
        const EXPERT: usize = 200;
        let known = if policy.is_clairvoyant() { demand.picks() * size_of::<u64>() } else { 0 };
        demand.header().layers * demand.header().experts * EXPERT + known
    }

    /// `[experts]`: which experts of a layer are held.
    pub fn held(&self, layer: LayerId) -> &[bool] {
        &self.held[layer.index() * self.experts..][..self.experts]
    }

    /// A visit: `experts` in rank order.
    pub fn visit(&mut self, layer: LayerId, experts: &[ExpertId]) {
        self.visit_number += 1;
        self.layer = layer;
        for &expert in experts {
            self.wanted[expert.index()] = true;
            self.evict.used(ExpertKey::new(layer, expert), self.visit_number);
        }
        let pool = self.pool_of[layer.index()];
        self.weigh_latest(pool, layer, experts);
        let mut missing = std::mem::take(&mut self.missing);
        for key in experts.iter().map(|&expert| ExpertKey::new(layer, expert)) {
            match self.places[key.flat(self.experts)] {
                Some(slot) => self.pools[pool].set_worth(slot as usize, self.evict.retention(key)),
                None => missing.push(key),
            }
        }
        missing.drain(..).for_each(|key| self.admit(pool, key));
        self.missing = missing;
        for &expert in experts {
            self.wanted[expert.index()] = false;
        }
    }

    /// What the visit before chose may be worth less from now on.
    fn weigh_latest(&mut self, pool: usize, layer: LayerId, experts: &[ExpertId]) {
        for &expert in &self.latest[layer.index()] {
            let key = ExpertKey::new(layer, expert);
            if let Some(slot) = self.places[key.flat(self.experts)] {
                self.pools[pool].set_worth(slot as usize, self.evict.retention(key));
            }
        }
        self.latest[layer.index()].clear();
        self.latest[layer.index()].extend_from_slice(experts);
    }

    fn admit(&mut self, pool: usize, key: ExpertKey) {
        let worth = self.evict.retention(key);
        let Pool { slots, used, .. } = &mut self.pools[pool];
        let slot = if *used < slots.len() {
            *used += 1;
            slots.start + *used - 1
        } else {
            let (wanted, smallest, slot) = self.victim(pool);
            if (wanted || self.may_bypass) && worth <= smallest {
                return;
            }
            let flat = self.residents[slot].flat(self.experts);
            (self.places[flat], self.held[flat]) = (None, false);
            slot
        };
        let flat = key.flat(self.experts);
        self.residents[slot] = key;
        (self.places[flat], self.held[flat]) = (Some(slot as u32), true);
        self.pools[pool].set_worth(slot, worth);
    }

    /// The slot of a full pool to overwrite, with what is against it: whether the present visit wants its
    /// resident, and the retention. The clairvoyant needs no protection of the visit's own experts: it knows
    /// what they are worth.
    fn victim(&mut self, pool: usize) -> (bool, Retention, usize) {
        let Self { pools, residents, wanted, layer, may_bypass, evict, .. } = self;
        let Pool { slots, order, .. } = &mut pools[pool];
        let is_protected = |slot: usize| {
            let key = residents[slot];
            !*may_bypass && key.layer == *layer && wanted[key.expert.index()]
        };
        let Some(order) = order else {
            let worth = |slot: usize| (is_protected(slot), evict.retention(residents[slot]), slot);
            return slots.clone().map(worth).min().expect("a pool has slots");
        };
        let (retention, slot) = order.smallest(|slot| !is_protected(slots.start + slot as usize));
        let slot = slots.start + slot as usize;
        (is_protected(slot), retention, slot)
    }
}
