//! `bench`, `plan` and `doctor`: what they print, not how fast anything is.

mod common;

use std::fs;
use std::process::Output;

use serde_json::Value;

/// Short enough for a test, long enough to read something.
const BRIEF: [&str; 2] = ["--measure-seconds", "0.05"];

fn hotset(args: &[&str]) -> Output {
    common::hotset().args(args).output().unwrap()
}

fn succeed(args: &[&str]) -> String {
    let output = hotset(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    let out = succeed(args);
    assert_eq!(out.lines().count(), 1, "{out}");
    serde_json::from_str(&out).unwrap()
}

/// The last line on standard error of a run that must fail with this code.
fn fail(code: i32, args: &[&str]) -> String {
    let output = hotset(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    let line = error.lines().last().unwrap_or_default().to_owned();
    assert!(line.starts_with("error: ") && output.stdout.is_empty(), "{args:?}: {error}");
    line
}

/// The value at a path like `decode.hit_rate.median`.
fn at<'a>(report: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(report, |value, key| &value[key])
}

fn brief_bench(more: &[&str]) -> Vec<String> {
    let base = ["bench", "-p", "24", "-n", "12", "--warmup", "3", "-r", "2", "--memory", "48MiB"];
    [&base, &BRIEF[..], more].concat().into_iter().map(str::to_owned).collect()
}

fn refs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn bench_reports_every_figure() {
    let report = json(&refs(&brief_bench(&["--json"])));
    let numbers = [
        "prefill.tokens_per_second.median",
        "decode.tokens_per_second.median",
        "decode.tokens_per_second.min",
        "decode.hit_rate.median",
        "decode.read_mib_per_token.median",
        "decode.swap_ins_per_token.median",
        "decode.stall_ms_per_token.median",
        "decode.time_to_expert_p99_ms.median",
        "decode.cpu_user_ms_per_token.median",
        "decode.cpu_system_ms_per_token.median",
        "latency_ms.p50",
        "latency_ms.p999",
        "planned_memory_bytes",
        "machine.memory_gbps",
        "machine.compute_ms",
        "floor.floor_ms.median",
        "floor.measured_ms.median",
        "floor.share.median",
        "floor.token_bytes.experts",
        "forecast.tokens_per_second",
        "forecast.tokens_per_second_at_measured_reads",
    ];
    for path in numbers {
        assert!(at(&report, path).is_number(), "{path}: {report}");
    }
    assert_eq!(at(&report, "latency_ms.tokens"), 24, "tokens of both repetitions");
    assert_eq!(at(&report, "settings.warmup_tokens"), 3);
    assert_eq!(at(&report, "settings.context"), 24 + 3 + 12);
    assert_eq!(at(&report, "machine.disk_gbps").as_array().unwrap().len(), 3, "before, between, after");
    let decode = &report["decode"];
    assert!(decode["tokens_per_second"]["min"].as_f64() <= decode["tokens_per_second"]["max"].as_f64());
    assert!(at(&report, "decode.swap_ins_per_token.median").as_f64() > Some(0.0), "it pages");
    assert!(report["peak_memory_bytes"].as_u64() <= report["planned_memory_bytes"].as_u64());
}

/// Under a lossy router most waits fell into the router's time, and were taken from that of the experts.
#[test]
fn stages_and_stall_add_up_to_a_token_on_a_slow_disk() {
    let flags = ["-p", "4", "-n", "6", "--warmup", "0", "-r", "1", "--memory", "42MiB", "--json"];
    let lossy = ["--router", "trust", "--disk-faults", "rate=20MB"];
    let report = json(&[&["bench"], &flags[..], &lossy[..], &BRIEF[..]].concat());
    let ms = |path: &str| at(&report, path).as_f64().unwrap();
    let stages = ["experts", "projections", "attention", "router", "head", "rest"];
    let computing: f64 = stages.iter().map(|s| ms(&format!("decode.{s}_ms_per_token.median"))).sum();
    let stall = ms("decode.stall_ms_per_token.median");
    let token = 1e3 / ms("decode.tokens_per_second.median");
    assert!(ms("decode.experts_ms_per_token.median") > 0.0 && stall > 0.0, "{report}");
    assert!((computing + stall - token).abs() < 1e-3 * token, "{computing} and {stall} of {token}");
}

#[test]
fn bench_as_csv_is_a_line_of_names_and_a_line_of_values() {
    for flags in [&["--csv"][..], &["-o", "csv"]] {
        let out = succeed(&refs(&brief_bench(flags)));
        let lines: Vec<&str> = out.lines().collect();
        let [names, values] = lines[..] else { panic!("{out}") };
        let names: Vec<&str> = names.split(',').collect();
        assert!(names.contains(&"decode.tokens_per_second.median") && names.contains(&"floor.share.median"));
        // One value, where the hit rates come from, has commas and is quoted.
        let quoted = values.split('"').step_by(2).collect::<String>();
        assert_eq!(quoted.split(',').count(), names.len(), "{values}");
    }
}

#[test]
fn bench_prints_kernels_beside_the_memory() {
    let report = json(&["bench", "--kernels", "-t", "2", "--json"]);
    let (memory, kernels) = (report["memory"].as_array().unwrap(), report["kernels"].as_array().unwrap());
    assert_eq!(memory.iter().map(|m| m["threads"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    for (ty, activations) in [("F32", "f32"), ("Q4_K", "f32"), ("Q4_K", "int8"), ("IQ4_XS", "int8")] {
        let of = |k: &&Value| k["type"] == ty && k["activations"] == activations;
        let found: Vec<&Value> = kernels.iter().filter(of).collect();
        assert_eq!(found.len(), 2, "{ty} {activations}");
        assert!(
            found.iter().all(|k| k["gbps"].as_f64() > Some(0.0) && k["memory_gbps"].as_f64() > Some(0.0))
        );
    }
    let lines = succeed(&["bench", "--kernels", "-t", "1", "--csv"]);
    assert!(lines.starts_with("type,activations,threads,gbps,memory_gbps\nF32,f32,"), "{lines}");
    let table = succeed(&["bench", "--kernels", "-t", "1"]);
    assert!(table.contains("\nIQ4_NL ") && table.contains("\n(memory) "), "{table}");
    assert!(fail(2, &["bench", "--kernels", "model.gguf"]).contains("cannot be used with"));
}

#[test]
fn bench_can_leave_out_either_half() {
    let prompt = json(&[&["bench", "-p", "8", "-n", "0", "-r", "1", "--json"], &BRIEF[..]].concat());
    assert!(prompt["decode"].is_null() && prompt["floor"].is_null() && prompt["prefill"].is_object());
    let decode = json(&[&["bench", "-p", "0", "-n", "4", "-r", "1", "-o", "json"], &BRIEF[..]].concat());
    assert!(decode["prefill"].is_null() && decode["decode"].is_object());
    let table = succeed(&[&["bench", "-p", "8", "-n", "4", "-r", "1"], &BRIEF[..]].concat());
    for word in ["prompt tok/s", "decode tok/s", "p99.9", "floor", "measured", "forecast", "warm up"] {
        assert!(table.contains(word), "{word}: {table}");
    }
}

#[test]
fn bench_refuses_what_it_cannot_do() {
    assert!(fail(2, &["bench", "-p", "0", "-n", "0"]).contains("nothing to measure"));
    assert!(fail(2, &["bench", "-r", "0"]).contains("nothing to measure"));
    assert!(fail(2, &["bench", "-c", "100"]).contains("need a context of 672"));
    assert!(fail(2, &["bench", "-r", "1", "--file", "/dev/null"]).contains("it is a device"));
    let empty = tempfile::NamedTempFile::new().unwrap();
    assert!(fail(2, &["bench", "-r", "1", "--file", empty.path().to_str().unwrap()]).contains("no tokens"));
    fail(2, &["bench", "--measure-seconds", "0"]);
    fail(2, &["bench", "--json", "--csv"]);
}

#[test]
fn a_limited_bench_runs_in_a_group_or_says_why_not() {
    let args = brief_bench(&["--json", "--limit", "1GiB"]);
    let output = hotset(&refs(&args));
    let error = String::from_utf8(output.stderr).unwrap();
    if output.status.success() {
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(at(&report, "control_group.limit_bytes"), 1 << 30);
    } else {
        // Where tests run without the right to make groups.
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("--limit 1.00 GiB is not possible here"), "{error}");
        return;
    }
    // Far too little: the run is ended and one line says so.
    let args = brief_bench(&["--limit", "12MiB"]);
    let line = fail(1, &refs(&args));
    assert!(line.contains("needed more than the 12.00 MiB of --limit"), "{line}");
}

/// The promise holds for all sessions together: their caches are in the plan, and full in the end.
#[test]
fn sessions_together_stay_within_the_memory_that_was_promised() {
    let context = ["-c", "1024", "-p", "1000", "-n", "16", "--warmup", "0", "--parallel", "4"];
    let args = brief_bench(&[&context[..], &["--memory", "64MiB", "--json"]].concat());
    let report = json(&refs(&args));
    assert_eq!(at(&report, "settings.sessions"), 4);
    let peak = at(&report, "peak_memory_bytes").as_u64().unwrap();
    assert!(peak <= 64 << 20, "{peak} bytes at the peak");
    let limited = [&context[..], &["--memory", "64MiB", "--json", "--limit", "96MiB"]].concat();
    let output = hotset(&refs(&brief_bench(&limited)));
    let error = String::from_utf8(output.stderr).unwrap();
    // Where tests run without the right to make groups.
    assert!(output.status.success() || error.contains("is not possible here"), "{error}");
    let short = ["bench", "--parallel", "4", "-c", "1024", "-p", "1", "-n", "1", "--memory", "32MiB"];
    assert!(fail(1, &short).contains("KV cache 12.00 MiB"));
}

#[test]
fn plan_forecasts_with_reasons() {
    let report = json(&[&["plan", "--memory", "48MiB", "-c", "512", "--json"], &BRIEF[..]].concat());
    let numbers = [
        "budget_bytes",
        "dense_bytes",
        "kv_bytes",
        "scratch_bytes",
        "arena_bytes",
        "slots",
        "experts_per_layer",
        "disk_gbps",
        "memory_gbps",
        "compute_ms",
        "hit_rate",
        "disk_seconds",
        "compute_seconds",
        "token_seconds",
        "tokens_per_second",
    ];
    for key in numbers {
        assert!(report[key].is_number(), "{key}: {report}");
    }
    assert!(report["locality"].as_str().unwrap().contains("built in"));
    assert!(report["arena_bytes"].as_u64() < report["budget_bytes"].as_u64());
}

#[test]
fn plan_without_measuring_is_arithmetic() {
    let dir = tempfile::tempdir().unwrap();
    let curve = dir.path().join("curve.csv");
    fs::write(&curve, "fraction,hit_rate\n0,0.5\n1,0.5\n").unwrap();
    let curve = curve.to_str().unwrap();
    let told = ["--no-measure", "--disk-gbps", "0.001", "--memory-gbps", "20", "--locality", curve];
    let report = json(&[&["plan", "--json"], &told[..]].concat());
    assert_eq!((report["hit_rate"].as_f64(), report["disk_gbps"].as_f64()), (Some(0.5), Some(0.001)));
    let half_of_the_experts = at(&report, "token_bytes.experts").as_f64().unwrap() / 2.0;
    // 15 % more are prefetched for nothing.
    let disk_seconds = report["disk_seconds"].as_f64().unwrap();
    assert!((disk_seconds - 1.15 * half_of_the_experts / 1e6).abs() < 1e-9, "{report}");
    let text = succeed(&[&["plan"], &told[..]].concat());
    for word in ["arena", "experts per token", "tokens per second", "overlap", "not measured"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let three = succeed(&[&["plan", "--parallel", "3"], &told[..]].concat());
    assert!(three.contains("tokens of context for each of 3 sessions"), "{three}");
    fail(2, &["plan", "--no-measure"]);
    fs::write(dir.path().join("bad.csv"), "0.5,2\n").unwrap();
    assert!(
        fail(2, &["plan", "--locality", dir.path().join("bad.csv").to_str().unwrap()]).contains("line 1")
    );
    let little = fail(1, &["plan", "--memory", "20MiB"]);
    assert!(
        little.contains("too little") && little.contains("MiB or more, or a smaller -c/--ctx-size"),
        "{little}"
    );
}

#[test]
fn doctor_has_a_line_for_everything() {
    let report = json(&[&["doctor", "--json"], &BRIEF[..]].concat());
    for key in ["cores", "memory_bytes", "available_bytes", "memory_gbps"] {
        assert!(report[key].is_number(), "{key}: {report}");
    }
    for key in ["read_engine", "direct_reads", "gbps"] {
        assert!(!report["disk"][key].is_null(), "{key}: {report}");
    }
    let text = succeed(&[&["doctor"], &BRIEF[..]].concat());
    for word in ["processor", "kernels use", "memory limit", "locked memory", "huge pages", "disk speed"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    fail(2, &["doctor", "/nowhere.gguf"]);
}

#[test]
fn a_lossy_router_says_what_it_gave_up() {
    let dir = tempfile::tempdir().unwrap();
    let (text, config) = (dir.path().join("text.txt"), dir.path().join("router.json"));
    fs::write(&text, "It was a dark night, and the old man sat by the fire with his dog. ".repeat(3))
        .unwrap();
    fs::write(&config, r#"{"router": "trust", "tolerance": 0.05}"#).unwrap();
    let (text, config) = (text.to_str().unwrap(), config.to_str().unwrap());
    let scored = ["perplexity", "models/demo/demo.hotset", text, "--experts-per-layer", "16", "--json"];
    let price = json(&in_models(&[&scored[..], &["--router-config", config, "--compare-native"]].concat()));
    let numbers = [
        "perplexity",
        "agreement",
        "regret_rate",
        "mass_lost",
        "regret_waited_picks",
        "regret_substituted_picks",
        "regret_substituted_mass",
        "regret_dropped_picks",
        "regret_dropped_mass",
        "hit_rate",
        "hot_of_native",
        "read_mib_per_token",
        "tokens_per_second",
    ];
    for (side, name) in ["native", "policy"].into_iter().flat_map(|side| numbers.map(|name| (side, name))) {
        assert!(price[side][name].is_number(), "{side} {name}: {price}");
    }
    for name in ["perplexity_change", "mean_kl_nats", "top1_agreement"] {
        assert!(price[name].is_number(), "{name}: {price}");
    }
    let (native, policy) = (&price["native"], &price["policy"]);
    assert_eq!(price["router"], "trust");
    assert!(policy["hit_rate"].as_f64() > native["hit_rate"].as_f64());
    assert!(policy["agreement"].as_f64() < Some(1.0) && price["mean_kl_nats"].as_f64() > Some(0.0));
    // A flag goes before the file: with nothing tolerated the bits are the native ones.
    let zero = ["--router-config", config, "--router-tolerance", "0", "--compare-native"];
    let price = json(&in_models(&[&scored[..], &zero].concat()));
    assert_eq!(price["policy"]["perplexity"], price["native"]["perplexity"]);
    let run = ["run", "Once upon a time", "-n", "20", "--temp", "0", "--memory", "40MiB", "--json"];
    for router in ["cache-prior", "drop", "trust", "strict"] {
        let report = json(&[&run[..], &["--router", router]].concat());
        assert!(
            report["decode"]["agreement"].is_number() && report["decode"]["mass_lost"].is_number(),
            "{report}"
        );
    }
    let bench = json(&refs(&brief_bench(&["--json", "--router", "trust"])));
    assert!(at(&bench, "decode.agreement.median").as_f64() < Some(1.0));
    assert!(at(&bench, "decode.mass_substituted.median").as_f64() > Some(0.0));
}

#[test]
fn settings_of_another_router_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("router.json");
    fs::write(&config, r#"{"router": "trust", "tolerant": 1}"#).unwrap();
    let config = config.to_str().unwrap();
    let run = ["run", "Hello", "-n", "1"];
    let refused: [(&[&str], &str); 6] = [
        (&["--router", "drop", "--router-lambda", "1"], "--router-lambda is not a setting of --router drop"),
        (&["--router", "trust", "--router-tolerance", "NaN"], "out of range"),
        (&["--router", "strict", "--router-refresh", "0"], "at least 1"),
        (&["--router", "trust", "--router-trust", "1"], "add --trust-ledger FILE"),
        (&["--router-tolerance", "1"], "is not a setting of --router native"),
        (&["--router-config", config], "unknown field `tolerant`"),
    ];
    for (flags, expected) in refused {
        let line = fail(2, &[&run[..], flags].concat());
        assert!(line.contains(expected), "{line}");
    }
}

/// The shipped model by its place in the repository, wherever the test runs.
fn in_models(args: &[&str]) -> Vec<&'static str> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let leak = |text: String| -> &'static str { text.leak() };
    let absolute =
        |arg: &&str| if arg.starts_with("models/") { format!("{root}{arg}") } else { (*arg).to_owned() };
    args.iter().map(absolute).map(leak).collect()
}
