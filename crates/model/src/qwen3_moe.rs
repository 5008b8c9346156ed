//! A token's path through the model, top to bottom.

use std::ops::Range;

use hotset_base::figures::{PagerTotals, RoutingTotals, StageTimes};
use hotset_base::{LayerId, Phase};
use hotset_format::{Checkpoint, ModelConfig};
use hotset_kernels::{Pool, Vectors, matmul, rms_norm, rms_norm_in_place};
use hotset_policy::contexts::Contexts;
use hotset_policy::evict::Evict;
use hotset_policy::route::Route;
use hotset_residency::{Pager, Prediction, Timing};

use crate::attention::{attend, heads_together};
use crate::experts::{ExpertGeometry, compute_wanted, group_by_expert, route_chunk, sum_in_rank_order};
use crate::learning::{KeepContexts, Learning};
use crate::learnt_predictor::LearntPredictor;
use crate::observe::{Observation, Observe};
use crate::predict::{CoarseRouters, Lookahead};
use crate::probe::Probe;
use crate::rope::{self, Rotation};
use crate::scratch::HEAD_ROWS;
use crate::stage_clock::StageClock;
use crate::{Activations, DenseWeights, ForwardError, KvCache, RouterProbe, Scratch};

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
    /// Tokens computed so far.
    tokens_routed: u64,
    phase: Phase,
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
            coarse_routers: CoarseRouters::new(&dense, &config, pager.lookahead(Prediction::Token)),
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
            phase: Phase::Setup,
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

    /// Where a layer is predicted badly, learns from every token from now on to do better. Nothing if nothing is looked ahead.
    pub fn learn_to_predict(&mut self) {
        let looks_ahead = self.pager.lookahead(Prediction::Token) > 0;
        self.predictor = looks_ahead.then(|| LearntPredictor::new(&self.config));
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

    /// What routing has done since the model was loaded.
    pub fn routing_stats(&self) -> RoutingTotals {
        self.stats
    }

    /// Where the time has gone since the model was loaded.
    pub fn stage_times(&self) -> StageTimes {
        self.times
    }

    /// What the pager has done since the model was loaded.
    pub fn pager_stats(&self) -> PagerTotals {
        self.pager.stats()
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

    /// The tokens from now on are of this phase.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Runs up to [`Qwen3Moe::chunk`] tokens that follow what `cache` holds, and appends them to it.
    ///
    /// Afterwards [`Qwen3Moe::logits`] gives the scores after any of them. Every token's result is
    /// the same bits whether it came alone or with others. On an error the cache is as before.
    pub fn forward(&mut self, cache: &mut KvCache, tokens: &[u32]) -> Result<(), ForwardError> {
        self.check(cache, tokens)?;
        self.embed(tokens)?;
        self.find_angles(cache.len(), tokens.len());
        if let Some(observation) = &mut self.observation {
            observation.observer.pass(self.phase, cache.len(), tokens);
        }
        if let Some(learning) = &mut self.learning {
            learning.begin_pass(self.phase, cache.len(), tokens.len(), &mut self.pager);
        }
        for layer in (0..self.config.layers as u16).map(LayerId) {
            self.attention(layer, cache, tokens.len());
            self.experts(layer, tokens.len())?;
        }
        cache.advance(tokens.len());
        self.tokens_routed += tokens.len() as u64;
        if let Some(learning) = &mut self.learning {
            learning.end_pass(tokens.len(), &mut self.pager);
        }
        Ok(())
    }

    /// Scores of the next token after each of `rows` of the last pass: `[rows, vocab]`.
    ///
    /// At most [`Qwen3Moe::logits_rows`] rows at a time.
    pub fn logits(&mut self, rows: Range<usize>) -> &[f32] {
        let (hidden, mut clock) = (self.config.hidden, StageClock::start());
        let s = &mut self.scratch;
        let wanted = rows.len();
        for (i, row) in rows.enumerate() {
            let x = &s.x[row * hidden..(row + 1) * hidden];
            let out = &mut s.normed[i * hidden..(i + 1) * hidden];
            rms_norm(x, &self.dense.output_norm, self.config.rms_eps, out);
        }
        let logits = &mut s.logits[..wanted * self.config.vocab];
        let head = self.dense.head();
        let normed = s.int8.vectors(&self.pool, &s.normed[..wanted * hidden], hidden, &[head.ty()]);
        matmul(&self.pool, head, normed, logits);
        clock.lap(&mut self.times.head);
        logits
    }

    /// Negative log likelihood (nats) of `targets` after each of `rows` of the last pass.
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

    fn check(&self, cache: &KvCache, tokens: &[u32]) -> Result<(), ForwardError> {
        assert!(!tokens.is_empty() && tokens.len() <= self.chunk, "callers keep to the chunk size");
        if cache.len() + tokens.len() > cache.context() {
            let (used, more, context) = (cache.len(), tokens.len(), cache.context());
            return Err(ForwardError::ContextFull { used, more, context });
        }
        let vocab = self.config.vocab;
        match tokens.iter().find(|&&id| id as usize >= vocab) {
            Some(&id) => Err(ForwardError::UnknownToken { id, vocab }),
            None => Ok(()),
        }
    }

    fn embed(&mut self, tokens: &[u32]) -> Result<(), ForwardError> {
        let rows = self.scratch.x.chunks_exact_mut(self.config.hidden);
        rows.zip(tokens).try_for_each(|(row, &id)| self.dense.embed(id, row))
    }

    fn find_angles(&mut self, first: usize, n: usize) {
        let half = self.config.head_dim / 2;
        let (cos, sin) = (&mut self.scratch.cos, &mut self.scratch.sin);
        for (i, (cos, sin)) in cos.chunks_exact_mut(half).zip(sin.chunks_exact_mut(half)).enumerate().take(n)
        {
            self.rotation.angles(first + i, cos, sin);
        }
    }

    /// Norm, QKV, q/k norm, rope, KV append, attention, projection, residual.
    fn attention(&mut self, layer: LayerId, cache: &mut KvCache, n: usize) {
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
        for token in 0..n {
            let angle = token * d / 2..(token + 1) * d / 2;
            let (cos, sin) = (&s.cos[angle.clone()], &s.sin[angle]);
            let q = &mut s.q[token * wq.rows()..(token + 1) * wq.rows()];
            let k = &mut s.k[token * wk.rows()..(token + 1) * wk.rows()];
            place_heads(q, &weights.q_norm, c.rms_eps, cos, sin);
            place_heads(k, &weights.k_norm, c.rms_eps, cos, sin);
            cache.write(layer, cache.len() + token, k, &s.v[token * wk.rows()..(token + 1) * wk.rows()]);
        }
        let (q, cache, first) = (&s.q, &*cache, cache.len());
        let (group, together) = (c.heads / c.kv_heads, heads_together(c, n, pool.threads()));
        pool.for_each_chunk(&mut s.attended[..q_len], together * d, |i, out| {
            let (token, head) = (i * together / c.heads, i * together % c.heads);
            let q = &q[i * together * d..(i + 1) * together * d];
            attend(cache, layer, head / group, first + token + 1, q, out);
        });
        clock.lap(&mut times.attention);
        let attended = s.int8.vectors(pool, &s.attended[..q_len], wo.cols(), &[wo.ty()]);
        matmul(pool, wo, attended, &mut s.delta[..n * hidden]);
        s.x.iter_mut().zip(&s.delta[..n * hidden]).for_each(|(x, delta)| *x += delta);
        clock.lap(&mut times.projections);
    }

    /// Norm, router, choice, predictions, experts as they become ready, sum in rank order, residual.
    fn experts(&mut self, layer: LayerId, n: usize) -> Result<(), ForwardError> {
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
        let now = (self.tokens_routed, self.phase);
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
        route_chunk(layer, router.as_mut(), now, pager, s, (n, c.top_k), noted)?;
        group_by_expert(s, n, c.top_k);
        pager.request(layer, &s.wanted);
        s.admitted.iter().for_each(|&expert| pager.admit(layer, expert));
        let (policy, learnt) = (router.as_ref(), learning.as_ref());
        let mut predictor = predictor.as_mut();
        if let Some(predictor) = &mut predictor {
            let own = (&s.scores[..n * c.experts], &s.decision.native[..]);
            predictor.compare(pool, layer, own, |copy| coarse_routers.widen(layer, copy));
        }
        let mut lookahead =
            Lookahead { pool, routers: coarse_routers, policy, learning: learnt, predictor, now };
        lookahead.predict(layer, pager, s, (n, c.top_k));
        clock.lap_beside(pager.stall(), &mut times.router);
        compute_wanted(pool, pager, self.geometry[layer.index()], s, n)?;
        let learning = learning.as_mut().filter(|_| router.wants_contributions());
        sum_in_rank_order(s, n, c.top_k, c.hidden, (layer, learning));
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
