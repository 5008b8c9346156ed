//! Caches against slow and simple twins: the clairvoyant against every possible cache, the others against
//! lists.

use std::fmt::Write as _;
use std::path::Path;

use hotset_base::figures::*;
use hotset_replay::{Demand, Outcome, Part, ReplayError, ReplayPolicy, Setting, replay, replay_all};
use hotset_trace::{CsvTrace, TraceSource};
use proptest::prelude::*;

/// `[token][layer]`: distinct picks in rank order.
type Picks = Vec<Vec<Vec<u16>>>;

fn demand(picks: &Picks, experts: usize) -> Demand {
    let layers = picks[0].len();
    let top_k = picks.iter().flatten().map(Vec::len).max().unwrap();
    let mut text = format!("# route_trace v1\n# n_layer={layers} n_expert={experts} n_expert_used={top_k}\n");
    text.push_str("turn,phase,step,layer,slot,expert,weight,residency\n");
    for (step, token) in picks.iter().enumerate() {
        for (layer, picks) in token.iter().enumerate() {
            for (slot, expert) in picks.iter().enumerate() {
                let _ = writeln!(text, "0,1,{step},{layer},{slot},{expert},{},0", 1.0 / top_k as f64);
            }
        }
    }
    let csv = CsvTrace::parse(&text, Path::new("x.csv")).unwrap();
    Demand::load(&mut TraceSource::Csv(csv), Part::Decoded, false).unwrap()
}

fn hits(demand: &Demand, policy: &str, experts_per_layer: usize) -> u64 {
    outcome(demand, policy, experts_per_layer).totals.routing.hot_picks
}

fn outcome(demand: &Demand, policy: &str, experts_per_layer: usize) -> Outcome {
    let setting = Setting { policy: policy.parse().unwrap(), experts_per_layer };
    replay(demand, setting, 0, None).unwrap()
}

/// Traces of `layers` layers; every layer-token has `k` distinct picks, low numbers more often.
fn picks(
    layers: usize,
    experts: u16,
    k: usize,
    tokens: std::ops::Range<usize>,
) -> impl Strategy<Value = Picks> {
    let pick = (0..experts, 0..experts).prop_map(|(a, b)| a.min(b));
    let layer_token = proptest::collection::vec(pick, 4 * k).prop_map(move |drawn| {
        let mut picks: Vec<u16> = Vec::new();
        for expert in drawn.into_iter().chain(0..experts) {
            if picks.len() < k && !picks.contains(&expert) {
                picks.push(expert);
            }
        }
        picks
    });
    proptest::collection::vec(proptest::collection::vec(layer_token, layers), tokens)
}

/// The most hits that any cache of this many slots can have which reads on demand and keeps, after every
/// layer-token, any part of what it had and what it just read: all possible contents, step by step.
fn best_possible(picks: &Picks, experts: usize, slots: usize) -> u64 {
    let layers = picks[0].len();
    let bit = |layer: usize, expert: u16| 1u32 << (layer * experts + usize::from(expert));
    let mut best = vec![None; 1 << (layers * experts)];
    best[0] = Some(0u64);
    for token in picks {
        for (layer, picks) in token.iter().enumerate() {
            let wanted = picks.iter().fold(0, |set, &expert| set | bit(layer, expert));
            let mut next = vec![None; best.len()];
            for (contents, hits) in best.iter().enumerate() {
                let Some(hits) = hits else { continue };
                let hits = hits + u64::from((contents as u32 & wanted).count_ones());
                // Every subset of what may be kept.
                let all = contents as u32 | wanted;
                let mut kept = all;
                loop {
                    if kept.count_ones() as usize <= slots {
                        let entry = &mut next[kept as usize];
                        *entry = (*entry).max(Some(hits));
                    }
                    if kept == 0 {
                        break;
                    }
                    kept = (kept - 1) & all;
                }
            }
            best = next;
        }
    }
    best.into_iter().flatten().max().unwrap()
}

