use hotset_base::WeightType;
use hotset_kernels::*;
use std::hint::black_box;
use std::time::Instant;
const COLS: usize = 2048;
fn main() {
    let x: Vec<f32> = (0..COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut q = vec![Int8Block::ZERO; COLS / 256];
    quantize_vector(&x, &mut q);
    let t = Instant::now();
    for _ in 0..200000 {
        quantize_vector(black_box(&x), black_box(&mut q));
    }
    println!("quantise 2048: {:.0} ns", t.elapsed().as_secs_f64() * 5e3);
    if std::env::var_os("QUANT").is_some() {
        return;
    }
    for ty in WeightType::all().filter(|t| has_int8(*t)) {
        let bytes = ty.row_bytes(COLS).unwrap().index();
        for rows in [256, (192 << 20) / bytes] {
            let weights: Vec<u8> = (0..bytes * rows).map(|i| (i * 31 % 64) as u8).collect();
            let mut best = [f64::INFINITY; 2];
            for _ in 0..(8 + 20000 / rows) {
                let t = Instant::now();
                for r in 0..rows.min(4096) {
                    black_box(dot(ty, &weights[r * bytes..(r + 1) * bytes], &x));
                }
                best[0] = best[0].min(t.elapsed().as_secs_f64() * rows as f64 / rows.min(4096) as f64);
                let t = Instant::now();
                for r in 0..rows {
                    black_box(dot_int8(ty, &weights[r * bytes..(r + 1) * bytes], &q));
                }
                best[1] = best[1].min(t.elapsed().as_secs_f64());
            }
            let gb = (bytes * rows) as f64 / 1e9;
            println!("{ty:7} {rows:7} rows  f32 {:6.2}  int8 {:6.2} GB/s", gb / best[0], gb / best[1]);
        }
    }
}
