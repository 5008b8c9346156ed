//! Traces: read to their end, summed up, exported, and loaded for a replay.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use half::f16;
use hotset_base::{Choice, ExpertId, LayerId, Phase, SequenceId};
use hotset_outputs::FileKind;
use hotset_replay::{Demand, Part};
use hotset_testkit::{Random, claim};
use hotset_trace::{
    LayerToken, Pass, Reads, Recorder, Summary, TraceHeader, TraceRow, TraceSource, Visit, export_csv,
    export_parquet,
};
use serde_json::Value;

use crate::formats::trace;
use crate::mutate::{bytes, json, once_in, pick};
use crate::target::{Outcome, Target, Workshop};

const NAME: &str = "t.trace";
const EXPERTS: usize = 10;
const TOP_K: usize = 3;

struct Trace {
    /// With and without full scores.
    sound: [Vec<u8>; 2],
}

pub fn make(workshop: &Workshop) -> io::Result<Box<dyn Target>> {
    let write = |full| sound(&workshop.sound.join(NAME), full);
    Ok(Box::new(Trace { sound: [write(true)?, write(false)?] }))
}

/// Bytes of a sound trace of two layers: a prompt of five tokens, then tokens one by one.
pub fn sound(path: &Path, full_scores: bool) -> io::Result<Vec<u8>> {
    let header = TraceHeader {
        model: "a model".to_owned(),
        architecture: "qwen3moe".to_owned(),
        layers: 2,
        experts: EXPERTS,
        top_k: TOP_K,
        norm_topk: true,
        full_scores,
        whole_hot_sets: true,
        native_choice: !full_scores,
        several_texts: full_scores,
        expert_bytes: vec![1000, 2000],
        options: [("evict".to_owned(), "lfu".to_owned())].into(),
    };
    let file = claim(FileKind::Trace, path);
    let (mut recorder, file) = Recorder::create(file, &header).map_err(io::Error::other)?;
    for i in 0..40 {
        recorder.copy(&pass(&header, i));
    }
    drop(recorder);
    file.finish().map_err(io::Error::other)?;
    fs::read(path)
}

fn pass(header: &TraceHeader, i: usize) -> Pass {
    let tokens: usize = if i == 0 { 5 } else { 1 };
    let layer_token = |layer: usize, token: usize| LayerToken {
        chosen: (0..header.top_k)
            .map(|rank| Choice {
                expert: ExpertId(((i + layer + token + rank) % header.experts) as u16),
                weight: 0.5 / (rank + 1) as f32,
            })
            .collect(),
        probabilities: match header.full_scores {
            true => (0..header.experts).map(|e| f16::from_f32(((i + e) % 8) as f32 / 16.0)).collect(),
            false => Vec::new(),
        },
    };
    let row = |place: usize| {
        let (phase, first) = if i == 0 { (Phase::Setup, 0) } else { (Phase::Narration, 4 + i) };
        let token = place.is_multiple_of(2).then_some(place as u32);
        let of_one = TraceRow::of_one_text(phase, (first + place) as u32, token);
        let sequence = SequenceId(if header.several_texts { (i % 3) as u16 } else { 0 });
        TraceRow { sequence, ..of_one }
    };
    Pass {
        rows: (0..tokens).map(row).collect(),
        visits: (0..header.layers)
            .map(|layer| Visit {
                layer: LayerId(layer as u16),
                hot: (0..header.experts).map(|e| (i + e).is_multiple_of(3)).collect(),
                reads: Reads { demand: 1, late: 0, prefetch: 2 },
                stall: Duration::from_micros(i as u64),
                layer_tokens: (0..tokens).map(|token| layer_token(layer, token)).collect(),
            })
            .collect(),
    }
}

impl Target for Trace {
    fn prepare(&mut self, random: &mut Random, place: &Path) -> io::Result<()> {
        let sound = pick(random, &self.sound).clone();
        let mut file = sound.clone();
        match random.below(4) {
            0 => {
                let mut metadata: Value = serde_json::from_slice(&sound[trace::metadata(&sound)])?;
                json::mutate(random, &mut metadata);
                file = trace::with_metadata(&sound, &json::to_text(random, &metadata));
            }
            1 => file = trace::with_other_records(random, &sound),
            2 => bytes::mutate_in_place(random, &mut file, &trace::fields(&sound)),
            _ => bytes::mutate(random, &mut file, &trace::fields(&sound)),
        }
        if once_in(random, 2) {
            trace::reseal(&mut file);
        }
        fs::write(place.join(NAME), file)
    }

    fn run(&mut self, place: &Path) -> Result<Outcome, String> {
        Ok(Outcome::here(read(&place.join(NAME), place)))
    }
}

/// Whatever the commands do with a trace; the first refusal is told.
pub fn read(path: &Path, place: &Path) -> Result<(), String> {
    let shown = summarise(path);
    let csv = TraceSource::open(path)
        .and_then(|mut source| export_csv(&mut source, claim(FileKind::RoutingCsv, &place.join("out.csv"))));
    let parquet = TraceSource::open(path).and_then(|mut source| {
        export_parquet(&mut source, claim(FileKind::Parquet, &place.join("out.parquet")))
    });
    for with_scores in [false, true] {
        // Refused where there are no scores, or nothing was decoded: no fault of the file.
        let demand = TraceSource::open(path).map_err(|e| e.to_string()).and_then(|mut source| {
            Demand::load(&mut source, Part::All, with_scores).map_err(|e| e.to_string())
        });
        drop(demand);
    }
    shown?;
    csv.map_err(|e| e.to_string())?;
    parquet.map_err(|e| e.to_string())?;
    Ok(())
}

fn summarise(path: &Path) -> Result<(), String> {
    let mut source = TraceSource::open(path).map_err(|e| e.to_string())?;
    let mut summaries = [false, true].map(|all| Summary::new(source.header(), all));
    while let Some(pass) = source.next_pass().map_err(|e| e.to_string())? {
        summaries.iter_mut().for_each(|summary| summary.add(&pass));
    }
    Ok(())
}
