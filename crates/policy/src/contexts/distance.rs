//! How far two router distributions are apart.

/// Root mean square over the layers of the Hellinger distance `sqrt(1 - sum(sqrt(p * q)))`, from 0 to 1. Each
/// layer is a row of pairs `(p, q)`, not normalised; a layer where one side is empty is left out. 1 if all
/// are.
///
/// Hellinger rather than cosine: square roots weigh experts that are rare in both alike, so a few heavy
/// experts, which serve every text, do not hide the others.
pub(super) fn hellinger(rows: impl Iterator<Item = impl Iterator<Item = (f32, f32)>>) -> f32 {
    let (mut squares, mut layers) = (0.0f32, 0u32);
    for row in rows {
        let (mut shared, mut p_sum, mut q_sum) = (0.0f32, 0.0f32, 0.0f32);
        for (p, q) in row {
            shared += (p * q).sqrt();
            p_sum += p;
            q_sum += q;
        }
        let norm = (p_sum * q_sum).sqrt();
        if norm > 0.0 {
            squares += (1.0 - shared / norm).max(0.0);
            layers += 1;
        }
    }
    if layers == 0 { 1.0 } else { (squares / layers as f32).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(p: &[f32], q: &[f32]) -> f32 {
        hellinger(std::iter::once(p.iter().copied().zip(q.iter().copied())))
    }

    #[test]
    fn equal_is_zero_disjoint_is_one_and_scale_does_not_matter() {
        assert!(distance(&[1.0, 3.0], &[2.0, 6.0]) < 1e-3);
        assert_eq!(distance(&[1.0, 0.0], &[0.0, 5.0]), 1.0);
        assert_eq!(distance(&[1.0, 0.0], &[0.0, 0.0]), 1.0);
        // 1 - sqrt(0.5 * 1)
        assert!((distance(&[1.0, 1.0], &[1.0, 0.0]) - (1.0 - 0.5f32.sqrt()).sqrt()).abs() < 1e-6);
    }
}
