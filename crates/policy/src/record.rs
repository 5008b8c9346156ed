//! What is known of one expert in one context.

/// Contributions that a mean reaches back over.
const REACH: f32 = 32.0;

/// Faded sums of the present horizon, and the running mean and variance of what the expert's output weighs
/// when it is computed, `||E(x)|| / ||sum||`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    /// Native router mass, faded.
    pub mass: f32,
    /// Native picks, faded.
    pub uses: f32,
    /// Contributions measured, up to the reach of the mean.
    pub seen: f32,
    /// Their mean.
    pub mean: f32,
    /// Their variance.
    pub variance: f32,
}

impl Record {
    /// Largest mass, count or mean; its square, the largest variance, still is a number.
    pub const MAX: f32 = 1e15;

    /// Mass below this is none: fading must not end in numbers that take long to add.
    const NONE: f32 = 1e-12;

    pub(crate) fn fade(&mut self, keep: f32) {
        self.mass *= keep;
        self.uses *= keep;
        if self.mass < Self::NONE {
            (self.mass, self.uses) = (0.0, 0.0);
        }
    }

    pub(crate) fn contributed(&mut self, gain: f32) {
        self.seen = (self.seen + 1.0).min(REACH);
        let (step, off) = (1.0 / self.seen, gain.min(Self::MAX) - self.mean);
        self.mean = (self.mean + step * off).min(Self::MAX);
        self.variance = ((1.0 - step) * (self.variance + step * off * off)).min(Self::MAX * Self::MAX);
    }
}
