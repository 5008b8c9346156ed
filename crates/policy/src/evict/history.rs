//! What every policy knows of an expert: when it was last chosen, and how often.

use hotset_base::ExpertKey;

/// Uses of every expert, counted in visits to its own layer: an expert can only be chosen when its
/// layer is visited, so that is the time that counts.
#[derive(Debug)]
pub(super) struct History {
    experts: usize,
    uses: Vec<Use>,
    /// Visits to each layer, and when the last one was.
    layers: Vec<(u64, u64)>,
    /// Uses of all experts.
    uses_seen: u64,
    /// The layer visited last.
    pub current: usize,
}

/// Of one expert.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    /// Counted over all uses, so that no two experts have the same.
    pub last: u64,
    /// Counted in its layer's visits.
    pub last_visit: u64,
    pub count: u64,
}

impl History {
    pub fn new(layers: usize, experts: usize) -> Self {
        let uses = vec![Use::default(); layers * experts];
        Self { experts, uses, layers: vec![(0, 0); layers], uses_seen: 0, current: 0 }
    }

    /// Notes a use and gives what was known before it and the visit of its layer that this is.
    pub fn used(&mut self, key: ExpertKey, visit_number: u64) -> (Use, u64) {
        self.current = key.layer.index();
        let (visits, last) = &mut self.layers[key.layer.index()];
        if *last != visit_number {
            (*visits, *last) = (*visits + 1, visit_number);
        }
        self.uses_seen += 1;
        let entry = &mut self.uses[key.flat(self.experts)];
        let before = *entry;
        *entry = Use { last: self.uses_seen, last_visit: *visits, count: before.count + 1 };
        (before, *visits)
    }

    pub fn of(&self, key: ExpertKey) -> Use {
        self.uses[key.flat(self.experts)]
    }

    /// Visits to the expert's layer.
    pub fn visits(&self, key: ExpertKey) -> u64 {
        self.layers[key.layer.index()].0
    }

    /// Visits to the expert's layer since it was last chosen there; 0 if that was the latest.
    pub fn idle(&self, key: ExpertKey) -> u64 {
        self.layers[key.layer.index()].0 - self.of(key).last_visit
    }

    /// Layers that are visited before the expert's own comes round again.
    pub fn distance(&self, key: ExpertKey) -> u64 {
        let layers = self.layers.len();
        ((key.layer.index() + layers - self.current - 1) % layers) as u64
    }
}
