//! Cache-aware dropping: light experts that are not held are left out.
//!
//! Source: BigMoeOnEdge, docs/expert-dropping.md (`--drop-cold-experts F`).

use hotset_base::Phase;

use super::{Decision, NotFinite, Route, RouterShape, RowView};

/// Parameters of [`Drop`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropOptions {
    /// The threshold, in uniform shares `1 / k`. At most 1, so that the heaviest always stays.
    pub factor: f32,
}

impl DropOptions {
    /// Whether the chosen set may differ from the native one.
    pub fn is_lossy(&self) -> bool {
        self.factor > 0.0
    }
}

impl Default for DropOptions {
    fn default() -> Self {
        Self { factor: 0.75 }
    }
}

/// Leaves out what is not held and has a mixing weight below `factor / k`. What stays is renormalised.
#[derive(Debug)]
pub struct Drop {
    shape: RouterShape,
    options: DropOptions,
}

impl Drop {
    /// For a model's routers.
    pub fn new(shape: RouterShape, options: DropOptions) -> Self {
        Self { shape, options }
    }
}

impl Route for Drop {
    fn route(&mut self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        self.foresee(token, out)
    }

    fn foresee(&self, token: &RowView<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        let shape = self.shape;
        out.choose_native(token.layer, token.logits, shape.top_k, shape.norm_topk)?;
        if token.phase == Phase::Setup {
            return Ok(());
        }
        // Shares of the chosen mass, also where the checkpoint leaves weights as they are.
        let total: f32 = out.native.iter().map(|choice| choice.weight).sum();
        let least = self.options.factor.min(1.0) * total / shape.top_k as f32;
        let native = out.native.clone();
        let kept = native.iter().enumerate().filter(|(rank, choice)| {
            *rank == 0 || token.held[choice.expert.index()] || choice.weight >= least
        });
        out.choose(token.logits, shape.norm_topk, kept.map(|(_, choice)| choice.expert));
        Ok(())
    }

    fn is_lossy(&self) -> bool {
        self.options.is_lossy()
    }
}
