//! The KV caches of all sequences that may be under way, taken together when a model is opened.

use std::io;

use hotset_base::limits::MAX_SEQUENCES;
use hotset_base::{Batch, Bytes, SequenceId};
use hotset_format::ModelConfig;

use crate::{ForwardError, KvCache, KvTypes};

/// One cache for each sequence, by its number.
pub struct Caches(Vec<KvCache>);

impl Caches {
    /// Room for `context` tokens of each of so many sequences.
    ///
    /// # Errors
    /// What the system says when it refuses the memory.
    ///
    /// # Panics
    /// If there are more sequences than [`MAX_SEQUENCES`].
    pub fn new(config: &ModelConfig, sequences: usize, context: usize, types: KvTypes) -> io::Result<Self> {
        assert!(sequences <= MAX_SEQUENCES, "a plan has checked it");
        (0..sequences).map(|_| KvCache::new(config, context, types)).collect::<io::Result<_>>().map(Self)
    }

    /// Memory that they take.
    pub fn planned_bytes(config: &ModelConfig, sequences: usize, context: usize, types: KvTypes) -> Bytes {
        Bytes(sequences as u64 * KvCache::planned_bytes(config, context, types).0)
    }

    /// Positions in use of a sequence.
    pub fn len(&self, sequence: SequenceId) -> usize {
        self.of(sequence).len()
    }

    /// Forgets every position of a sequence from `len` on.
    pub fn truncate(&mut self, sequence: SequenceId, len: usize) {
        self.of_mut(sequence).truncate(len);
    }

    pub(crate) fn of(&self, sequence: SequenceId) -> &KvCache {
        &self.0[sequence.index()]
    }

    pub(crate) fn of_mut(&mut self, sequence: SequenceId) -> &mut KvCache {
        &mut self.0[sequence.index()]
    }

    /// Every run of rows goes on where its cache ends, and there is room for it.
    pub(crate) fn check(&self, batch: &Batch<'_>) -> Result<(), ForwardError> {
        for run in batch.runs() {
            let (sequence, cache) = (run[0].sequence, self.of(run[0].sequence));
            let (used, more, context) = (cache.len(), run.len(), cache.context());
            if run[0].position as usize != used {
                return Err(ForwardError::Position { sequence, position: run[0].position, held: used });
            }
            if used + more > context {
                return Err(ForwardError::ContextFull { used, more, context });
            }
        }
        Ok(())
    }

    /// The rows have been computed in every layer.
    pub(crate) fn advance(&mut self, batch: &Batch<'_>) {
        batch.runs().for_each(|run| self.of_mut(run[0].sequence).advance(run.len()));
    }
}
