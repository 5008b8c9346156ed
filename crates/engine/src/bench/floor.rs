//! What a decoded token cannot be faster than.

use hotset_base::Bytes;
use hotset_format::{Checkpoint, TensorSlice};

/// Weights that one decoded token is multiplied with. The embedding, of which it reads one row, and the
/// KV cache are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TokenBytes {
    /// The experts chosen in all layers (where their sizes differ inside a layer, the mean).
    pub experts: Bytes,
    /// Projections of attention.
    pub attention: Bytes,
    /// Routers.
    pub router: Bytes,
    /// The head.
    pub head: Bytes,
}

impl TokenBytes {
    /// From the sizes of a model's tensors.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let (config, dense) = (&checkpoint.config, &checkpoint.dense);
        let size = |tensor: TensorSlice| tensor.extent.bytes;
        let all = u128::from(checkpoint.expert_bytes().0);
        Self {
            experts: Bytes((all * config.top_k as u128 / config.experts as u128) as u64),
            attention: dense.layers.iter().flat_map(|l| [l.q, l.k, l.v, l.o]).map(size).sum(),
            router: dense.layers.iter().map(|l| size(l.router)).sum(),
            head: size(dense.head.unwrap_or(dense.embedding)),
        }
    }

    /// All of them.
    pub fn total(&self) -> Bytes {
        self.experts + self.attention + self.router + self.head
    }
}

/// Which of the two a token waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Weights from memory.
    Memory,
    /// Experts from disk.
    Disk,
}

/// The two times below which a token cannot come, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Floor {
    /// To read the weights it touches from memory.
    pub memory: f64,
    /// To read the experts it lacks from disk.
    pub disk: f64,
}

impl Floor {
    /// `touched` bytes at `memory` bytes per second, `read` bytes at `disk` bytes per second.
    pub fn new(touched: f64, memory: f64, read: f64, disk: f64) -> Self {
        // A disk that was not measured, or reads that were not needed, bound nothing.
        let time = |bytes: f64, rate: f64| if bytes > 0.0 && rate > 0.0 { bytes / rate } else { 0.0 };
        Self { memory: time(touched, memory), disk: time(read, disk) }
    }

    /// The larger of the two, seconds: reads can hide behind computing and computing behind reads.
    pub fn seconds(&self) -> f64 {
        self.memory.max(self.disk)
    }

    /// Which one it is.
    pub fn bound(&self) -> Bound {
        if self.disk > self.memory { Bound::Disk } else { Bound::Memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_side_is_the_floor() {
        let floor = Floor::new(1.9e9, 33e9, 0.22e9, 0.8e9);
        assert!((floor.memory - 0.0576).abs() < 1e-4 && (floor.disk - 0.275).abs() < 1e-4);
        assert_eq!((floor.seconds(), floor.bound()), (floor.disk, Bound::Disk));
        assert_eq!(Floor::new(1.9e9, 33e9, 0.0, 0.8e9).bound(), Bound::Memory);
        assert_eq!(Floor::new(1.0, 1.0, 5.0, 0.0).seconds(), 1.0, "an unmeasured disk bounds nothing");
    }
}
