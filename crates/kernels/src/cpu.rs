//! One source, compiled once for every instruction set, chosen when the program runs.
//!
//! The kernels are plain Rust. Rust never reorders floating-point operations and `mul_add` is
//! rounded once whether it is an instruction or a library call, so every compilation gives the same
//! bits; what changes is the speed. The scalar compilation is the reference for the others.

/// What the processor offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    /// Nothing beyond the compilation target.
    Baseline,
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

/// The best level of this processor; detected once by the standard library.
#[inline(always)]
pub(crate) fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        return Level::Avx2;
    }
    Level::Baseline
}

/// Defines `fn name(args) -> ret` that runs `body` compiled for the best level. The body must be an
/// `#[inline(always)]` function, so that it takes on the instruction set of its caller.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$g:ident: $bound:path>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:path;) => {
        $(#[$meta])*
        $vis fn $name $(<$g: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,bmi1,bmi2")]
            fn avx2 $(<$g: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
                $body($($arg),*)
            }
            match $crate::cpu::level() {
                // SAFETY: `level` has found AVX2 and FMA; every processor with AVX2 has BMI1 and 2.
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::Level::Avx2 => unsafe { avx2 $(::<$g>)? ($($arg),*) },
                $crate::cpu::Level::Baseline => $body($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;