/// Hits of LRU or LFU per layer, with sorted lists: after a visit the best of residents and picks stay, what
/// the visit did not pick leaving first.
fn with_lists(picks: &Picks, experts: usize, slots: usize, frequency: bool) -> u64 {
    let layers = picks[0].len();
    let mut residents: Vec<Vec<u16>> = vec![Vec::new(); layers];
    let (mut last, mut count) = (vec![vec![0; experts]; layers], vec![vec![0; experts]; layers]);
    let (mut clock, mut hits) = (0, 0);
    for token in picks {
        for (layer, picks) in token.iter().enumerate() {
            hits += picks.iter().filter(|pick| residents[layer].contains(pick)).count() as u64;
            for &pick in picks {
                clock += 1;
                last[layer][usize::from(pick)] = clock;
                count[layer][usize::from(pick)] += 1;
                if !residents[layer].contains(&pick) {
                    residents[layer].push(pick);
                }
            }
            residents[layer].sort_by_key(|expert| {
                let e = usize::from(*expert);
                std::cmp::Reverse((
                    picks.contains(expert),
                    if frequency { count[layer][e] } else { 0 },
                    last[layer][e],
                ))
            });
            residents[layer].truncate(slots);
        }
    }
    hits
}

const LIVE: [&str; 5] = ["lru", "lfu", "window-lfu", "lfru", "least-stale"];

proptest! {
    #[test]
    fn belady_hits_as_often_as_any_cache_can(picks in picks(1, 6, 2, 1..9), slots in 1usize..4) {
        let best = best_possible(&picks, 6, slots);
        let demand = demand(&picks, 6);
        prop_assert_eq!(hits(&demand, "belady", slots), best);
        prop_assert_eq!(hits(&demand, "belady-layer", slots), best);
    }

    #[test]
    fn shared_belady_hits_as_often_as_any_cache_can(picks in picks(2, 4, 2, 1..7), slots in 1usize..3) {
        let best = best_possible(&picks, 4, 2 * slots);
        prop_assert_eq!(hits(&demand(&picks, 4), "belady", slots), best);
    }

    #[test]
    fn no_cache_beats_belady(
        picks in picks(3, 40, 4, 1..60), slots in 1usize..41, half_life in 1u32..50,
    ) {
        let demand = demand(&picks, 40);
        let [shared, own] = ["belady", "belady-layer"].map(|name| hits(&demand, name, slots));
        prop_assert!(own <= shared);
        for name in LIVE {
            prop_assert!(hits(&demand, name, slots) <= own, "{}", name);
            prop_assert!(hits(&demand, &format!("global-{name}"), slots) <= shared, "{}", name);
        }
        for name in ["lfu", "global-lfu", "window-lfu", "global-window-lfu"] {
            let policy = name.parse::<ReplayPolicy>().unwrap().with_half_life(Some(half_life));
            let setting = Setting { policy, experts_per_layer: slots };
            prop_assert!(replay(&demand, setting, 0, None).unwrap().totals.routing.hot_picks <= shared);
        }
    }

    #[test]
    fn lru_and_lfu_do_what_lists_do(picks in picks(2, 30, 4, 1..60), slots in 1usize..31) {
        let demand = demand(&picks, 30);
        prop_assert_eq!(hits(&demand, "lru", slots), with_lists(&picks, 30, slots, false));
        prop_assert_eq!(hits(&demand, "lfu", slots), with_lists(&picks, 30, slots, true));
    }

    /// One layer with more slots than are searched: kept in order, and again the same as lists.
    #[test]
    fn large_pools_do_what_lists_do(picks in picks(1, 160, 4, 40..120), slots in 65usize..100) {
        let demand = demand(&picks, 160);
        for name in ["lru", "global-lru"] {
            prop_assert_eq!(hits(&demand, name, slots), with_lists(&picks, 160, slots, false));
        }
        prop_assert_eq!(hits(&demand, "lfu", slots), with_lists(&picks, 160, slots, true));
    }
}

/// One layer, one pick per token.
fn single(picks: &[u16]) -> Demand {
    demand(&picks.iter().map(|&pick| vec![vec![pick]]).collect(), 8)
}

