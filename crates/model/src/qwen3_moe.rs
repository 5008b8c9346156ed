//! A token's path through the model, top to bottom.

use std::ops::Range;

use hotset_base::figures::{RoutingTotals, StageTimes, Totals};
use hotset_base::{Batch, LayerId, Row, RowKind};
use hotset_format::{Checkpoint, ModelConfig};
use hotset_kernels::{Pool, Vectors, matmul, rms_norm, rms_norm_in_place};
use hotset_policy::contexts::Contexts;
use hotset_policy::evict::Evict;
use hotset_policy::route::Route;
use hotset_residency::{Pager, Timing};

use crate::attention::{attend, heads_together};
use crate::experts::{ExpertGeometry, compute_wanted, group_by_expert, route_rows, sum_in_rank_order};
use crate::learning::{KeepContexts, Learning};
use crate::learnt_predictor::LearntPredictor;
use crate::observe::{Observation, Observe};
use crate::predict::{CoarseRouters, Lookahead};
use crate::probe::Probe;
use crate::rope::{self, Rotation};
use crate::scratch::HEAD_ROWS;
use crate::stage_clock::StageClock;
use crate::{Activations, Caches, DenseWeights, ForwardError, RouterProbe, Scratch};

/// A loaded model. Source of the architecture: the Qwen3-MoE implementation in transformers
/// (`modeling_qwen3_moe.py`) and the Qwen3 technical report (2505.09388).
pub struct Qwen3Moe {
    config: ModelConfig,
    geometry: Vec<ExpertGeometry>,
    dense: DenseWeights,
    coarse_routers: CoarseRouters,
    rotation: Rotation,
    pool: Pool,
    pager: Pager,
    router: Box<dyn Route>,
    scratch: Scratch,
    chunk: usize,
    stats: RoutingTotals,
    times: StageTimes,
    probe: Option<Probe>,
    /// The clock of routing.
    tokens_routed: u64,
    observation: Option<Observation>,
    learning: Option<Learning>,
    predictor: Option<LearntPredictor>,
}

impl Qwen3Moe {
    /// Puts the parts together; `chunk` is the most tokens one [`Qwen3Moe::forward`] takes, `activations` what
    /// quantised weights are multiplied with.
    pub fn new(
        checkpoint: &Checkpoint,
        dense: DenseWeights,
        pool: Pool,
        mut pager: Pager,
        router: Box<dyn Route>,
        chunk: usize,
        activations: Activations,
    ) -> Self {
        pager.keep_time(timing_for(router.as_ref()));
        let config = checkpoint.config.clone();
        let geometry = checkpoint.experts.chunks(config.experts).map(|layer| ExpertGeometry {
            types: layer[0].in_order().map(|part| part.ty),
            hidden: config.hidden,
            width: config.expert_width,
        });
        Self {
            geometry: geometry.collect(),
            rotation: Rotation::new(&config),
            coarse_routers: CoarseRouters::new(&dense, &config, pager.lookahead(RowKind::Decode)),
            scratch: Scratch::new(&config, chunk, activations),
            config,
            dense,
            pool,
            pager,
            router,
            chunk,
            stats: RoutingTotals::default(),
            times: StageTimes::default(),
            probe: None,
            tokens_routed: 0,
            observation: None,
            learning: None,
            predictor: None,
        }
    }

    /// Starts over with other policies: the arena is empty, what was learnt is gone; totals go on.
    pub fn restart(&mut self, router: Box<dyn Route>, evict: Box<dyn Evict>) {
        self.pager.clear(evict);
        self.pager.keep_time(timing_for(router.as_ref()));
        self.router = router;
        self.tokens_routed = 0;
        if let Some(predictor) = &mut self.predictor {
            predictor.forget();
        }
        if let Some(learning) = &mut self.learning {
            learning.restart(&mut self.pager);
        }
    }

    /// Where a layer is predicted badly, learns from now on to do better, from the first `rows` of every pass that
    /// decodes. Nothing if nothing is looked ahead.
    pub fn learn_to_predict(&mut self, rows: usize) {
        let looks_ahead = self.pager.lookahead(RowKind::Decode) > 0;
        self.predictor = looks_ahead.then(|| LearntPredictor::new(&self.config, rows));
    }

