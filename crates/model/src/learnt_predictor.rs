//! Copies of routers that learn to predict: where the scores of a layer, seen from the layer before, are
//! often wrong, the copy they are made with is moved towards what the layer's own router says a moment later.
//!
//! Normalised least mean squares (Widrow and Hoff, 1960). With the gate input `x` of the layer before,
//! predicted scores `p = M x` and the layer's own scores `y`: `M += RATE * (y - p) x^T / (x . x)`. `M` begins
//! as the layer's router. Nothing depends on it but what is held and when it is read, as for every
//! prediction.

use hotset_base::limits::MAX_PREDICTED_LAYERS;
use hotset_base::{Bytes, Choice, LayerId, WeightType};
use hotset_format::ModelConfig;
use hotset_kernels::{Matrix, Pool, axpy, dot_f32};

/// How far a correction goes: 1 would have made the last prediction right, and forgets the others for it.
const RATE: f32 = 0.3;
/// Tokens before a layer is judged.
const TRIAL: u32 = 16;
/// Share of right picks above which a router's own prediction is left alone: to learn costs memory traffic.
const GOOD: f32 = 0.85;
/// Rows that one task of the pool moves.
const ROWS: usize = 16;

/// Whether predictions learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predictor {
    /// Where routers predict badly, copies of them learn to do better.
    Learn,
    /// By the routers as they are.
    Routers,
}

impl Predictor {
    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Learn => "learn",
            Self::Routers => "routers",
        }
    }

    /// Memory that learning takes, from so many rows of a pass.
    pub fn planned_bytes(config: &ModelConfig, rows: usize) -> Bytes {
        let copies = places(config) * config.experts * config.hidden;
        Bytes(4 * (copies + rows * (config.hidden + config.experts)) as u64)
    }
}

/// Layers that may have a copy: the first is predicted by none.
fn places(config: &ModelConfig) -> usize {
    config.layers.saturating_sub(1).min(MAX_PREDICTED_LAYERS)
}

/// How well one layer was predicted by its router, and the place of the copy that learns.
#[derive(Clone, Copy, Default)]
struct Judged {
    tokens: u32,
    right: u32,
    place: Option<usize>,
}

/// See the module's text.
pub(crate) struct LearntPredictor {
    /// Experts and hidden size.
    shape: (usize, usize),
    /// `[places, experts, hidden]`: the copies that learn.
    memory: Vec<f32>,
    taken: usize,
    /// `[layers]`
    layers: Vec<Judged>,
    /// The layer that was predicted last from the one before, from `input`: `[rows, hidden]`, as `scores`:
    /// `[rows, experts]`. Sized for the rows that are learnt from.
    predicted: Option<LayerId>,
    input: Vec<f32>,
    scores: Vec<f32>,
}

impl LearntPredictor {
    /// Learns from the first `rows` of a pass.
    pub fn new(config: &ModelConfig, rows: usize) -> Self {
        Self {
            shape: (config.experts, config.hidden),
            memory: vec![0.0; places(config) * config.experts * config.hidden],
            taken: 0,
            layers: vec![Judged::default(); config.layers],
            predicted: None,
            input: Vec::with_capacity(rows * config.hidden),
            scores: Vec::with_capacity(rows * config.experts),
        }
    }

    /// Forgets all it has learnt.
    pub fn forget(&mut self) {
        self.layers.fill(Judged::default());
        (self.taken, self.predicted) = (0, None);
    }