#[test]
fn a_trace_worked_by_hand() {
    // Two slots. LRU: a b a(hit) c(b leaves) b(a leaves) a(c leaves): 1 hit. LFU: c takes b's place, b takes
    // c's, a is used most: hit. Belady: c is not kept, so b and a hit.
    let demand = single(&[0, 1, 0, 2, 1, 0]);
    assert_eq!(["lru", "lfu", "belady"].map(|name| hits(&demand, name, 2)), [1, 2, 3]);
    let lru = outcome(&demand, "lru", 2).totals;
    assert_eq!((lru.pager.swap_ins, lru.routing.routed_picks, lru.routing.regret.waited.picks), (5, 6, 5));
    assert_eq!((lru.routing.regret.waited.mass, lru.routing.native_mass), (5.0, 6.0));
    assert_eq!((lru.get(&SWAP_INS_PER_TOKEN), lru.get(&MASS_LOST)), (Some(5.0 / 6.0), Some(0.0)));
    // The trace does not say how large experts are; times are not simulated.
    let unknown = [&READ_MIB_PER_TOKEN, &TOKENS_PER_SECOND, &EXPERTS_MS_PER_TOKEN, &TIME_TO_EXPERT_P50_MS];
    assert_eq!(unknown.map(|figure| lru.get(figure)), [None; 4]);
}

/// Sizes are what a trace says: sums of them went over, and a replay ended with a panic or a wrong figure.
#[test]
fn experts_of_any_size_can_be_replayed() {
    let text = "# route_trace v1\n# n_layer=1 n_expert=8 n_expert_used=1\n# layer=0 expert_bytes=18446744073709551615\n\
        turn,phase,step,layer,slot,expert,weight,residency\n0,1,0,0,0,1,1,0\n0,1,1,0,0,2,1,0\n";
    let csv = CsvTrace::parse(text, Path::new("x.csv")).unwrap();
    let demand = Demand::load(&mut TraceSource::Csv(csv), Part::Decoded, false).unwrap();
    let read = outcome(&demand, "lru", 1).totals.get(&READ_MIB_PER_TOKEN).unwrap();
    assert!(read > 1e12, "{read}");
}

#[test]
fn belady_may_lose_a_part_of_a_trace() {
    // One slot: it keeps b for the hit at once and gives a up; who only counts the end would have kept a.
    let demand = single(&[0, 1, 1, 0]);
    let counted = |warm| {
        let setting = Setting { policy: "belady".parse().unwrap(), experts_per_layer: 1 };
        replay(&demand, setting, warm, None).unwrap().totals.routing.hot_picks
    };
    assert_eq!((counted(0), counted(3)), (1, 0));
}

#[test]
fn warm_tokens_are_replayed_and_not_counted() {
    let demand = single(&[0, 0, 0, 0]);
    let setting = Setting { policy: "lru".parse().unwrap(), experts_per_layer: 1 };
    let found = replay(&demand, setting, 1, None).unwrap().totals;
    assert_eq!((found.tokens, found.routing.routed_picks, found.routing.hot_picks), (3, 3, 3));
    let error = replay(&demand, setting, 4, None).unwrap_err();
    assert!(matches!(error, ReplayError::AllWarm { warm: 4, tokens: 4 }));
}

#[test]
fn settings_side_by_side_are_settings_one_by_one() {
    let picks: Picks =
        (0..50u16).map(|t| vec![vec![t * 7 % 11, 11 + t % 5], vec![t % 3, 3 + t % 7]]).collect();
    let demand = demand(&picks, 16);
    let names = ["global-lru", "lru", "lfu", "belady"];
    let settings: Vec<Setting> = names
        .iter()
        .flat_map(|name| (1..9).map(|h| Setting { policy: name.parse().unwrap(), experts_per_layer: h }))
        .collect();
    let together = replay_all(&demand, &settings, 5, None).unwrap();
    let alone: Vec<Outcome> = settings.iter().map(|&s| replay(&demand, s, 5, None).unwrap()).collect();
    assert_eq!(together, alone);
}

#[test]
fn names_are_those_that_are_printed() {
    for name in
        ["lru", "global-lru", "lfu", "lfru", "least-stale", "global-least-stale", "belady", "belady-layer"]
    {
        assert_eq!(name.parse::<ReplayPolicy>().unwrap().to_string(), name);
    }
    assert!("mru".parse::<ReplayPolicy>().unwrap_err().to_string().contains("belady-layer"));
}
