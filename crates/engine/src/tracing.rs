//! A trace of a run: what the model tells its observer goes to the recorder.

use hotset_base::Batch;
use hotset_model::{LayerVisit, Observe, Qwen3Moe};
use hotset_outputs::PartialFile;
use hotset_trace::{
    Reads, Recorder, Scores, TraceError, TraceFile, TraceHeader, TraceRow, TraceTotals, VisitHead,
};

/// A trace that is being written.
pub(crate) struct Tracing(TraceFile);

impl Tracing {
    pub fn start(model: &mut Qwen3Moe, file: PartialFile, header: &TraceHeader) -> Result<Self, TraceError> {
        let (recorder, file) = Recorder::create(file, header)?;
        model.observe(Box::new(Observer(recorder)));
        Ok(Self(file))
    }

    pub fn end(self, model: &mut Qwen3Moe) -> Result<TraceTotals, TraceError> {
        drop(model.end_observation());
        self.0.finish()
    }
}

struct Observer(Recorder);

impl Observe for Observer {
    fn pass(&mut self, batch: &Batch<'_>) {
        self.0.pass(batch.rows().iter().map(TraceRow::from));
    }

    fn visit(&mut self, visit: &LayerVisit<'_>) {
        let count = |experts: u64| u16::try_from(experts).unwrap_or(u16::MAX);
        let reads =
            Reads { demand: count(visit.demand), late: count(visit.late), prefetch: count(visit.prefetch) };
        self.0.visit(&VisitHead { layer: visit.layer, hot: visit.hot, reads, stall: visit.stall });
        let scores = visit.scores.chunks_exact(visit.hot.len());
        let rows = visit.choices.chunks_exact(visit.top_k).zip(visit.chosen);
        for ((row, &chosen), scores) in rows.zip(scores) {
            self.0.layer_token(&row[..chosen], Scores::Logits(scores));
        }
    }
}
