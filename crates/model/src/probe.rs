//! A look at the routers from outside, for measurements; costs nothing unless somebody looks.

use hotset_base::LayerId;
use hotset_kernels::{Matrix, Pool, Vectors, matmul};

/// Told of every layer and chunk: the scores of its router, `[tokens, experts]`, and what the router
/// of the next layer makes of the same input (`None` after the last layer).
pub type RouterProbe = Box<dyn FnMut(LayerId, &[f32], Option<&[f32]>) + Send>;

/// The one who looks, and room for the next layer's scores.
pub(crate) struct Probe {
    told: RouterProbe,
    next: Vec<f32>,
}

impl Probe {
    pub fn new(told: RouterProbe) -> Self {
        Self { told, next: Vec::new() }
    }

    /// `input`: what the router of `layer` saw.
    pub fn look(
        &mut self,
        pool: &Pool,
        layer: LayerId,
        scores: &[f32],
        next: Option<Matrix>,
        input: Vectors<'_>,
    ) {
        self.next.resize(scores.len(), 0.0);
        let next = next.map(|router| {
            matmul(pool, router, input, &mut self.next);
            &self.next[..]
        });
        (self.told)(layer, scores, next);
    }
}
