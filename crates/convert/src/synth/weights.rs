//! The weights, row by row. A row is a function of the seed, the tensor and its number.

use hotset_format::ModelConfig;

use super::blocks::{planted_row, random_row};
use super::calibration::{
    ECHO, HEAD, POPULARITY, QUIET, SHARPNESS, SURPRISE, TOPIC, TOPIC_SPREAD, UNWRITTEN,
};
use super::random::Stream;
use super::residual::Residual;
use super::tensors::{Content, Tensor};
use super::text::PlantedText;

/// First names of the streams.
const ROW: u64 = 10;
const TOKEN_DIRECTION: u64 = 11;
const TOPIC_DIRECTION: u64 = 12;
const LAYER: u64 = 13;
const UNPLANTED: u64 = 14;

/// Makes the rows of one model.
pub(super) struct Weights {
    seed: u64,
    text: PlantedText,
    residual: Residual,
}

impl Weights {
    pub fn new(config: &ModelConfig, seed: u64) -> Self {
        Self { seed, text: PlantedText::new(config.vocab, seed), residual: Residual::of(config) }
    }

    /// Makes one row of a tensor (of all its experts' rows); `wide` is a buffer of its columns.
    pub fn row(&self, tensor: &Tensor, row: usize, wide: &mut [f32], out: &mut [u8]) {
        match tensor.content {
            Content::Random(std) => return self.random(tensor, row, std, wide, out),
            Content::IntoLane(layer, std) => {
                let inside = self.residual.lane(layer).contains(&(row % tensor.rows));
                let std = if inside { std } else { QUIET * std };
                return self.random(tensor, row, std, wide, out);
            }
            Content::Ones => wide.fill(1.0),
            Content::Embedding => self.embedding(row, wide),
            Content::Head => self.head(row, wide),
            Content::Router => self.router(tensor.layer, row, wide),
        }
        planted_row(tensor.ty, wide, out);
    }

    fn random(&self, tensor: &Tensor, row: usize, std: f32, wide: &mut [f32], out: &mut [u8]) {
        // The name is part of the stream's, so every tensor has its own.
        let name = tensor.name.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(257) + u64::from(byte));
        let mut stream = Stream::named(&[self.seed, ROW, name, row as u64]);
        random_row(tensor.ty, std, &mut stream, wide, out);
    }

    /// Popularity, topic, the token's own direction with an echo of the token before, empty lanes.
    fn embedding(&self, token: usize, out: &mut [f32]) {
        let r = &self.residual;
        let mut stream = Stream::named(&[self.seed, UNPLANTED, token as u64]);
        out.iter_mut().for_each(|x| *x = UNWRITTEN * stream.flat());
        out[r.popularity.clone()].fill(1.0);
        let mut stream = Stream::named(&[self.seed, TOPIC_DIRECTION, self.text.topic(token)]);
        out[r.topic.clone()].iter_mut().for_each(|x| *x = stream.flat());
        let own = &mut out[r.token.clone()];
        own.fill(0.0);
        let before = self.text.before(token);
        let size = if before.is_some() { ECHO.hypot(1.0) } else { 1.0 };
        self.add_direction(token as u64, 1.0 / size, own);
        if let Some(before) = before {
            self.add_direction(u64::from(before), ECHO / size, own);
        }
    }

    /// The directions of the tokens that lead to this one.
    fn head(&self, token: usize, out: &mut [f32]) {
        let own = self.residual.token.clone();
        // Normalised by the final norm, a token's direction has `own.len()` numbers of this size.
        let normalised = 1.0 / self.residual.rms(0) / ECHO.hypot(1.0);
        let gain = HEAD / (own.len() as f32 * normalised);
        let mut stream = Stream::named(&[self.seed, UNPLANTED, u64::MAX, token as u64]);
        out.iter_mut().for_each(|x| *x = QUIET * gain * stream.flat());
        for leading in self.text.leading_to(token) {
            self.add_direction(u64::from(leading), gain, &mut out[own.clone()]);
        }
    }

    fn router(&self, layer: usize, expert: usize, out: &mut [f32]) {
        let r = &self.residual;
        let mut of_layer = Stream::named(&[self.seed, LAYER, layer as u64]);
        let topic = TOPIC * (TOPIC_SPREAD * of_layer.normal()).exp();
        let parts = [
            (r.popularity.clone(), POPULARITY, 1.0),
            (r.topic.clone(), topic, 1.0),
            (r.token.clone(), 1.0, 1.0),
            (r.lane(layer), SURPRISE, r.lane_rms()),
        ];
        let mut stream = Stream::named(&[self.seed, LAYER, layer as u64, expert as u64]);
        out.fill(0.0);
        for (range, size, input_rms) in parts {
            let std = SHARPNESS * r.rms(layer) * size / (input_rms * (range.len() as f32).sqrt());
            out[range].iter_mut().for_each(|w| *w = std * stream.normal());
        }
    }

    fn add_direction(&self, token: u64, size: f32, out: &mut [f32]) {
        let mut stream = Stream::named(&[self.seed, TOKEN_DIRECTION, token]);
        out.iter_mut().for_each(|x| *x += size * stream.flat());
    }
}
