//! Throwaway: prices many settings on the same windows.
use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use hotset_base::Bytes;
use hotset_engine::{Engine, EngineOptions, Plan};
use hotset_policy::evict::EvictKind;
use hotset_policy::route::*;
use hotset_text::Tokenizer;

type Picks = Arc<Mutex<Vec<(u16, Vec<u16>)>>>;
struct Rec(Native, Picks);
impl Route for Rec {
    fn name(&self) -> &'static str { "native" }
    fn route(&mut self, t: &LayerToken<'_>, out: &mut Decision) -> Result<(), NotFinite> {
        self.0.route(t, out)?;
        self.1.lock().unwrap().push((t.layer.0, out.chosen.iter().map(|c| c.expert.0).collect()));
        Ok(())
    }
}

fn belady(seq: &[Vec<u16>], h: usize) -> (u64, u64) {
    let mut uses: BTreeMap<u16, std::collections::VecDeque<usize>> = BTreeMap::new();
    for (t, s) in seq.iter().enumerate() { for &e in s { uses.entry(e).or_default().push_back(t); } }
    let mut cache: Vec<u16> = vec![];
    let (mut hit, mut all) = (0, 0);
    for s in seq {
        for e in s { all += 1; if cache.contains(e) { hit += 1; } uses.get_mut(e).unwrap().pop_front(); }
        for e in s {
            if cache.contains(e) { continue; }
            if cache.len() == h {
                let (i, _) = cache.iter().enumerate().filter(|(_, c)| !s.contains(c))
                    .max_by_key(|(_, c)| uses[c].front().copied().unwrap_or(usize::MAX)).unwrap();
                cache.swap_remove(i);
            }
            cache.push(*e);
        }
    }
    (hit, all)
}

