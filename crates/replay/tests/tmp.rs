use hotset_replay::*;
use hotset_trace::TraceSource;
#[test]
fn table() {
    let mut s = TraceSource::open(std::path::Path::new("/work/shared/bench/traces/qwen3-30b-a3b.route.csv")).unwrap();
    let d = Demand::load(&mut s, Part::Decoded, false).unwrap();
    let start = std::time::Instant::now();
    for h in [4,6,8,12,16,24,32,48] {
        let row: Vec<String> = ["global-lru","lru","lfu","belady-layer","belady","lfru","least-stale","global-lfu"].iter().map(|p| {
          let o = replay(&d, Setting{policy: p.parse().unwrap(), experts_per_layer: h}, 32, None).unwrap();
          format!("{:.1}", 100.0*o.hit_rate()) }).collect();
        println!("{h:>3} {}", row.join(" "));
    }
    println!("{:?}", start.elapsed());
}
