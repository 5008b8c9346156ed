//! Rotary position embedding (RoFormer, 2104.09864), in the half-split form of the Qwen models: the
//! pair of element `i` is element `i + head_dim / 2`.

/// Inverse frequencies `theta^(-2i / head_dim)`, `[head_dim / 2]`.
pub(crate) fn inverse_frequencies(theta: f32, head_dim: usize) -> Vec<f32> {
    (0..head_dim / 2).map(|i| 1.0 / theta.powf((2 * i) as f32 / head_dim as f32)).collect()
}

/// Cosine and sine of every pair's angle at `position`; both `[head_dim / 2]`.
///
/// The angle is rounded to f32 as the reference implementation does; its cosine is exact to f32.
pub(crate) fn angles(inverse: &[f32], position: usize, cos: &mut [f32], sin: &mut [f32]) {
    for ((inverse, cos), sin) in inverse.iter().zip(cos).zip(sin) {
        let angle = f64::from(position as f32 * inverse);
        *cos = angle.cos() as f32;
        *sin = angle.sin() as f32;
    }
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

    #[test]
    fn scores_depend_on_distance_only() {
        let inverse = inverse_frequencies(10_000.0, 8);
        let (mut cos, mut sin) = ([0.0; 4], [0.0; 4]);
        let mut score = |q_at: usize, k_at: usize| {
            let mut q = [0.3, -1.0, 0.7, 0.2, 1.1, 0.4, -0.6, 0.9];
            let mut k = [1.0, 0.5, -0.2, 0.8, -0.3, 0.6, 0.1, -0.7];
            angles(&inverse, q_at, &mut cos, &mut sin);
            rotate(&mut q, &cos, &sin);
            angles(&inverse, k_at, &mut cos, &mut sin);
            rotate(&mut k, &cos, &sin);
            q.iter().zip(&k).map(|(a, b)| a * b).sum::<f32>()
        };
        assert!((score(5, 2) - score(105, 102)).abs() < 1e-4);
        assert!((score(5, 2) - score(5, 3)).abs() > 1e-3);
    }
}
