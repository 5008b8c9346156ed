//! `hotset doctor`: what this machine offers.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use hotset_base::Bytes;
use hotset_engine::{
    ControlGroup, EngineOptions, GIGA, MemoryBandwidth, available_memory, direct_reads, huge_pages,
    instruction_sets, kernels_in_use, locked_memory_limit, probe_io_uring, processor_name, read_ahead,
    total_memory,
};
use serde::Serialize;

use crate::measure::{self, MeasureArgs};
use crate::{locate, model_args, output};

/// Say what this machine offers: processor, memory, limits, disk
///
/// Disk lines are about the file system of MODEL, read with the engine that runs would use.
#[derive(Args)]
#[command(after_help = "EXAMPLES:
    hotset doctor
    hotset doctor /data/model.gguf --json")]
pub struct DoctorArgs {
    /// A GGUF file, a Hugging Face directory or a packed store [default: the model that ships]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,

    /// One JSON object on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    measure: MeasureArgs,
}

#[derive(Serialize)]
struct Report {
    processor: Option<String>,
    cores: usize,
    instruction_sets: Vec<&'static str>,
    kernels: &'static str,
    memory_bytes: Option<Bytes>,
    available_bytes: Option<Bytes>,
    control_group: Option<Group>,
    huge_pages: Option<String>,
    /// Absent: unknown. Null: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_memory_bytes: Option<Option<Bytes>>,
    memory_gbps: f64,
    memory_buffer_bytes: Bytes,
    disk: Option<Disk>,
}

#[derive(Serialize)]
struct Group {
    version: &'static str,
    #[serde(serialize_with = "crate::output::json_path")]
    path: PathBuf,
    limit_bytes: Option<Bytes>,
    /// Why `hotset bench --limit` is not possible; null where it is.
    limit_refusal: Option<String>,
}

#[derive(Serialize)]
struct Disk {
    #[serde(serialize_with = "crate::output::json_path")]
    file: PathBuf,
    read_engine: String,
    /// Why reads do not go through io_uring; null where they can.
    io_uring_refusal: Option<String>,
    direct_reads: bool,
    direct_refusal: Option<String>,
    read_ahead_bytes: Option<Bytes>,
    gbps: f64,
    depth: usize,
}

pub fn run(args: &DoctorArgs) -> Result<()> {
    let named = args.model.clone().or_else(locate::shipped);
    let disk = named.map(|model| args.disk(&model)).transpose()?;
    let report = Report::new(disk);
    if args.json { output::print_json(&report) } else { report.print() }
}

impl DoctorArgs {
    fn disk(&self, model: &Path) -> Result<Disk> {
        let (_, checkpoint) = model_args::open(Some(model))?;
        let file = checkpoint.files[0].path.clone();
        let direct = direct_reads(&file);
        let mut probe = self.measure.open_disk(&checkpoint, &EngineOptions::default().pager.read)?;
        Ok(Disk {
            read_engine: probe.engine_name().to_owned(),
            io_uring_refusal: probe_io_uring().err().map(|error| error.to_string()),
            direct_reads: direct.is_ok(),
            direct_refusal: direct.err().map(|error| error.to_string()),
            read_ahead_bytes: read_ahead(&file),
            gbps: self.measure.disk(&mut probe)?.rate / GIGA,
            depth: probe.depth(),
            file,
        })
    }
}

impl Report {
    fn new(disk: Option<Disk>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let MemoryBandwidth { best, buffer, .. } = measure::memory(cores, None);
        let group = ControlGroup::own().map(|group| Group {
            version: group.version(),
            limit_bytes: group.limit(),
            limit_refusal: limit_refusal(&group),
            path: group.directory().to_owned(),
        });
        Self {
            processor: processor_name(),
            cores,
            instruction_sets: instruction_sets(),
            kernels: kernels_in_use(),
            memory_bytes: total_memory(),
            available_bytes: available_memory(),
            control_group: group,
            huge_pages: huge_pages(),
            locked_memory_bytes: locked_memory_limit(),
            memory_gbps: best / GIGA,
            memory_buffer_bytes: buffer,
            disk,
        }
    }

    fn print(&self) -> Result<()> {
        let line = |name: &str, value: String| output::print_line(format_args!("{name:<15} {value}"));
        line("processor", format!("{}, {} cores", told(&self.processor), self.cores))?;
        line("instructions", format!("{}; kernels use {}", self.instruction_sets.join(" "), self.kernels))?;
        line("memory", format!("{}, {} available", told(&self.memory_bytes), told(&self.available_bytes)))?;
        line(
            "memory speed",
            format!(
                "{:.1} GB/s reading {} with {} threads",
                self.memory_gbps, self.memory_buffer_bytes, self.cores
            ),
        )?;
        line("memory limit", self.group_line())?;
        if let Some(group) = &self.control_group {
            line("bench --limit", possible(&group.limit_refusal))?;
        }
        line("locked memory", self.locked_line())?;
        line("huge pages", self.huge_pages.clone().unwrap_or_else(|| "the system does not say".to_owned()))?;
        match &self.disk {
            None => line("disk", "no model named and none found: name one to measure its disk".to_owned()),
            Some(disk) => disk.print(),
        }
    }

    fn group_line(&self) -> String {
        match &self.control_group {
            None => "no control group accounts for memory here".to_owned(),
            Some(group) => {
                let limit = group.limit_bytes.map_or("none".to_owned(), |limit| limit.to_string());
                format!("{limit} (control group {} {})", group.version, group.path.display())
            }
        }
    }

    fn locked_line(&self) -> String {
        match self.locked_memory_bytes {
            None => "the system does not say".to_owned(),
            Some(None) => "no limit".to_owned(),
            Some(Some(limit)) => format!("at most {limit}"),
        }
    }
}

impl Disk {
    fn print(&self) -> Result<()> {
        let line = |name: &str, value: String| output::print_line(format_args!("{name:<15} {value}"));
        line("read engine", self.read_engine.clone())?;
        line("io_uring", possible(&self.io_uring_refusal))?;
        line("direct reads", format!("{} ({})", possible(&self.direct_refusal), self.file.display()))?;
        line("read-ahead", self.read_ahead_bytes.map_or("unknown".to_owned(), |b| b.to_string()))?;
        line("disk speed", format!("{:.2} GB/s, random experts, {} at a time", self.gbps, self.depth))
    }
}

/// Makes a group with a limit and removes it again.
fn limit_refusal(own: &ControlGroup) -> Option<String> {
    let name = format!("hotset-doctor-{}", std::process::id());
    match own.create_child(&name, Bytes::mib(64)) {
        // An empty group that stays behind would harm nobody.
        Ok(group) => drop(group.remove()),
        Err(error) => return Some(error.to_string()),
    }
    None
}

fn possible(refusal: &Option<String>) -> String {
    refusal.as_ref().map_or_else(|| "possible".to_owned(), |why| format!("not possible: {why}"))
}

fn told(value: &Option<impl Display>) -> String {
    value.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}