    /// Learns from every token from now on, and preloads what it knows of the present context; `keeper` is shown
    /// the contexts after every pass. Under a lossy policy a token waits for what is preloaded.
    pub fn learn(&mut self, contexts: Contexts, keeper: Box<dyn KeepContexts>) {
        let learning = self.learning.insert(Learning::new(contexts, keeper));
        learning.open(&mut self.pager);
    }

    /// What has been learnt.
    pub fn contexts(&self) -> Option<&Contexts> {
        self.learning.as_ref().map(Learning::contexts)
    }

    /// Shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The most tokens one pass takes.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// What has been done since the model was loaded; tokens and wall time are the caller's to count.
    pub fn totals(&self) -> Totals {
        Totals { routing: self.stats, pager: self.pager.stats(), stages: self.times, ..Totals::default() }
    }

    /// The pager, for inspection.
    pub fn pager(&self) -> &Pager {
        &self.pager
    }

    /// Lets somebody look at the routers of every pass from now on; it allocates when it first does.
    pub fn probe_routers(&mut self, probe: RouterProbe) {
        self.probe = Some(Probe::new(probe));
    }

    /// Tells somebody of every pass from now on.
    pub fn observe(&mut self, observer: Box<dyn Observe>) {
        self.observation = Some(Observation::new(observer, self.config.experts));
    }

    /// Tells the observer nothing more, and gives it back.
    pub fn end_observation(&mut self) -> Option<Box<dyn Observe>> {
        self.observation.take().map(|observation| observation.observer)
    }

    /// Computes up to [`Qwen3Moe::chunk`] rows, each run of which goes on where its cache ends, and appends them.
    ///
    /// Afterwards [`Qwen3Moe::logits`] gives the scores after those that want them. Every row's result is the same
    /// bits whether it came alone or with others, of its text or of other texts. On an error the caches
    /// are as before, and what was learnt.
    pub fn forward(&mut self, batch: &Batch<'_>, caches: &mut Caches) -> Result<(), ForwardError> {
        self.check(batch, caches)?;
        self.embed(batch)?;
        self.find_angles(batch);
        let before = self.stats;
        self.begin_pass(batch);
        for layer in (0..self.config.layers as u16).map(LayerId) {
            self.attention(layer, batch, caches);
            if let Err(error) = self.experts(layer, batch) {
                self.stats = before;
                self.abandon_pass(batch);
                return Err(error);
            }
        }
        caches.advance(batch);
        self.tokens_routed += batch.len() as u64;
        if let Some(learning) = &mut self.learning {
            learning.end_pass(batch, &mut self.pager);
        }
        Ok(())
    }

    fn begin_pass(&mut self, batch: &Batch<'_>) {
        if let Some(observation) = &mut self.observation {
            observation.observer.pass(batch);
        }
        self.router.mark();
        if let Some(learning) = &mut self.learning {
            learning.begin_pass(batch, &mut self.pager);
        }
    }

    /// A pass that failed is tried again, or not: in either case nothing was learnt from it but what the pager knows
    /// of the disk and of what was used.
    fn abandon_pass(&mut self, batch: &Batch<'_>) {
        self.router.go_back();
        if let Some(predictor) = &mut self.predictor {
            predictor.drop_comparison();
        }
        if let Some(learning) = &mut self.learning {
            learning.abandon_pass(batch);
        }
    }

    /// Scores of the next token after some of those rows of the last pass that want them, counted among these:
    /// `[rows, vocab]`.
    ///
    /// At most [`Qwen3Moe::logits_rows`] rows at a time.
    pub fn logits(&mut self, rows: Range<usize>) -> &[f32] {
        let (hidden, mut clock) = (self.config.hidden, StageClock::start());
        let s = &mut self.scratch;
        let wanted = rows.len();
        for (out, &row) in s.normed.chunks_exact_mut(hidden).zip(&s.wants_logits[rows]) {
            let x = &s.x[row as usize * hidden..][..hidden];
            rms_norm(x, &self.dense.output_norm, self.config.rms_eps, out);
        }
        let logits = &mut s.logits[..wanted * self.config.vocab];
        let head = self.dense.head();
        let normed = s.int8.vectors(&self.pool, &s.normed[..wanted * hidden], hidden, &[head.ty()]);
        matmul(&self.pool, head, normed, logits);
        clock.lap(&mut self.times.head);
        logits
    }

