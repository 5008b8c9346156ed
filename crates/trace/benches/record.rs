//! Processor time that tracing takes per decoded token, of the thread that computes and of all threads:
//! `cargo bench -p hotset-trace`.

use std::time::Duration;

use hotset_base::{Choice, ExpertId, LayerId, Phase};
use hotset_outputs::{FileKind, Force, Outputs};
use hotset_trace::{Reads, Recorder, Scores, TraceHeader, TraceRow, VisitHead};
use rustix::time::{ClockId, clock_gettime};

const TOKENS: u32 = 2000;

fn main() {
    for (name, layers) in [("the model that ships", 6), ("Qwen3-30B-A3B", 48)] {
        let runs: Vec<[f64; 2]> = (0..7).map(|_| microseconds_per_token(layers)).collect();
        let [own, all] = [0, 1].map(|i| runs.iter().map(|run| run[i]).fold(f64::INFINITY, f64::min));
        println!("{name}: {own:.1} us per token computing, {all:.1} us in all");
    }
}

fn microseconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Of this thread until the last token, and of the process until everything is on the disk.
fn microseconds_per_token(layers: usize) -> [f64; 2] {
    let (experts, top_k) = (128, 8);
    let dir = tempfile::tempdir().expect("a directory");
    let header = TraceHeader {
        model: "bench".to_owned(),
        architecture: "qwen3moe".to_owned(),
        layers,
        experts,
        top_k,
        norm_topk: true,
        full_scores: true,
        whole_hot_sets: true,
        native_choice: true,
        several_texts: false,
        expert_bytes: vec![1; layers],
        options: Default::default(),
    };
    let hot = vec![true; experts];
    let logits: Vec<f32> = (0..experts).map(|e| (e as f32 * 1.7).sin() * 6.0).collect();
    let chosen: Vec<Choice> =
        (0..top_k as u16).map(|e| Choice { expert: ExpertId(e), weight: 0.125 }).collect();
    let file = Outputs::new(Force::NotOffered).claim(FileKind::Trace, &dir.path().join("t.trace"));
    let file = file.expect("a new directory");
    let (mut recorder, file) = Recorder::create(file, &header).expect("a file in a new directory");
    let clocks = [ClockId::ThreadCPUTime, ClockId::ProcessCPUTime];
    let start = clocks.map(microseconds);
    for token in 0..TOKENS {
        recorder.pass([TraceRow::of_one_text(Phase::Narration, token, Some(token))].into_iter());
        for layer in (0..layers as u16).map(LayerId) {
            let reads = Reads::default();
            recorder.visit(&VisitHead { layer, hot: &hot, reads, stall: Duration::ZERO });
            recorder.layer_token(&chosen, Scores::Logits(&logits));
        }
    }
    let own = microseconds(clocks[0]) - start[0];
    drop(recorder);
    file.finish().expect("the disk takes it");
    let all = microseconds(clocks[1]) - start[1];
    [own, all].map(|time| time / f64::from(TOKENS))
}
