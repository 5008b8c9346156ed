//! Compute threads kept on processors of their own. A program of its own: it looks at all threads of the process.

#![cfg(target_os = "linux")]

mod common;

use std::fs;

use common::*;
use hotset_base::WeightType;
use hotset_engine::EngineOptions;
use hotset_testkit::{TinyModel, TinyShape};

/// The processors of each worker of the crew, as the kernel lists them.
fn places() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let workers = threads
        .filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("compute-")));
    let allowed = |status: String| {
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned()
    };
    workers.map(|path| allowed(fs::read_to_string(path.join("status")).unwrap())).collect()
}

#[test]
fn workers_stay_on_one_processor_when_asked_to_and_only_then() {
    // On a single processor there is nothing to choose between.
    if std::thread::available_parallelism().unwrap().get() < 2 {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    TinyModel::random(TinyShape::default(), 1).write_hf(dir.path(), WeightType::BF16, 1).unwrap();
    let model = hotset_format::open(dir.path()).unwrap();
    for cpu_strict in [true, false] {
        let options = EngineOptions { threads: Some(2), cpu_strict, ..EngineOptions::default() };
        let engine = engine_with(&model, Arena::Half, options).unwrap();
        let places = places();
        let alone = |place: &String| place.parse::<usize>().is_ok();
        assert_eq!((places.len(), places.iter().all(alone)), (1, cpu_strict), "{places:?}");
        drop(engine);
    }
}
