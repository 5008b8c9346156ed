//! The records inside blocks, to bytes and back. Offsets are those of docs/trace-format.md.

use std::time::Duration;

use half::f16;
use half::slice::HalfFloatSliceExt;
use hotset_base::limits::{MAX_CHUNK, MAX_SEQUENCES, MAX_TRACE_POSITION, MAX_TRACE_STALL, MAX_VOCAB};
use hotset_base::little_endian::{u16_at, u32_at};
use hotset_base::{Choice, ExpertId, LayerId, Phase, RowKind, SequenceId};

use crate::{LayerToken, Reads, TraceHeader, TraceRow, Visit, VisitHead};

const PASS: u8 = 1;
const VISIT: u8 = 2;
const LAYER_TOKEN: u8 = 3;
const END: u8 = 4;
const ROWS: u8 = 5;
/// Bytes of a row in a record of rows.
const ROW: usize = 12;
/// A token id that the source does not know.
const NO_TOKEN: u32 = u32::MAX;

/// What the router said of a layer-token.
#[derive(Clone, Copy, Debug)]
pub enum Scores<'a> {
    /// Not known.
    None,
    /// Before the softmax.
    Logits(&'a [f32]),
    /// After it.
    Probabilities(&'a [f16]),
}

/// One record, read.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    Pass(Vec<TraceRow>),
    Visit(Visit),
    LayerToken(LayerToken),
    End { tokens: u64, waits: u64, waited: Duration },
}

/// Bytes of the largest record of such a trace.
pub(crate) fn largest(header: &TraceHeader) -> usize {
    let pass = pass_bytes(header.several_texts, MAX_CHUNK);
    let visit = 17 + header.experts.div_ceil(8);
    let layer_token = 2 + 6 * header.top_k + 2 * header.experts;
    pass.max(visit).max(layer_token)
}

/// Bytes of a record of so many rows.
pub(crate) fn pass_bytes(several_texts: bool, rows: usize) -> usize {
    if several_texts { 3 + ROW * rows } else { 8 + 4 * rows }
}

/// A pass of one text: its phase and first position say what there is to say of its rows.
pub(crate) fn put_pass(out: &mut Vec<u8>, mut rows: impl ExactSizeIterator<Item = TraceRow>) {
    out.push(PASS);
    let count = rows.len() as u16;
    let Some(first) = rows.next() else { unreachable!("a pass has rows") };
    out.push(first.phase as u8);
    out.extend(count.to_le_bytes());
    out.extend(first.position.to_le_bytes());
    let tokens = std::iter::once(first).chain(rows).map(|row| row.token);
    tokens.for_each(|token| out.extend(token.unwrap_or(NO_TOKEN).to_le_bytes()));
}

/// A pass of several texts, row by row.
pub(crate) fn put_rows(out: &mut Vec<u8>, rows: impl ExactSizeIterator<Item = TraceRow>) {
    out.push(ROWS);
    out.extend((rows.len() as u16).to_le_bytes());
    for row in rows {
        out.extend(row.sequence.0.to_le_bytes());
        out.extend([row.phase as u8, row.kind as u8]);
        out.extend(row.position.to_le_bytes());
        out.extend(row.token.unwrap_or(NO_TOKEN).to_le_bytes());
    }
}

pub(crate) fn put_visit(out: &mut Vec<u8>, visit: &VisitHead<'_>) {
    let Reads { demand, late, prefetch } = visit.reads;
    out.push(VISIT);
    for number in [visit.layer.0, demand, late, prefetch] {
        out.extend(number.to_le_bytes());
    }
    out.extend((visit.stall.as_nanos() as u64).to_le_bytes());
    for eight in visit.hot.chunks(8) {
        out.push(eight.iter().enumerate().fold(0, |byte, (bit, &hot)| byte | (u8::from(hot) << bit)));
    }
}