    /// Negative log likelihood (nats) of `targets` after each of `rows`, as [`Qwen3Moe::logits`] takes them.
    pub fn losses(&mut self, rows: Range<usize>, targets: &[u32], losses: &mut [f64]) {
        self.logits(rows);
        let (vocab, logits) = (self.config.vocab, &self.scratch.logits);
        self.pool.for_each_chunk(losses, 1, |i, loss| {
            let logits = &logits[i * vocab..(i + 1) * vocab];
            let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|logit| f64::from((logit - max).exp())).sum();
            loss[0] = sum.ln() - f64::from(logits[targets[i] as usize] - max);
        });
    }

    /// The most rows [`Qwen3Moe::logits`] takes.
    pub fn logits_rows(&self) -> usize {
        HEAD_ROWS.min(self.chunk)
    }

    fn check(&mut self, batch: &Batch<'_>, caches: &Caches) -> Result<(), ForwardError> {
        let (rows, chunk, vocab) = (batch.len(), self.chunk, self.config.vocab);
        if rows > chunk {
            return Err(ForwardError::TooManyRows { rows, chunk });
        }
        caches.check(batch)?;
        if let Some(&Row { token: id, .. }) = batch.rows().iter().find(|row| row.token as usize >= vocab) {
            return Err(ForwardError::UnknownToken { id, vocab });
        }
        let wanted = (0..).zip(batch.rows()).filter(|(_, row)| row.wants_logits).map(|(i, _)| i);
        self.scratch.wants_logits.clear();
        self.scratch.wants_logits.extend(wanted);
        Ok(())
    }

    fn embed(&mut self, batch: &Batch<'_>) -> Result<(), ForwardError> {
        let rows = self.scratch.x.chunks_exact_mut(self.config.hidden);
        rows.zip(batch.rows()).try_for_each(|(x, row)| self.dense.embed(row.token, x))
    }

    fn find_angles(&mut self, batch: &Batch<'_>) {
        let half = self.config.head_dim / 2;
        let (cos, sin) = (&mut self.scratch.cos, &mut self.scratch.sin);
        let angles = cos.chunks_exact_mut(half).zip(sin.chunks_exact_mut(half));
        for (row, (cos, sin)) in batch.rows().iter().zip(angles) {
            self.rotation.angles(row.position as usize, cos, sin);
        }
    }

    /// Norm, QKV, q/k norm, rope, KV append, attention, projection, residual.
    fn attention(&mut self, layer: LayerId, batch: &Batch<'_>, caches: &mut Caches) {
        let n = batch.len();
        let Self { config: c, dense, pool, scratch: s, times, .. } = self;
        let mut clock = StageClock::start();
        let weights = dense.layer(layer);
        let [wq, wk, wv, wo] = dense.attention(layer);
        let (hidden, d) = (c.hidden, c.head_dim);
        let (q_len, kv_len) = (n * wq.rows(), n * wk.rows());
        normalise(&s.x, &weights.attn_norm, c.rms_eps, &mut s.normed, n);
        let types = [wq.ty(), wk.ty(), wv.ty()];
        let normed = s.int8.vectors(pool, &s.normed[..n * hidden], hidden, &types);
        matmul(pool, wq, normed, &mut s.q[..q_len]);
        matmul(pool, wk, normed, &mut s.k[..kv_len]);
        matmul(pool, wv, normed, &mut s.v[..kv_len]);
        clock.lap(&mut times.projections);
        for (i, row) in batch.rows().iter().enumerate() {
            let angle = i * d / 2..(i + 1) * d / 2;
            let (cos, sin) = (&s.cos[angle.clone()], &s.sin[angle]);
            let q = &mut s.q[i * wq.rows()..(i + 1) * wq.rows()];
            let kv = i * wk.rows()..(i + 1) * wk.rows();
            let k = &mut s.k[kv.clone()];
            place_heads(q, &weights.q_norm, c.rms_eps, cos, sin);
            place_heads(k, &weights.k_norm, c.rms_eps, cos, sin);
            caches.of_mut(row.sequence).write(layer, row.position as usize, k, &s.v[kv]);
        }
        let (q, caches, rows) = (&s.q, &*caches, batch.rows());
        let (group, together) = (c.heads / c.kv_heads, heads_together(c, n, pool.threads()));
        pool.for_each_chunk(&mut s.attended[..q_len], together * d, |i, out| {
            let (row, head) = (rows[i * together / c.heads], i * together % c.heads);
            let q = &q[i * together * d..(i + 1) * together * d];
            attend(caches.of(row.sequence), layer, head / group, row.position as usize + 1, q, out);
        });
        clock.lap(&mut times.attention);
        let attended = s.int8.vectors(pool, &s.attended[..q_len], wo.cols(), &[wo.ty()]);
        matmul(pool, wo, attended, &mut s.delta[..n * hidden]);
        s.x.iter_mut().zip(&s.delta[..n * hidden]).for_each(|(x, delta)| *x += delta);
        clock.lap(&mut times.projections);
    }

    /// Norm, router, choice, a look ahead, experts as they become ready, sum in rank order, residual.
    fn experts(&mut self, layer: LayerId, batch: &Batch<'_>) -> Result<(), ForwardError> {
        let n = batch.len();
        let Self {
            config: c,
            dense,
            coarse_routers,
            pool,
            pager,
            router,
            scratch: s,
            stats,
            times,
            probe,
            observation,
            learning,
            predictor,
            ..
        } = self;
        let tokens_routed = self.tokens_routed;
        let mut clock = StageClock::start_beside(pager.stall());
        normalise(&s.x, &dense.layer(layer).ffn_norm, c.rms_eps, &mut s.normed, n);
        // Routers stay exact whatever their type: they decide, where the others only sum up.
        let normed = Vectors::exact(&s.normed[..n * c.hidden], c.hidden);
        matmul(pool, dense.router(layer), normed, &mut s.scores[..n * c.experts]);
        if let Some(probe) = probe {
            let next = layer.index() + 1;
            let next = (next < c.layers).then(|| dense.router(LayerId(next as u16)));
            probe.look(pool, layer, &s.scores[..n * c.experts], next, normed);
        }
        pager.poll();
        if let Some(observation) = observation {
            observation.before(pager, layer);
        }
        let noted = (stats, learning.as_mut());
        route_rows(layer, router.as_mut(), (tokens_routed, batch), pager, s, c.top_k, noted)?;
        group_by_expert(s, batch, c.top_k);
        pager.request(layer, &s.wanted);
        for &expert in &s.admitted {
            if !pager.admit(layer, expert) {
                router.refused(layer, expert, pager.expert_bytes(layer));
            }
        }
        let (policy, learnt) = (router.as_ref(), learning.as_ref());
        let mut predictor = predictor.as_mut();
        if let Some(predictor) = &mut predictor {
            let own = (&s.scores[..n * c.experts], &s.native[..n * c.top_k]);
            predictor.compare(pool, layer, own, |copy| coarse_routers.widen(layer, copy));
        }
        let routers = &*coarse_routers;
        let mut lookahead =
            Lookahead { pool, routers, policy, learning: learnt, predictor, tokens_routed, batch };
        lookahead.predict(layer, pager, s, c.top_k);
        clock.lap_beside(pager.stall(), &mut times.router);
        compute_wanted(pool, pager, self.geometry[layer.index()], s, n)?;
        let learning = learning.as_mut().filter(|_| router.wants_contributions());
        sum_in_rank_order(s, batch, c.top_k, c.hidden, (layer, learning));
        if let Some(observation) = observation {
            observation.after(pager, layer, s, (n, c.top_k));
        }
        clock.lap_beside(pager.stall(), &mut times.experts);
        Ok(())
    }
}

/// A policy that goes by what is held gets a pager that goes by decisions.
fn timing_for(router: &dyn Route) -> Timing {
    if router.is_lossy() { Timing::ByDecisions } else { Timing::ByTime }
}

/// RMSNorm of the first `n` rows of `x`.
fn normalise(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32], n: usize) {
    let hidden = weight.len();
    for (x, out) in x.chunks_exact(hidden).zip(out.chunks_exact_mut(hidden)).take(n) {
        rms_norm(x, weight, eps, out);
    }
}

/// RMSNorm of each head by itself, then its rotation.
fn place_heads(heads: &mut [f32], norm: &[f32], eps: f32, cos: &[f32], sin: &[f32]) {
    for head in heads.chunks_exact_mut(norm.len()) {
        rms_norm_in_place(head, norm, eps);
        rope::rotate(head, cos, sin);
    }
}
