//! The end of every sum that runs in several parts.

/// The sum of the parts: the upper half is added to the lower until one number is left. `N` is a power of two.
#[inline(always)]
pub(crate) fn reduce<const N: usize>(mut parts: [f32; N]) -> f32 {
    const { assert!(N.is_power_of_two()) };
    let mut width = N / 2;
    while width > 0 {
        for i in 0..width {
            parts[i] += parts[i + width];
        }
        width /= 2;
    }
    parts[0]
}
