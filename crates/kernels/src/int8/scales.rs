//! The small factors of a block of 256: first halves of the groups, then second halves.

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::Int8Format;
#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(target_arch = "x86_64")]
use super::vnni;
use crate::format::*;

// Blocks of 32 have one scale and no factors.
impl Int8Format for Q8_0 {}
impl Int8Format for Q4_0 {}
impl Int8Format for Q5_0 {}
impl Int8Format for Iq4Nl {}

impl Int8Format for Q2K {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::halves_apart(_mm_and_si128(avx2::load_16(&block[..16]), _mm_set1_epi8(15))) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn mins_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let high = _mm_srli_epi16::<4>(avx2::load_16(&block[..16]));
            avx2::halves_apart(_mm_and_si128(high, _mm_set1_epi8(15)))
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn scales_neon(block: &[u8]) -> [int16x8_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { neon::halves_apart(vandq_s8(neon::load_16(&block[..16]), vdupq_n_s8(15))) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn mins_neon(block: &[u8]) -> [int16x8_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let high = vshrq_n_u8::<4>(vreinterpretq_u8_s8(neon::load_16(&block[..16])));
            neon::halves_apart(vreinterpretq_s8_u8(high))
        }
    }
}

impl Int8Format for Q3K {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        let [first, second] = three_bit_scales(block);
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let scales = _mm_set_epi64x(second as i64, first as i64);
            avx2::halves_apart(_mm_sub_epi8(scales, _mm_set1_epi8(32)))
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn scales_neon(block: &[u8]) -> [int16x8_t; 2] {
        let [first, second] = three_bit_scales(block);
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let scales = vcombine_s8(vcreate_s8(first), vcreate_s8(second));
            neon::halves_apart(vsubq_s8(scales, vdupq_n_s8(32)))
        }
    }
}

impl Int8Format for Q4K {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx512(block: &[u8], pair: usize) -> __m512i {
        // SAFETY: the caller has promised the instructions.
        unsafe { vnni::bits_of_32(&block[16 + 32 * pair..][..32], [0, 4], 15) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::eights_twice(six_bits(block)).0 }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn mins_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::eights_twice(six_bits(block)).1 }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn scales_neon(block: &[u8]) -> [int16x8_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { [neon::eights(six_bits(block)).0; 2] }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn mins_neon(block: &[u8]) -> [int16x8_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { [neon::eights(six_bits(block)).1; 2] }
    }
}

/// Scales and minima lie as in Q4_K.
impl Int8Format for Q5K {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the same promise.
        unsafe { Q4K::scales_avx2(block) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn mins_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the same promise.
        unsafe { Q4K::mins_avx2(block) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn scales_neon(block: &[u8]) -> [int16x8_t; 2] {
        // SAFETY: the same promise.
        unsafe { Q4K::scales_neon(block) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn mins_neon(block: &[u8]) -> [int16x8_t; 2] {
        // SAFETY: the same promise.
        unsafe { Q4K::mins_neon(block) }
    }
}

impl Int8Format for Q6K {
    #[cfg(target_arch = "x86_64")]
    const ONE_IN_AVX512: bool = true;

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn stored_avx512(block: &[u8], pair: usize) -> __m512i {
        let (half, j) = (pair / 2, pair % 2 * 2);
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let low = vnni::bits_of_64(&block[half * 64..][..64], j as u32 / 2 * 4, 15);
            let high = vnni::bits_of_32(&block[128 + half * 32..][..32], [2 * j as i16, 2 * j as i16 + 2], 3);
            _mm512_or_si512(low, _mm512_slli_epi16::<4>(high))
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe { avx2::halves_apart(avx2::load_16(&block[192..208])) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn scales_neon(block: &[u8]) -> [int16x8_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe { neon::halves_apart(neon::load_16(&block[192..208])) }
    }
}

impl Int8Format for Iq4Xs {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn scales_avx2(block: &[u8]) -> __m256i {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let scales = _mm_cvtepu8_epi16(_mm_cvtsi64_si128(iq4_xs_scales(block) as i64));
            _mm256_broadcastsi128_si256(_mm_sub_epi16(scales, _mm_set1_epi16(32)))
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    unsafe fn scales_neon(block: &[u8]) -> [int16x8_t; 2] {
        // SAFETY: the caller has promised the instructions.
        unsafe {
            let scales = vmovl_s8(vcreate_s8(iq4_xs_scales(block)));
            [vsubq_s16(scales, vdupq_n_s16(32)); 2]
        }
    }
}

/// The 16 scales of Q3_K in bytes, before their bias of 32.
#[inline(always)]
fn three_bit_scales(block: &[u8]) -> [u64; 2] {
    // Low nibbles of scales 0 to 7 and of 8 to 15; the top pairs of scales i, i + 4, i + 8 and i + 12 share
    // byte i of the last four.
    let nibbles = u64::from_le_bytes(block[96..104].try_into().expect("8 bytes"));
    let pairs = u64::from(u32::from_le_bytes(block[104..108].try_into().expect("4 bytes")));
    let pairs = |shift: u32| (pairs >> shift & 0x0303_0303) << 4;
    [
        nibbles & 0x0f0f_0f0f_0f0f_0f0f | pairs(0) | pairs(2) << 32,
        nibbles >> 4 & 0x0f0f_0f0f_0f0f_0f0f | pairs(4) | pairs(6) << 32,
    ]
}

/// Four scales and four minima of Q4_K and Q5_K in bytes, of groups 0 to 3, then of groups 4 to 7; the packing
/// is at `six_bit_scale_and_min`.
#[inline(always)]
fn six_bits(block: &[u8]) -> [u64; 2] {
    let first = u64::from_le_bytes(block[4..12].try_into().expect("8 bytes"));
    let last = u64::from(u32::from_le_bytes(block[12..16].try_into().expect("4 bytes")));
    let nibbles = (last | last << 28) & 0x0f0f_0f0f_0f0f_0f0f;
    [first & 0x3f3f_3f3f_3f3f_3f3f, nibbles | (first >> 2 & 0x3030_3030_3030_3030)]
}

/// The eight scales of IQ4_XS in bytes, before their bias of 32.
#[inline(always)]
fn iq4_xs_scales(block: &[u8]) -> u64 {
    // Nibble g of the 32 low bits and pair g of the 16 top bits, each spread to a byte of its own.
    let low = u64::from(u32::from_le_bytes([block[4], block[5], block[6], block[7]]));
    let low = (low | low << 16) & 0x0000_ffff_0000_ffff;
    let low = (low | low << 8) & 0x00ff_00ff_00ff_00ff;
    let low = (low | low << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let top = u64::from(u16::from_le_bytes([block[2], block[3]]));
    let top = (top | top << 24) & 0x0000_00ff_0000_00ff;
    let top = (top | top << 12) & 0x000f_000f_000f_000f;
    let top = (top | top << 6) & 0x0303_0303_0303_0303;
    low | top << 4
}