    /// `[experts, hidden]`: the copy that predicts a layer, if it has one of its own.
    pub fn copy_of(&self, layer: LayerId) -> Option<Matrix<'_>> {
        let (experts, hidden) = self.shape;
        let place = self.layers[layer.index()].place?;
        let copy = &self.memory[place * experts * hidden..(place + 1) * experts * hidden];
        let matrix = Matrix::new(WeightType::F32, experts, hidden, bytemuck::cast_slice(copy));
        Some(matrix.expect("a copy has the size of a router"))
    }

    /// A layer was predicted: `scores`, `[n, experts]`, from `input`, `[n, hidden]`. `None` if it was not for
    /// decoded rows: others are not compared.
    pub fn predicted(&mut self, layer: Option<LayerId>, input: &[f32], scores: &[f32]) {
        let (experts, hidden) = self.shape;
        let rows = (scores.len() / experts).min(self.scores.capacity() / experts);
        self.predicted = layer;
        if layer.is_some() {
            self.input.clear();
            self.input.extend_from_slice(&input[..rows * hidden]);
            self.scores.clear();
            self.scores.extend_from_slice(&scores[..rows * experts]);
        }
    }

    /// The pass has failed: nothing of it is compared.
    pub fn drop_comparison(&mut self) {
        self.predicted = None;
    }

    /// The layer's own router has spoken: `scores`, `[n, experts]`, with the `native` picks, `[n, top_k]`. A
    /// layer that proves to be predicted badly gets a copy, which `begin_as` fills: `[experts, hidden]`.
    pub fn compare(
        &mut self,
        pool: &Pool,
        layer: LayerId,
        (scores, native): (&[f32], &[Choice]),
        begin_as: impl Fn(&mut [f32]),
    ) {
        if self.predicted.take() != Some(layer) {
            return;
        }
        let (experts, n) = (self.shape.0, scores.len() / self.shape.0);
        let rows = scores.chunks_exact(experts).zip(native.chunks_exact(native.len() / n));
        for (row, (scores, native)) in rows.take(self.scores.len() / experts).enumerate() {
            match self.layers[layer.index()].place {
                Some(place) => self.learn(pool, place, row, scores),
                None => self.judge(layer, row, native, &begin_as),
            }
        }
    }

    fn judge(&mut self, layer: LayerId, row: usize, native: &[Choice], begin_as: &impl Fn(&mut [f32])) {
        let told = &self.scores[row * self.shape.0..][..self.shape.0];
        let judged = &mut self.layers[layer.index()];
        let before = |score: f32| told.iter().filter(|&&other| other > score).count();
        let right = native.iter().filter(|choice| before(told[choice.expert.index()]) < native.len());
        judged.right += right.count() as u32;
        judged.tokens += 1;
        let size = self.shape.0 * self.shape.1;
        let is_bad = (judged.right as f32) < GOOD * (judged.tokens as usize * native.len()) as f32;
        if judged.tokens >= TRIAL && is_bad && (self.taken + 1) * size <= self.memory.len() {
            judged.place = Some(self.taken);
            begin_as(&mut self.memory[self.taken * size..(self.taken + 1) * size]);
            self.taken += 1;
        }
    }

    fn learn(&mut self, pool: &Pool, place: usize, row: usize, scores: &[f32]) {
        let (experts, hidden) = self.shape;
        let input = &self.input[row * hidden..(row + 1) * hidden];
        let predicted = &self.scores[row * experts..(row + 1) * experts];
        let length = dot_f32(input, input);
        if length <= 0.0 || !length.is_finite() {
            return;
        }
        let copy = &mut self.memory[place * experts * hidden..(place + 1) * experts * hidden];
        pool.for_each_chunk(copy, ROWS * hidden, |chunk, rows| {
            for (i, row) in rows.chunks_exact_mut(hidden).enumerate() {
                let expert = chunk * ROWS + i;
                axpy(RATE * (scores[expert] - predicted[expert]) / length, input, row);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotset_base::ExpertId;

    /// A layer whose scores are a linear map of the input that has nothing to do with its router.
    #[test]
    fn what_routers_predict_badly_is_learnt() {
        let (experts, hidden) = (16, 8);
        let pool = Pool::new(2, hidden).unwrap();
        let mut predictor = predictor(2, experts, hidden);
        let mut random = testing::Random(7);
        let (router, truth) = (random.numbers(experts * hidden), random.numbers(experts * hidden));
        let mut error = Vec::new();
        for _ in 0..400 {
            let x = random.numbers(hidden);
            let copy = predictor.copy_of(LayerId(1)).map(|matrix| testing::times(matrix, &x, &pool));
            let predicted = copy.unwrap_or_else(|| testing::product(&router, &x));
            let own = testing::product(&truth, &x);
            error.push(predicted.iter().zip(&own).map(|(a, b)| (a - b).powi(2)).sum::<f32>());
            predictor.predicted(Some(LayerId(1)), &x, &predicted);
            let native = testing::top(&own, 4);
            predictor.compare(&pool, LayerId(1), (&own, &native), |copy| copy.copy_from_slice(&router));
        }
        let mean =
            |range: std::ops::Range<usize>| error[range.clone()].iter().sum::<f32>() / range.len() as f32;
        assert!(mean(300..400) < 0.01 * mean(0..16), "{} after {}", mean(300..400), mean(0..16));
        predictor.forget();
        assert!(predictor.copy_of(LayerId(1)).is_none());
    }

    #[test]
    fn what_routers_predict_well_is_left_alone() {
        let pool = Pool::new(1, 8).unwrap();
        let mut predictor = predictor(2, 16, 8);
        let mut random = testing::Random(8);
        for _ in 0..100 {
            let (x, scores) = (random.numbers(8), random.numbers(16));
            predictor.predicted(Some(LayerId(1)), &x, &scores);
            let native = testing::top(&scores, 4);
            predictor.compare(&pool, LayerId(1), (&scores, &native), |_| panic!("no copy is needed"));
        }
        predictor.predicted(None, &[0.0; 8 * 3], &[0.0; 16 * 3]);
        let worst = [Choice { expert: ExpertId(0), weight: 1.0 }; 4];
        predictor.compare(&pool, LayerId(1), (&[0.0; 16], &worst), |_| panic!("nothing was predicted"));
    }

    fn predictor(layers: usize, experts: usize, hidden: usize) -> LearntPredictor {
        LearntPredictor {
            shape: (experts, hidden),
            memory: vec![0.0; experts * hidden],
            taken: 0,
            layers: vec![Judged::default(); layers],
            predicted: None,
            input: Vec::with_capacity(2 * hidden),
            scores: Vec::with_capacity(2 * experts),
        }
    }

    mod testing {
        use super::*;
        use hotset_kernels::{Vectors, matmul};

        /// xorshift64*
        pub struct Random(pub u64);

        impl Random {
            pub fn numbers(&mut self, n: usize) -> Vec<f32> {
                let mut next = || {
                    self.0 ^= self.0 >> 12;
                    self.0 ^= self.0 << 25;
                    self.0 ^= self.0 >> 27;
                    (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 24) as f32 - 0.5
                };
                (0..n).map(|_| next()).collect()
            }
        }

        pub fn product(matrix: &[f32], x: &[f32]) -> Vec<f32> {
            matrix.chunks_exact(x.len()).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
        }

        pub fn times(matrix: Matrix<'_>, x: &[f32], pool: &Pool) -> Vec<f32> {
            let mut out = vec![0.0; matrix.rows()];
            matmul(pool, matrix, Vectors::exact(x, x.len()), &mut out);
            out
        }

        pub fn top(scores: &[f32], k: usize) -> Vec<Choice> {
            let mut order: Vec<u16> = (0..scores.len() as u16).collect();
            order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
            order[..k].iter().map(|&e| Choice { expert: ExpertId(e), weight: 0.0 }).collect()
        }
    }
}