fn lsm(l: &[f32], out: &mut Vec<f32>) {
    let max = l.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = l.iter().map(|x| (x - max).exp()).sum();
    let z = max + sum.ln();
    out.clear();
    out.extend(l.iter().map(|x| x - z));
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // args: model h first_window windows files...
    let h: usize = args[2].parse().unwrap();
    let (first, count): (usize, usize) = (args[3].parse().unwrap(), args[4].parse().unwrap());
    let model = hotset_format::open(std::path::Path::new(&args[1])).unwrap();
    let tokenizer = Tokenizer::new(&model.tokenizer).unwrap();
    let mut texts: Vec<Vec<u32>> = vec![];
    for f in &args[5..] {
        let t = tokenizer.encode(&std::fs::read_to_string(f).unwrap(), true).unwrap();
        texts.push(t[(first * 512).min(t.len())..((first + count) * 512).min(t.len())].to_vec());
    }
    let mut options = EngineOptions { threads: Some(1), context: Some(512), experts_per_layer: Some(h), chunk: Some(64), ..Default::default() };
    options.pager.lookahead = 0; options.pager.read.direct = false; options.pager.read.keep_page_cache = true;
    let plan = Plan::new(&model, &options, Bytes(0)).unwrap();
    let mut engine = Engine::open(&model, tokenizer, options, plan, &mut |_| {}).unwrap();
    let c = model.config.clone();
    let shape = RouterShape { layers: c.layers, experts: c.experts, top_k: c.top_k, norm_topk: c.norm_topk, slots: h as f32 };
    let per_expert = engine.model().pager().expert_bytes(hotset_base::LayerId(0)).0 as f64;
    // native pass, chunked, with picks
    let mut native: Vec<Vec<Vec<half::f16>>> = vec![];
    let (mut bh, mut ba) = (0, 0);
    for text in &texts {
        let picks = Picks::default();
        engine.model().restart(Box::new(Rec(Native::new(shape), Arc::clone(&picks))), EvictKind::Lru.build(c.layers, c.experts));
        let mut rows = vec![];
        let mut session = engine.session();
        let mut buf = vec![];
        let mut per_layer: Vec<Vec<Vec<u16>>> = vec![vec![]; c.layers];
        for w in text.chunks(512) {
            session.clear();
            let mut done = 0;
            for chunk in w.chunks(64) {
                engine.read(&mut session, chunk, &mut |_| {}).unwrap();
                for r in 0..chunk.len() {
                    let l = engine.model().logits(r..r + 1);
                    lsm(l, &mut buf);
                    rows.push(buf.iter().map(|&x| half::f16::from_f32(x)).collect::<Vec<_>>());
                }
                done += chunk.len();
            }
            let _ = done;
        }
        for (l, p) in picks.lock().unwrap().drain(..) { per_layer[l as usize].push(p); }
        for l in &per_layer { let (a, b) = belady(l, h); bh += a; ba += b; }
        native.push(rows);
    }
    println!("# belady H={h}: {:.2}", 100.0 * bh as f64 / ba as f64);
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        if line.trim().is_empty() || line.starts_with('#') { continue; }
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let kv: BTreeMap<&str, &str> = words.map(|w| w.split_once('=').unwrap()).collect();
        let f = |k: &str, d: f32| kv.get(k).map_or(d, |v| v.parse().unwrap());
        let evict = match *kv.get("evict").unwrap_or(&"lfu") {
            "lru" => EvictKind::Lru,
            "demand" => EvictKind::Demand { half_life: f("hl", 256.0) as u32 },
            "lfru" => EvictKind::Lfru,
            _ => EvictKind::Lfu { half_life: Some(f("hl", 256.0) as u32) },
        };
        let router = match name {
            "native" => RouterOptions::Native,
            "prior" => RouterOptions::CachePrior(CachePriorOptions { lambda: f("l", 0.05), sacred: f("j", 2.0) as usize, window: f("m", 16.0) as usize }),
            "drop" => RouterOptions::Drop(DropOptions { factor: f("f", 0.75) }),
            "strict" => RouterOptions::Strict(StrictOptions { hot: f("hot", 0.0) as usize, window: f("w", 64.0) as u64, half_life: f("r", 256.0) }),
            _ => RouterOptions::Trust(TrustOptions {
                tolerance: f("t", 0.08), trust: f("a", 0.0), caution: f("c", 0.0), horizon: f("hz", 256.0), sacred: f("j", 1.0) as usize,
                window: f("m", 16.0) as usize, substitute: f("s", 2.0), admission: f("ad", 1.0), ..Default::default() }),
        };
        let start = Instant::now();
        let (mut ll, mut nn, mut kl, mut top, mut n) = (0.0f64, 0.0f64, 0.0f64, 0, 0);
        let s0 = engine.model().routing_stats();
        let p0 = engine.model().pager_stats();
        let mut toks = 0;
        let mut worst = (0.0f64, 0);
        for (ti, text) in texts.iter().enumerate() {
            engine.model().restart(router.build(shape), evict.build(c.layers, c.experts));
            engine.model().set_phase(Phase::Narration);
            let mut buf = vec![];
            let (mut dl, mut dn) = (0.0, 0);
            for (wi, w) in text.chunks(512).enumerate() {
                let mut cache = hotset_model::KvCache::new(&c, 512, hotset_model::KvTypes::default());
                for (i, &t) in w.iter().enumerate() {
                    engine.model().forward(&mut cache, &[t]).unwrap();
                    toks += 1;
                    if i + 1 == w.len() { continue; }
                    lsm(engine.model().logits(0..1), &mut buf);
                    let nat = &native[ti][wi * 512 + i];
                    let mut k = 0.0f64;
                    let (mut bp, mut bq) = (0, 0);
                    for (j, p) in nat.iter().enumerate() {
                        let lp = p.to_f32();
                        if lp > -20.0 { k += f64::from(lp.exp() * (lp - buf[j])); }
                        if lp > nat[bp].to_f32() { bp = j; }
                        if buf[j] > buf[bq] { bq = j; }
                    }
                    kl += k; n += 1; top += usize::from(bp == bq);
                    let target = w[i + 1] as usize;
                    ll -= f64::from(buf[target]); nn -= f64::from(nat[target].to_f32());
                    dl += f64::from(nat[target].to_f32()) - f64::from(buf[target]); dn += 1;
                }
            }
            let d = dl / dn as f64;
            if d > worst.0 { worst = (d, ti); }
        }
        let s = engine.model().routing_stats() - s0;
        let p = engine.model().pager_stats() - p0;
        println!("{line} | hit {:.2} slots {:.2} ppl {:+.2}% kl {:.5} top1 {:.1} agree {:.1} lost {:.2}% (sub {:.2} drop {:.2}) reads/tok {:.2} adm {:.2} MiB/tok {:.3} worst {:+.2}%({}) [{:.0}s]",
            100.0 * s.hit_rate(), 100.0 * s.hot_slots as f64 / s.native_slots as f64,
            100.0 * ((ll - nn) / n as f64).exp_m1(), kl / n as f64, 100.0 * top as f64 / n as f64,
            100.0 * s.agreement(), 100.0 * s.mass_lost(), 100.0 * s.substituted.mass / s.native_mass, 100.0 * s.dropped.mass / s.native_mass,
            p.swap_ins as f64 / toks as f64, p.admitted as f64 / toks as f64, p.swap_ins as f64 * per_expert / toks as f64 / 1048576.0, 100.0 * worst.0.exp_m1(), worst.1, start.elapsed().as_secs_f64());
    }
}
