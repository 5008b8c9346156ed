//! Random weights for the tests of this crate.

#![allow(dead_code)] // each test file uses its part

use hotset_base::WeightType;

/// Source: splitmix64, Steele et al. 2014.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// About -2 to 2.
    pub fn number(&mut self) -> f32 {
        (self.bits() as i32) as f32 * 1e-9
    }

    /// Any bits: NaN, infinite, subnormal.
    pub fn any_numbers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| f32::from_bits(self.bits() as u32)).collect()
    }

    pub fn numbers(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.number()).collect()
    }
}

/// Bytes behind `by` others, so that they begin at any address.
pub fn shifted(bytes: &[u8], by: usize) -> Vec<u8> {
    [vec![0; by].as_slice(), bytes].concat()
}

/// What the scales of random blocks are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scales {
    /// Small numbers of both signs.
    Tame,
    /// Any f16: zero, subnormal, infinite, NaN.
    Wild,
}

/// Positions of the f16 numbers in a block.
fn scales_at(ty: WeightType) -> &'static [usize] {
    match ty {
        WeightType::Q2_K => &[80, 82],
        WeightType::Q3_K => &[108],
        WeightType::Q6_K => &[208],
        WeightType::Q4_1 | WeightType::Q5_1 | WeightType::Q4_K | WeightType::Q5_K => &[0, 2],
        WeightType::F32 | WeightType::F16 | WeightType::BF16 => &[],
        _ => &[0],
    }
}

/// `count` random weights. Every byte of a block but its scales may be anything; tame plain numbers
/// are small, wild ones any bits.
pub fn weights(ty: WeightType, count: usize, scales: Scales, random: &mut Random) -> Vec<u8> {
    if ty.block_weights() == 1 && scales == Scales::Tame {
        return (0..count)
            .flat_map(|_| match ty {
                WeightType::F32 => random.number().to_le_bytes().to_vec(),
                WeightType::F16 => half::f16::from_f32(random.number()).to_le_bytes().to_vec(),
                _ => half::bf16::from_f32(random.number()).to_le_bytes().to_vec(),
            })
            .collect();
    }
    let bytes = ty.row_bytes(count).expect("whole blocks").index();
    let mut row: Vec<u8> = (0..bytes).map(|_| random.bits() as u8).collect();
    for block in row.chunks_exact_mut(ty.block_bytes()) {
        for &at in scales_at(ty) {
            let bits = match scales {
                Scales::Tame => half::f16::from_f32(random.number() * 0.01).to_bits(),
                Scales::Wild => random.bits() as u16,
            };
            block[at..at + 2].copy_from_slice(&bits.to_le_bytes());
        }
    }
    row
}

/// Makes every f16 scale of blocks `value`.
pub fn set_scales(ty: WeightType, row: &mut [u8], value: f32) {
    for block in row.chunks_exact_mut(ty.block_bytes()) {
        for &at in scales_at(ty) {
            block[at..at + 2].copy_from_slice(&half::f16::from_f32(value).to_le_bytes());
        }
    }
}

/// The same bits, or both not a number.
pub fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}
