//! Rotary position embedding (RoFormer, 2104.09864), in the half-split form of the Qwen models: the
//! pair of element `i` is element `i + head_dim / 2`.

use std::f64::consts::TAU;

use hotset_format::{ModelConfig, RopeScaling, Yarn};

/// What turns a position into angles.
pub(crate) struct Rotation {
    /// `[head_dim / 2]`
    frequencies: Vec<f32>,
    /// Cosines and sines are multiplied by it.
    amplitude: f64,
}

impl Rotation {
    pub fn new(config: &ModelConfig) -> Self {
        let (theta, head_dim) = (config.rope_theta, config.head_dim);
        match &config.rope_scaling {
            None => Self { frequencies: inverse_frequencies(theta, head_dim), amplitude: 1.0 },
            Some(scaling) => Self {
                frequencies: scaled_frequencies(scaling, f64::from(theta), head_dim),
                amplitude: f64::from(scaling.attention_factor),
            },
        }
    }

    /// Cosine and sine of every pair's angle at `position`; both `[head_dim / 2]`.
    ///
    /// The angle is rounded to f32 as the reference implementation does; its cosine is exact to f32.
    pub fn angles(&self, position: usize, cos: &mut [f32], sin: &mut [f32]) {
        for ((frequency, cos), sin) in self.frequencies.iter().zip(cos).zip(sin) {
            let angle = f64::from(position as f32 * frequency);
            *cos = (angle.cos() * self.amplitude) as f32;
            *sin = (angle.sin() * self.amplitude) as f32;
        }
    }
}

/// Inverse frequencies `theta^(-2i / head_dim)`, `[head_dim / 2]`.
fn inverse_frequencies(theta: f32, head_dim: usize) -> Vec<f32> {
    (0..head_dim / 2).map(|i| 1.0 / theta.powf((2 * i) as f32 / head_dim as f32)).collect()
}

/// The plain frequency `f` of a pair becomes `f / s * r + f * (1 - r)`, where `r`, the share that is scaled, is 1
/// for every pair in linear scaling and YaRN's ramp otherwise.
fn scaled_frequencies(scaling: &RopeScaling, theta: f64, head_dim: usize) -> Vec<f32> {
    let factor = f64::from(scaling.factor);
    let scaled = |i: usize| {
        let plain = theta.powf(-((2 * i) as f64) / head_dim as f64);
        let share = scaling.yarn.map_or(1.0, |yarn| ramp(&yarn, theta, head_dim, i as f64));
        (plain / factor * share + plain * (1.0 - share)) as f32
    };
    (0..head_dim / 2).map(scaled).collect()
}

/// From 0 for pairs that turn more than `beta_fast` times in the original context to 1 for those that turn
/// less than `beta_slow` times, linear in the pair's number.
fn ramp(yarn: &Yarn, theta: f64, head_dim: usize, pair: f64) -> f64 {
    let d = head_dim as f64;
    // The pair that turns this often, as a real number.
    let pair_of =
        |turns: f32| d * (yarn.original_context as f64 / (f64::from(turns) * TAU)).ln() / (2.0 * theta.ln());
    let (mut low, mut high) = (pair_of(yarn.beta_fast), pair_of(yarn.beta_slow));
    if yarn.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    (low, high) = (low.max(0.0), high.min(d - 1.0));
    if low == high {
        high += 0.001;
    }
    ((pair - low) / (high - low)).clamp(0.0, 1.0)
}

/// Rotates one head in place.
pub(crate) fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(cos.len());
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's floats from the formulas of the paper.
    #[test]
    fn scaled_frequencies_are_those_of_the_definition() {
        let yarn = |yarn, theta, head_dim| scaled_frequencies(&RopeScaling::yarn(4.0, yarn), theta, head_dim);
        let near = |found: &[f32], expected: &[(usize, f64)]| {
            for &(pair, value) in expected {
                assert!((f64::from(found[pair]) / value - 1.0).abs() < 1e-6, "{pair}: {}", found[pair]);
            }
        };
        let large = [
            (1, 8.058_421_878e-1),
            (16, 3.162_277_660e-2),
            (30, 1.064_360_981e-3),
            (32, 6.029_411_765e-4),
            (35, 2.462_584_069e-4),
            (63, 3.102_344_402e-7),
        ];
        near(&yarn(Yarn::new(32_768), 1e6, 128), &large);
        let small = [(0, 1.0), (1, 2.371_708_245e-1), (2, 5e-2), (4, 2.5e-3), (7, 7.905_694_150e-5)];
        near(&yarn(Yarn::new(64), 1e4, 16), &small);
        let bounds = Yarn { beta_fast: 64.0, beta_slow: 2.0, truncate: false, ..Yarn::new(32_768) };
        let other =
            [(16, 3.162_277_660e-2), (30, 8.482_487_628e-4), (35, 1.660_240_208e-4), (63, 3.102_344_402e-7)];
        near(&yarn(bounds, 1e6, 128), &other);
        let linear = scaled_frequencies(&RopeScaling::linear(4.0), 1e4, 16);
        near(&linear, &[(0, 0.25), (4, 2.5e-3), (7, 7.905_694_150e-5)]);
    }

    #[test]
    fn scores_depend_on_distance_only() {
        let rotation = Rotation { frequencies: inverse_frequencies(10_000.0, 8), amplitude: 1.0 };
        let (mut cos, mut sin) = ([0.0; 4], [0.0; 4]);
        let mut score = |q_at: usize, k_at: usize| {
            let mut q = [0.3, -1.0, 0.7, 0.2, 1.1, 0.4, -0.6, 0.9];
            let mut k = [1.0, 0.5, -0.2, 0.8, -0.3, 0.6, 0.1, -0.7];
            rotation.angles(q_at, &mut cos, &mut sin);
            rotate(&mut q, &cos, &sin);
            rotation.angles(k_at, &mut cos, &mut sin);
            rotate(&mut k, &cos, &sin);
            q.iter().zip(&k).map(|(a, b)| a * b).sum::<f32>()
        };
        assert!((score(5, 2) - score(105, 102)).abs() < 1e-4);
        assert!((score(5, 2) - score(5, 3)).abs() > 1e-3);
    }
}
