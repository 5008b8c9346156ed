//! How much two experts of a layer have in common.

/// A symmetric `[experts, experts]` table; larger is closer.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinity {
    experts: usize,
    values: Vec<f32>,
}

impl Affinity {
    /// Cosine similarity of router rows, `[experts, hidden]`, after the mean row was taken off.
    ///
    /// A vector added to all rows shifts all scores of a token alike and changes no softmax, so it says nothing
    /// about which experts go together. A row of nothing is like no other; where a weight is no number, nothing is.
    ///
    /// # Panics
    /// If `rows` is not whole rows of `hidden` weights.
    pub fn cosine(rows: &[f32], hidden: usize) -> Self {
        assert!(hidden > 0 && rows.len().is_multiple_of(hidden), "router rows have one length");
        let experts = rows.len() / hidden;
        let mut unit = centred(rows, hidden);
        unit.chunks_exact_mut(hidden).for_each(normalise);
        Self::of(experts, |a, b| {
            let (a, b) = (&unit[a * hidden..][..hidden], &unit[b * hidden..][..hidden]);
            let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            if cosine.is_finite() { cosine } else { 0.0 }
        })
    }

    /// From a symmetric function of two different experts.
    pub fn of(experts: usize, between: impl Fn(usize, usize) -> f32) -> Self {
        let mut values = vec![0.0; experts * experts];
        for a in 0..experts {
            for b in 0..a {
                let value = between(a, b);
                values[a * experts + b] = value;
                values[b * experts + a] = value;
            }
        }
        Self { experts, values }
    }

    /// `(1 - weight) * self + weight * other`, both scaled to mean 0 and deviation 1 over all pairs, so that a weight
    /// of one half gives both the same say.
    ///
    /// # Panics
    /// If they are of different layers' sizes.
    pub fn blend(&self, other: &Self, weight: f32) -> Self {
        assert_eq!(self.experts, other.experts, "affinities of one layer");
        let (own, others) = (self.moments(), other.moments());
        Self::of(self.experts, |a, b| {
            let z = |table: &Self, (mean, scale): (f32, f32)| (table.between(a, b) - mean) * scale;
            (1.0 - weight) * z(self, own) + weight * z(other, others)
        })
    }

    /// Mean over all pairs, and the inverse of the deviation; 0 where there is none.
    fn moments(&self) -> (f32, f32) {
        let pairs =
            || (0..self.experts).flat_map(move |a| (0..a).map(move |b| f64::from(self.between(a, b))));
        let count = pairs().count().max(1) as f64;
        let mean = pairs().sum::<f64>() / count;
        let variance = pairs().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        (mean as f32, if variance > 0.0 { (1.0 / variance.sqrt()) as f32 } else { 0.0 })
    }

    /// Experts of the layer.
    pub fn experts(&self) -> usize {
        self.experts
    }

    /// Of two different experts.
    pub fn between(&self, a: usize, b: usize) -> f32 {
        self.values[a * self.experts + b]
    }
}

/// The rows less their mean.
fn centred(rows: &[f32], hidden: usize) -> Vec<f32> {
    let mut mean = vec![0.0f64; hidden];
    for row in rows.chunks_exact(hidden) {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    // Rounded, so that the order of the sum is not seen.
    let experts = (rows.len() / hidden).max(1) as f64;
    let mean: Vec<f32> = mean.iter().map(|sum| (sum / experts) as f32).collect();
    rows.chunks_exact(hidden).flat_map(|row| row.iter().zip(&mean).map(|(x, mean)| x - mean)).collect()
}

/// To length 1, if it has a length.
fn normalise(row: &mut [f32]) {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|x| *x /= length);
    }
}
