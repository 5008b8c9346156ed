//! Random numbers by place: every row of every tensor has a stream of its own, so the bytes do not
//! depend on who computes them or when.

/// splitmix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(super) struct Stream(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream named by these numbers, in this order.
    pub fn named(names: &[u64]) -> Self {
        Self(names.iter().fold(STEP, |state, &name| mix(state ^ mix(name.wrapping_add(STEP)))))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `end`. The bias is below `end / 2^64`.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// Uniform with mean 0 and variance 1.
    pub fn flat(&mut self) -> f32 {
        let unit = (self.bits() >> 40) as f32 / (1u64 << 24) as f32;
        (unit - 0.5) * 12f32.sqrt()
    }

    /// About normal with mean 0 and variance 1: a sum of sixteen 4-bit numbers, whose variance is
    /// 16 * (16^2 - 1) / 12 = 340.
    pub fn normal(&mut self) -> f32 {
        const PAIRS: u64 = 0x0f0f_0f0f_0f0f_0f0f;
        const ONES: u64 = 0x0101_0101_0101_0101;
        let bits = self.bits();
        // Bytes of at most 30, summed by the multiplication into the top byte: at most 240.
        let sum = ((bits & PAIRS) + ((bits >> 4) & PAIRS)).wrapping_mul(ONES) >> 56;
        (sum as f32 - 120.0) / 340f32.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_moments_they_promise() {
        let mut stream = Stream::named(&[1, 2]);
        for draw in [Stream::flat, Stream::normal] {
            let all: Vec<f64> = (0..40_000).map(|_| f64::from(draw(&mut stream))).collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64;
            assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        }
    }

    #[test]
    fn streams_are_told_apart_by_every_name_and_their_order() {
        let first = |names: &[u64]| Stream::named(names).bits();
        let all = [first(&[]), first(&[0]), first(&[0, 0]), first(&[0, 1]), first(&[1, 0]), first(&[1])];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[..i].contains(a));
        }
        assert_eq!(first(&[3, 4]), first(&[3, 4]));
    }
}
