//! Paging compiled to a lookup, to measure what paging costs: the feature `noop-paging` puts this in the
//! place of the [`Pager`].
//!
//! Every expert is read by the pager when it is opened, and checked; from then on a visit only looks up where
//! the bytes are. Nothing is counted, predicted, pinned or evicted. It refuses an arena that does not hold
//! everything.

use std::io;
use std::ops::Range;
use std::time::Duration;

use hotset_base::figures::PagerTotals;
use hotset_base::{Bytes, ExpertId, ExpertKey, LayerId, RowKind};
use hotset_format::Checkpoint;
use hotset_policy::evict::Evict;

use crate::pager::Pager;
use crate::source::PARTS;
use crate::{ArenaPlan, Arrived, ExpertSource, PagerError, PagerOptions, SlotId, Timing};

/// See the module's text. The methods are the pager's.
pub struct Resident {
    pager: Pager,
    experts: usize,
    /// `[layers * experts]`: slot and bytes of each part.
    places: Vec<(SlotId, [Range<usize>; PARTS])>,
    /// `[experts]`: all are hot.
    hot: Vec<bool>,
    layer: LayerId,
    wants: Vec<ExpertId>,
}

#[allow(missing_docs, reason = "they are the pager's methods, documented there")]
impl Resident {
    pub fn open(
        checkpoint: &Checkpoint,
        source: ExpertSource,
        plan: &ArenaPlan,
        evict: Box<dyn Evict>,
        options: &PagerOptions,
        progress: &mut dyn FnMut(Bytes),
    ) -> io::Result<Self> {
        let (layers, experts) = (source.layers(), source.experts_per_layer());
        if plan.slots() < layers * experts {
            return Err(io::Error::other("noop-paging needs room for every expert"));
        }
        let mut pager = Pager::open(checkpoint, source, plan, evict, options, progress)?;
        let mut places = Vec::with_capacity(layers * experts);
        for layer in (0..layers as u16).map(LayerId) {
            for expert in (0..experts as u16).map(ExpertId) {
                load(&mut pager, layer, expert).map_err(io::Error::other)?;
                places.push(pager.place(ExpertKey::new(layer, expert)));
            }
        }
        let (hot, wants) = (vec![true; experts], Vec::with_capacity(experts));
        Ok(Self { pager, experts, places, hot, layer: LayerId(0), wants })
    }

    pub fn clear(&mut self, _evict: Box<dyn Evict>) {}

    pub fn timing(&self) -> Timing {
        Timing::ByTime
    }

    pub fn keep_time(&mut self, _timing: Timing) {}

    pub fn hot(&self, _layer: LayerId) -> &[bool] {
        &self.hot
    }

    pub fn held(&self, _layer: LayerId) -> &[bool] {
        &self.hot
    }

    pub fn expert_bytes(&self, layer: LayerId) -> Bytes {
        self.pager.expert_bytes(layer)
    }

    pub fn read_us(&self) -> f64 {
        0.0
    }

    pub fn stats(&self) -> PagerTotals {
        PagerTotals::default()
    }

    pub fn stall(&self) -> Duration {
        Duration::ZERO
    }

    pub fn engine_name(&self) -> &str {
        "no paging (everything was read when opening)"
    }

    pub fn lookahead(&self, _kind: RowKind) -> usize {
        0
    }

    pub fn poll(&mut self) {}

    pub fn admit(&mut self, _layer: LayerId, _expert: ExpertId) -> bool {
        true
    }

    pub fn preload(&mut self, _experts: &[(ExpertKey, f32)]) {}

    pub fn wait_for_preloaded(&mut self) {}

    pub fn is_settled(&self, _layer: LayerId) -> bool {
        true
    }

    pub fn prefetch_eagerly(&mut self, _eagerly: bool) {}

    pub fn predicted(&mut self, _layer: LayerId, _experts: &[ExpertId], _kind: RowKind) {}

    pub fn request(&mut self, layer: LayerId, experts: &[ExpertId]) {
        self.layer = layer;
        self.wants.clear();
        self.wants.extend_from_slice(experts);
    }

    pub fn take_arrived(&mut self, out: &mut Vec<Arrived>) -> Result<(), PagerError> {
        out.extend(self.wants.drain(..).map(|expert| Arrived { expert, gate_up: true, down: true }));
        Ok(())
    }

    pub fn gate_up(&self, expert: ExpertId) -> [&[u8]; 2] {
        [self.part(expert, 0), self.part(expert, 1)]
    }

    pub fn down(&self, expert: ExpertId) -> &[u8] {
        self.part(expert, 2)
    }

    pub fn release(&mut self, _experts: impl IntoIterator<Item = ExpertId>) {}

    fn part(&self, expert: ExpertId, part: usize) -> &[u8] {
        let (slot, parts) = &self.places[ExpertKey::new(self.layer, expert).flat(self.experts)];
        self.pager.arena().bytes(*slot, parts[part].clone())
    }
}

fn load(pager: &mut Pager, layer: LayerId, expert: ExpertId) -> Result<(), PagerError> {
    pager.request(layer, &[expert]);
    let mut arrived = Vec::with_capacity(1);
    while !arrived.iter().any(|arrived: &Arrived| arrived.down) {
        arrived.clear();
        pager.take_arrived(&mut arrived)?;
    }
    pager.release([expert]);
    Ok(())
}