/// `probabilities`: room for the softmax.
pub(crate) fn put_layer_token(
    out: &mut Vec<u8>,
    chosen: &[Choice],
    scores: Scores<'_>,
    probabilities: &mut Probabilities,
) {
    out.push(LAYER_TOKEN);
    out.push(chosen.len() as u8);
    for choice in chosen {
        out.extend(choice.expert.0.to_le_bytes());
        out.extend(choice.weight.to_le_bytes());
    }
    let halves = match scores {
        _ if chosen.is_empty() => return,
        Scores::None => return,
        Scores::Logits(logits) => probabilities.softmax(logits),
        Scores::Probabilities(halves) => halves,
    };
    halves.iter().for_each(|half| out.extend(half.to_le_bytes()));
}

pub(crate) fn put_end(out: &mut Vec<u8>, tokens: u64, waits: u64, waited: Duration) {
    out.push(END);
    for number in [tokens, waits, waited.as_nanos() as u64] {
        out.extend(number.to_le_bytes());
    }
}

/// Room for one softmax and its rounding.
pub(crate) struct Probabilities {
    exact: Vec<f32>,
    rounded: Vec<f16>,
}

impl Probabilities {
    pub fn new(experts: usize) -> Self {
        Self { exact: vec![0.0; experts], rounded: vec![f16::ZERO; experts] }
    }

    fn softmax(&mut self, logits: &[f32]) -> &[f16] {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        self.exact.iter_mut().zip(logits).for_each(|(p, logit)| *p = (logit - max).exp());
        let sum: f32 = self.exact.iter().sum();
        self.exact.iter_mut().for_each(|p| *p /= sum);
        self.rounded.convert_from_f32_slice(&self.exact);
        &self.rounded
    }
}

/// Takes records off the front of a payload.
pub(crate) struct Records<'a> {
    left: &'a [u8],
}

impl<'a> Records<'a> {
    pub fn new(payload: &'a [u8]) -> Self {
        Self { left: payload }
    }

    /// The next record; `None` at the end. An error says what is wrong with it.
    pub fn next(&mut self, header: &TraceHeader) -> Result<Option<Record>, String> {
        let Some((&tag, rest)) = self.left.split_first() else { return Ok(None) };
        self.left = rest;
        Ok(Some(match tag {
            PASS => Record::Pass(self.pass()?),
            ROWS if header.several_texts => Record::Pass(self.rows()?),
            VISIT => Record::Visit(self.visit(header)?),
            LAYER_TOKEN => Record::LayerToken(self.layer_token(header)?),
            END => Record::End {
                tokens: self.u64()?,
                waits: self.u64()?,
                waited: Duration::from_nanos(self.u64()?),
            },
            _ => return Err(format!("a record of unknown kind {tag}")),
        }))
    }

    /// Bytes that were not taken.
    pub fn left(&self) -> usize {
        self.left.len()
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.left.split_at_checked(bytes).ok_or("a record is longer than its block")?;
        self.left = rest;
        Ok(taken)
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }

    fn pass(&mut self) -> Result<Vec<TraceRow>, String> {
        let head = self.take(7)?;
        let (phase, count, position) = (phase(head[0])?, count(u16_at(head, 1))?, u32_at(head, 3));
        let end = u64::from(position) + count as u64;
        if end > MAX_TRACE_POSITION {
            return Err(format!(
                "a pass that ends at position {end}; at most {MAX_TRACE_POSITION} is possible"
            ));
        }
        let rows = self.take(4 * count)?.chunks_exact(4).zip(position..);
        rows.map(|(id, position)| Ok(TraceRow::of_one_text(phase, position, token(u32_at(id, 0))?))).collect()
    }

