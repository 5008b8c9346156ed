//! ggml's CPU code behind bench/kernels/ggml_matmul.c. Everything made here lives as long as the program.

use std::ffi::{c_int, c_void};

use hotset_base::WeightType;

#[link(name = "ggml_matmul")]
unsafe extern "C" {
    fn quantize(ty: c_int, weights: *const f32, rows: i64, cols: i64, out: *mut c_void) -> usize;
    fn work_pause(work: *mut c_void);
    fn work_resume(work: *mut c_void);
    fn matmul_new(ty: c_int, rows: i64, cols: i64, threads: c_int) -> *mut c_void;
    fn matmul_run(m: *mut c_void, weights: *const c_void, x: *const f32, y: *mut f32) -> c_int;
    fn experts_new(ty: c_int, hidden: i64, width: i64, experts: i64, used: i64, threads: c_int) -> *mut c_void;
    fn experts_run(m: *mut c_void, weights: *const [*const c_void; 3], ids: *const c_int, x: *const f32, y: *mut f32) -> c_int;
}

/// Random numbers in blocks of a type, `[rows, cols]`, in whole cache lines.
pub fn random_blocks(ty: WeightType, (rows, cols): (usize, usize)) -> Vec<[u8; 64]> {
    let bytes = rows * ty.row_bytes(cols).unwrap().index();
    assert_eq!(bytes % 64, 0, "experts of whole cache lines");
    let numbers: Vec<f32> = (0..rows * cols).map(|i| ((i * 2654435761) >> 7 & 0xffff) as f32 / 32768.0 - 1.0).collect();
    let mut blocks = vec![[0u8; 64]; bytes / 64];
    // SAFETY: as many numbers as the shape says, and room for the bytes of so many weights.
    let written = unsafe { quantize(ty.ggml_id() as c_int, numbers.as_ptr(), rows as i64, cols as i64, blocks.as_mut_ptr().cast()) };
    assert_eq!(written, bytes);
    blocks
}

/// One matrix times one vector.
pub struct Matmul {
    work: *mut c_void,
    bytes: usize,
    shape: (usize, usize),
}

impl Matmul {
    pub fn new(ty: WeightType, (rows, cols): (usize, usize), threads: usize) -> Self {
        // SAFETY: plain numbers.
        let work = unsafe { matmul_new(ty.ggml_id() as c_int, rows as i64, cols as i64, threads as c_int) };
        Self { work, bytes: rows * ty.row_bytes(cols).unwrap().index(), shape: (rows, cols) }
    }

    pub fn run(&mut self, weights: &[u8], x: &[f32], y: &mut [f32]) {
        assert_eq!((weights.len(), y.len(), x.len()), (self.bytes, self.shape.0, self.shape.1));
        // SAFETY: as much memory as the shapes say (just checked); none of it is kept beyond the call.
        let code = unsafe { matmul_run(self.work, weights.as_ptr().cast(), x.as_ptr(), y.as_mut_ptr()) };
        assert_eq!(code, 0);
    }

    /// Lets its threads spin while `f` runs.
    pub fn awake(&mut self, f: impl FnOnce(&mut Self)) {
        awake(self.work, || f(self));
    }
}

/// The chosen experts of a layer.
pub struct Experts {
    work: *mut c_void,
    used: usize,
    /// Of gate, up or down of all experts.
    bytes: usize,
    hidden: usize,
}

impl Experts {
    pub fn new(ty: WeightType, (hidden, width): (usize, usize), experts: usize, used: usize, threads: usize) -> Self {
        let numbers = [hidden, width, experts, used].map(|n| n as i64);
        // SAFETY: plain numbers.
        let work = unsafe { experts_new(ty.ggml_id() as c_int, numbers[0], numbers[1], numbers[2], numbers[3], threads as c_int) };
        Self { work, used, bytes: experts * width * ty.row_bytes(hidden).unwrap().index(), hidden }
    }

    /// `y`: `[used, hidden]`.
    pub fn run(&mut self, weights: [&[u8]; 3], ids: &[i32], x: &[f32], y: &mut [f32]) {
        assert!(weights.iter().all(|part| part.len() == self.bytes) && ids.len() == self.used);
        assert!(x.len() == self.hidden && y.len() == self.used * self.hidden);
        let weights = weights.map(|part| part.as_ptr().cast::<c_void>());
        // SAFETY: as much memory as the shapes say (just checked); none of it is kept beyond the call.
        let code = unsafe { experts_run(self.work, &weights, ids.as_ptr(), x.as_ptr(), y.as_mut_ptr()) };
        assert_eq!(code, 0);
    }

    /// Lets its threads spin while `f` runs.
    pub fn awake(&mut self, f: impl FnOnce(&mut Self)) {
        awake(self.work, || f(self));
    }
}

fn awake(work: *mut c_void, f: impl FnOnce()) {
    // SAFETY: made by `Matmul::new` or `Experts::new`; both begin with the threads.
    unsafe { work_resume(work) };
    f();
    // SAFETY: the same.
    unsafe { work_pause(work) };
}
