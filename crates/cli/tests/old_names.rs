//! Flags and variables that have been renamed: the old names go on to work.

mod common;

use std::fs;

use serde_json::Value;

/// Bytes of the dense weights that `plan` counts, with this flag and this variable.
fn dense_bytes(flags: &[&str], variable: Option<(&str, &str)>) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let curve = dir.path().join("curve.csv");
    fs::write(&curve, "0,0.5\n1,0.5\n").unwrap();
    let output = common::hotset()
        .args(["plan", "--json", "--no-measure", "--disk-gbps", "1", "--memory-gbps", "20"])
        .args(["--memory", "56MiB", "--locality", curve.to_str().unwrap()])
        .args(flags)
        .envs(variable)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    report["dense_bytes"].as_u64().expect("bytes of dense weights")
}

/// Predictions that learn take memory, so it shows in the plan which were asked for.
#[test]
fn foretell_is_predictor() {
    let [learn, routers] = ["learn", "routers"].map(|name| dense_bytes(&["--predictor", name], None));
    assert!(learn > routers);
    assert_eq!(dense_bytes(&["--foretell", "learn"], None), learn);
    assert_eq!(dense_bytes(&[], Some(("HOTSET_FORETELL", "learn"))), learn);
    assert_eq!(dense_bytes(&[], Some(("HOTSET_PREDICTOR", "learn"))), learn);
    assert_eq!(dense_bytes(&["--predictor", "routers"], Some(("HOTSET_FORETELL", "learn"))), routers);
}
