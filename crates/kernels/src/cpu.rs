//! What the processor can do, and one source compiled for each answer.
//!
//! Rust never reorders floating-point operations and `mul_add` is rounded once whether it is an
//! instruction or a library call, so every compilation of a kernel gives the same bits; what changes
//! is the speed. The baseline compilation is the reference for the others.

/// What the processor offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    /// Nothing beyond the compilation target.
    Baseline,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// NEON, which every AArch64 processor has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON with the sums of four products of bytes (`sdot`), from Cortex-A55 and A76 on.
    #[cfg(target_arch = "aarch64")]
    DotProd,
}

/// The best level of this processor; detected once by the standard library.
#[inline(always)]
pub(crate) fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx2") && has!("fma") && has!("f16c") {
            return Level::Avx2;
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        return if std::arch::is_aarch64_feature_detected!("dotprod") { Level::DotProd } else { Level::Neon };
    }
    Level::Baseline
}

/// AVX-512 with VNNI, beyond [`Level::Avx2`].
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_vnni() -> bool {
    use std::arch::is_x86_feature_detected as has;
    let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512vl");
    level() == Level::Avx2 && avx512 && has!("avx512vnni")
}

/// Name of the instruction set the kernels use on this processor, for people.
pub fn instruction_set() -> &'static str {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 if has_vnni() => "avx2+fma+f16c+avx512vnni",
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => "avx2+fma+f16c",
        #[cfg(target_arch = "aarch64")]
        Level::Neon => "neon",
        #[cfg(target_arch = "aarch64")]
        Level::DotProd => "neon+dotprod",
        Level::Baseline => "scalar",
    }
}

/// Defines `fn name(args) -> ret` that runs `body` compiled for the best level. The body must be an
/// `#[inline(always)]` function, so that it takes on the instruction set of its caller.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path;) => {
        $(#[$meta])*
        $vis fn $name ($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2 ($($arg: $ty),*) $(-> $ret)? {
                $body($($arg),*)
            }
            match $crate::cpu::level() {
                // SAFETY: `level` has found all three extensions.
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::Level::Avx2 => unsafe { avx2($($arg),*) },
                // Compilations for AArch64 have NEON.
                _ => $body($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    /// Tests under emulation say which instructions they are meant to run.
    #[test]
    fn the_expected_instructions_are_used() {
        if let Ok(expected) = std::env::var("HOTSET_TEST_INSTRUCTIONS") {
            assert_eq!(super::instruction_set(), expected);
        }
    }
}