    fn rows(&mut self) -> Result<Vec<TraceRow>, String> {
        let count = count(u16_at(self.take(2)?, 0))?;
        let rows = self.take(ROW * count)?.chunks_exact(ROW).map(|bytes| {
            let (sequence, position) = (SequenceId(u16_at(bytes, 0)), u32_at(bytes, 4));
            if sequence.index() >= MAX_SEQUENCES {
                return Err(format!("{sequence}; there are at most {MAX_SEQUENCES}"));
            }
            if u64::from(position) >= MAX_TRACE_POSITION {
                return Err(format!("position {position}; it must be below {MAX_TRACE_POSITION}"));
            }
            let kind = RowKind::ALL.get(usize::from(bytes[3])).ok_or_else(|| format!("kind {}", bytes[3]))?;
            let (phase, token) = (phase(bytes[2])?, token(u32_at(bytes, 8))?);
            Ok(TraceRow { sequence, position, token, phase, kind: *kind })
        });
        rows.collect()
    }

    fn visit(&mut self, header: &TraceHeader) -> Result<Visit, String> {
        let head = self.take(8)?;
        let layer = LayerId(u16_at(head, 0));
        if layer.index() >= header.layers {
            return Err(format!("layer {layer} of {}", header.layers));
        }
        let reads = Reads { demand: u16_at(head, 2), late: u16_at(head, 4), prefetch: u16_at(head, 6) };
        let stall = self.u64()?;
        if stall > MAX_TRACE_STALL {
            return Err(format!("a stall of {stall} ns; at most {MAX_TRACE_STALL} are possible"));
        }
        let stall = Duration::from_nanos(stall);
        let bitmap = self.take(header.experts.div_ceil(8))?;
        let hot = (0..header.experts).map(|expert| bitmap[expert / 8] >> (expert % 8) & 1 == 1).collect();
        Ok(Visit { layer, hot, reads, stall, layer_tokens: Vec::new() })
    }

    fn layer_token(&mut self, header: &TraceHeader) -> Result<LayerToken, String> {
        let count = usize::from(self.take(1)?[0]);
        if count > header.top_k {
            return Err(format!("{count} chosen experts, the trace has at most {}", header.top_k));
        }
        let choices = self.take(6 * count)?.chunks_exact(6).map(|bytes| Choice {
            expert: ExpertId(u16_at(bytes, 0)),
            weight: f32::from_bits(u32_at(bytes, 2)),
        });
        let chosen: Vec<Choice> = choices.collect();
        check_chosen(&chosen, header)?;
        let mut probabilities = Vec::new();
        if header.full_scores && count > 0 {
            let bytes = self.take(2 * header.experts)?;
            probabilities.extend((0..header.experts).map(|i| f16::from_bits(u16_at(bytes, 2 * i))));
            if !probabilities.iter().all(|p| (f16::ZERO..=f16::ONE).contains(p)) {
                return Err("a probability is not between 0 and 1".to_owned());
            }
        }
        Ok(LayerToken { chosen, probabilities })
    }
}

fn phase(number: u8) -> Result<Phase, String> {
    Phase::ALL.get(usize::from(number)).copied().ok_or_else(|| format!("phase {number}"))
}

/// Tokens of a pass.
fn count(number: u16) -> Result<usize, String> {
    match usize::from(number) {
        count if (1..=MAX_CHUNK).contains(&count) => Ok(count),
        count => Err(format!("a pass of {count} tokens; 1 to {MAX_CHUNK} are possible")),
    }
}

fn token(id: u32) -> Result<Option<u32>, String> {
    match id {
        NO_TOKEN => Ok(None),
        id if (id as usize) < MAX_VOCAB => Ok(Some(id)),
        id => Err(format!("token {id}; there are at most {MAX_VOCAB}")),
    }
}

/// Experts that exist, none twice, with weights that are numbers.
pub(crate) fn check_chosen(chosen: &[Choice], header: &TraceHeader) -> Result<(), String> {
    for (i, choice) in chosen.iter().enumerate() {
        if choice.expert.index() >= header.experts {
            return Err(format!("expert {} of {}", choice.expert, header.experts));
        }
        if chosen[..i].iter().any(|other| other.expert == choice.expert) {
            return Err(format!("expert {} is chosen twice", choice.expert));
        }
        if !(choice.weight.is_finite() && choice.weight >= 0.0) {
            return Err(format!("expert {} has the weight {}", choice.expert, choice.weight));
        }
    }
    Ok(())
}
