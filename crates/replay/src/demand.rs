//! What a trace asks of a cache, in memory: the picks of every layer-token, token after token.

use half::f16;
use hotset_base::{Choice, ExpertId, LayerId};
use hotset_trace::{LayerToken, Pass, TraceHeader, TraceSource, Visit};

use crate::ReplayError;

/// Which tokens of a trace are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those the model chose itself.
    Decoded,
    /// Prompts too. The tokens of a chunk come one after the other, as if they had been computed so.
    All,
}

/// See the module's text. What was not recorded takes no room: a trace may hold much of that.
#[derive(Clone, Debug)]
pub struct Demand {
    header: TraceHeader,
    /// `[tokens + 1]`: where the records of each token begin.
    starts: Vec<usize>,
    /// Layer-tokens of which something is known, token after token, layers rising.
    records: Vec<Record>,
    /// The chosen sets, one after the other.
    chosen: Vec<Choice>,
    /// `[records, top_k]`: the native set with its mass, where it is not the chosen one.
    native: Option<Vec<Choice>>,
    /// `[records, experts]`, if they were asked for.
    probabilities: Vec<f16>,
}

/// One layer-token.
#[derive(Clone, Copy, Debug)]
struct Record {
    layer: LayerId,
    /// Chosen experts, at least one.
    count: u8,
    /// Where they begin.
    start: usize,
}

impl Demand {
    /// Reads a trace to its end; `with_scores` keeps the probabilities of all experts.
    ///
    /// # Errors
    /// If the trace is damaged, has nothing to replay, or lacks the scores.
    pub fn load(source: &mut TraceSource, part: Part, with_scores: bool) -> Result<Self, ReplayError> {
        let header = source.header().clone();
        if with_scores && !header.full_scores {
            return Err(ReplayError::NeedsScores);
        }
        let find_native = !header.native_choice && header.full_scores;
        let mut demand = Self {
            header,
            starts: vec![0],
            records: Vec::new(),
            chosen: Vec::new(),
            native: find_native.then(Vec::new),
            probabilities: Vec::new(),
        };
        let mut left_out = false;
        while let Some(pass) = source.next_pass()? {
            for (i, row) in pass.rows.iter().enumerate() {
                if part == Part::All || row.phase.is_decoding() {
                    demand.add(&pass, i, with_scores);
                } else {
                    left_out = true;
                }
            }
        }
        match demand.tokens() {
            0 if left_out => Err(ReplayError::NothingDecoded),
            0 => Err(ReplayError::Empty),
            _ => Ok(demand),
        }
    }

    /// Adds a row of a pass.
    fn add(&mut self, pass: &Pass, row: usize, with_scores: bool) {
        let known = |visit: &&Visit| !visit.layer_tokens[row].chosen.is_empty();
        for visit in pass.visits.iter().filter(known) {
            let layer_token = &visit.layer_tokens[row];
            let (count, start) = (layer_token.chosen.len() as u8, self.chosen.len());
            self.records.push(Record { layer: visit.layer, count, start });
            self.chosen.extend(&layer_token.chosen);
            if let Some(native) = &mut self.native {
                native.extend(native_set(layer_token, self.header.top_k));
            }
            if with_scores {
                self.probabilities.extend(&layer_token.probabilities);
            }
        }
        self.starts.push(self.records.len());
    }

    /// Whose routers.
    pub fn header(&self) -> &TraceHeader {
        &self.header
    }

    /// Tokens to replay.
    pub fn tokens(&self) -> usize {
        self.starts.len() - 1
    }

    /// Experts that all tokens chose together.
    pub(crate) fn picks(&self) -> usize {
        self.chosen.len()
    }

    /// Number of the record of a layer-token, if there is one.
    fn record(&self, token: usize, layer: LayerId) -> Option<usize> {
        let (start, end) = (self.starts[token], self.starts[token + 1]);
        if end - start == self.header.layers {
            return Some(start + layer.index());
        }
        let found = self.records[start..end].binary_search_by_key(&layer, |record| record.layer);
        found.ok().map(|place| start + place)
    }

    /// The recorded choice in rank order; empty where nothing was recorded.
    pub fn chosen(&self, token: usize, layer: LayerId) -> &[Choice] {
        self.record(token, layer).map_or(&[], |record| self.chosen_of(record))
    }

    fn chosen_of(&self, record: usize) -> &[Choice] {
        let Record { start, count, .. } = self.records[record];
        &self.chosen[start..][..usize::from(count)]
    }

    /// The native set; weights are its mass. Empty where nothing was recorded.
    pub fn native(&self, token: usize, layer: LayerId) -> &[Choice] {
        let Some(record) = self.record(token, layer) else { return &[] };
        match &self.native {
            Some(native) => &native[record * self.header.top_k..][..self.header.top_k],
            None => self.chosen_of(record),
        }
    }

    /// `[experts]`: what the router said, if it was loaded; empty where nothing was recorded.
    pub fn probabilities(&self, token: usize, layer: LayerId) -> &[f16] {
        let experts = self.header.experts;
        self.record(token, layer).map_or(&[], |record| &self.probabilities[record * experts..][..experts])
    }
}

/// The `top_k` likeliest experts. Of equally likely ones (f16 rounds) those that were chosen come first.
fn native_set(layer_token: &LayerToken, top_k: usize) -> Vec<Choice> {
    let was_chosen = |expert: ExpertId| layer_token.chosen.iter().any(|choice| choice.expert == expert);
    let experts = layer_token.probabilities.iter().zip(0..).map(|(p, i)| (ExpertId(i), p.to_f32()));
    let mut experts: Vec<(ExpertId, f32)> = experts.collect();
    experts.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| was_chosen(b.0).cmp(&was_chosen(a.0))));
    experts.iter().take(top_k).map(|&(expert, weight)| Choice { expert, weight }).collect()
}
