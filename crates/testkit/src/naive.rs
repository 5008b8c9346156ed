//! The forward pass once more, as plainly as it can be written: f64, no cache, no paging, no threads.
//! What the engine computes is compared with this.

use hotset_base::{ExpertId, ExpertKey, LayerId};
use hotset_format::{Checkpoint, ModelConfig, TensorSlice, read_extent};
use hotset_kernels::scalar;

type Row = Vec<f64>;

/// Logits after every token: `[tokens, vocab]`.
pub fn logits(model: &Checkpoint, tokens: &[u32]) -> Vec<Row> {
    let c = &model.config;
    let embedding = matrix(model, &model.dense.embedding);
    let mut x: Vec<Row> = tokens.iter().map(|&id| embedding[id as usize].clone()).collect();
    for layer in 0..c.layers {
        attention(model, layer, &mut x);
        experts(model, layer, &mut x);
    }
    let norm = vector(model, &model.dense.output_norm);
    let head = model.dense.head.map_or(embedding, |head| matrix(model, &head));
    x.iter().map(|x| times(&head, &rms_norm(x, &norm, c.rms_eps))).collect()
}

fn attention(model: &Checkpoint, layer: usize, x: &mut [Row]) {
    let c = &model.config;
    let d = &model.dense.layers[layer];
    let norm = vector(model, &d.attn_norm);
    let [wq, wk, wv, wo] = [d.q, d.k, d.v, d.o].map(|tensor| matrix(model, &tensor));
    let (q_norm, k_norm) = (vector(model, &d.q_norm), vector(model, &d.k_norm));
    let normed: Vec<Row> = x.iter().map(|x| rms_norm(x, &norm, c.rms_eps)).collect();
    let heads = |w: &[Row], at: usize| -> Vec<Row> {
        times(w, &normed[at]).chunks(c.head_dim).map(<[f64]>::to_vec).collect()
    };
    let placed = |w: &[Row], norm: &Row, at: usize| -> Vec<Row> {
        heads(w, at).iter().map(|head| rotate(&rms_norm(head, norm, c.rms_eps), at, c)).collect()
    };
    let keys: Vec<_> = (0..x.len()).map(|at| placed(&wk, &k_norm, at)).collect();
    let values: Vec<_> = (0..x.len()).map(|at| heads(&wv, at)).collect();
    for at in 0..x.len() {
        let mut mixed = Row::new();
        for (head, q) in placed(&wq, &q_norm, at).iter().enumerate() {
            let shared = head / (c.heads / c.kv_heads);
            let scale = 1.0 / (c.head_dim as f64).sqrt();
            let scores: Row = (0..=at).map(|i| dot(q, &keys[i][shared]) * scale).collect();
            let weights = softmax(&scores);
            mixed.extend(
                (0..c.head_dim).map(|j| (0..=at).map(|i| weights[i] * values[i][shared][j]).sum::<f64>()),
            );
        }
        add(&mut x[at], &times(&wo, &mixed));
    }
}

fn experts(model: &Checkpoint, layer: usize, x: &mut [Row]) {
    let c = &model.config;
    let norm = vector(model, &model.dense.layers[layer].ffn_norm);
    let router = matrix(model, &model.dense.layers[layer].router);
    for x in x {
        let input = rms_norm(x, &norm, c.rms_eps);
        let p = softmax(&times(&router, &input));
        let mut order: Vec<usize> = (0..c.experts).collect();
        order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
        let chosen = &order[..c.top_k];
        let sum: f64 = if c.norm_topk { chosen.iter().map(|&e| p[e]).sum() } else { 1.0 };
        for &e in chosen {
            let key = ExpertKey::new(LayerId(layer as u16), ExpertId(e as u16));
            let [gate, up, down] = model.expert(key).in_order().map(|part| matrix(model, &part));
            let (g, u) = (times(&gate, &input), times(&up, &input));
            let h: Row = g.iter().zip(&u).map(|(g, u)| g / (1.0 + (-g).exp()) * u * p[e] / sum).collect();
            add(x, &times(&down, &h));
        }
    }
}

fn matrix(model: &Checkpoint, tensor: &TensorSlice) -> Vec<Row> {
    let mut bytes = vec![0; tensor.extent.bytes.index()];
    read_extent(&model.files, &tensor.extent, &mut bytes).expect("test models are whole");
    bytes
        .chunks(bytes.len() / tensor.rows)
        .map(|row| {
            let mut wide = vec![0.0f32; tensor.cols];
            scalar::dequantize_row(tensor.ty, row, &mut wide);
            wide.into_iter().map(f64::from).collect()
        })
        .collect()
}

fn vector(model: &Checkpoint, tensor: &TensorSlice) -> Row {
    matrix(model, tensor).remove(0)
}

fn times(w: &[Row], x: &[f64]) -> Row {
    w.iter().map(|row| dot(row, x)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

fn rms_norm(x: &[f64], weight: &[f64], eps: f32) -> Row {
    let scale = 1.0 / (dot(x, x) / x.len() as f64 + f64::from(eps)).sqrt();
    x.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
}

fn softmax(x: &[f64]) -> Row {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Row = x.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}

/// Frequency of pair `i`, from the definitions of linear scaling and of YaRN.
fn frequency(c: &ModelConfig, i: usize) -> f64 {
    let (d, theta) = (c.head_dim as f64, f64::from(c.rope_theta));
    let f = theta.powf(-2.0 * i as f64 / d);
    let Some(scaling) = c.rope_scaling else { return f };
    let s = f64::from(scaling.factor);
    let Some(yarn) = scaling.yarn else { return f / s };
    let dim = |r: f32| {
        let turns = 2.0 * std::f64::consts::PI * f64::from(r);
        d * (yarn.original_context as f64 / turns).ln() / (2.0 * theta.ln())
    };
    let low = dim(yarn.beta_fast).floor().max(0.0);
    let high = dim(yarn.beta_slow).ceil().min(d - 1.0);
    let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
    f / s * ramp + f * (1.0 - ramp)
}

fn rotate(head: &[f64], position: usize, c: &ModelConfig) -> Row {
    let half = head.len() / 2;
    let amplitude = c.rope_scaling.map_or(1.0, |scaling| f64::from(scaling.attention_factor));
    let angle = |i: usize| position as f64 * frequency(c, i);
    let (cos, sin) = (|i: usize| angle(i).cos() * amplitude, |i: usize| angle(i).sin() * amplitude);
    let first = (0..half).map(|i| head[i] * cos(i) - head[i + half] * sin(i));
    let second = (0..half).map(|i| head[i + half] * cos(i) + head[i] * sin(i));
    first.chain(second).collect()
}
