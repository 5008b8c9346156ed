//! `--limit`: the benchmark inside a control group, so that the kernel holds it to its memory.
//!
//! This process stays outside and waits. The one it starts moves itself into the group and then starts
//! anew, so that nothing of it was charged elsewhere.

use std::env;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hotset_base::Bytes;
use hotset_engine::{ControlGroup, ControlGroupError, end_with_parent};

use crate::output::Forwarded;
use crate::stop;

/// Tells the process we start which group to move into ...
const JOIN: &str = "HOTSET_LIMIT_JOIN";
/// ... and the one it becomes that it is there.
const INSIDE: &str = "HOTSET_LIMIT_GROUP";

/// Where this process stands with regard to `--limit`.
pub enum Place {
    /// It is the one that measures, in this group if there is a limit.
    Measure(Option<ControlGroup>),
    /// The run was done by another process, in a group.
    Done,
}

/// Starts the limited run and waits for it, or finds that this is it.
pub fn enter(limit: Option<Bytes>) -> Result<Place> {
    let Some(limit) = limit else { return Ok(Place::Measure(None)) };
    if let Some(directory) = env::var_os(INSIDE) {
        return Ok(Place::Measure(Some(ControlGroup::at(PathBuf::from(directory)))));
    }
    if let Some(directory) = env::var_os(JOIN) {
        end_with_parent();
        let group = ControlGroup::at(PathBuf::from(&directory));
        group.join().with_context(|| format!("cannot join {}", group.directory().display()))?;
        let error = this_program()?.env_remove(JOIN).env(INSIDE, directory).exec();
        return Err(anyhow!(error).context("cannot start again inside the control group"));
    }
    supervise(limit)?;
    Ok(Place::Done)
}

/// The same program with the same arguments.
fn this_program() -> Result<Command> {
    let mut command = Command::new(env::current_exe().context("cannot find this program")?);
    command.args(env::args_os().skip(1));
    Ok(command)
}

fn supervise(limit: Bytes) -> Result<()> {
    let name = format!("hotset-{}", std::process::id());
    let group = ControlGroup::own()
        .ok_or(ControlGroupError::None)
        .and_then(|own| own.create_child(&name, limit))
        .with_context(|| refusal(limit))?;
    let group = Temporary(group);
    // Ctrl-C reaches the process inside as well and ends it; this one stays to remove the group.
    // Its output is not ours to remove.
    stop::watch()?;
    stop::gently();
    let status = this_program()?
        .env(JOIN, group.0.directory())
        .status()
        .context("cannot start the limited process")?;
    judge(status, limit, &group.0)
}

fn refusal(limit: Bytes) -> String {
    format!(
        "--limit {limit} is not possible here. Run it as root, or in a scope of your own (systemd-run --user --scope -p MemoryMax={} -p MemorySwapMax=0 hotset bench ... without --limit), or without --limit: --memory is kept by the program itself",
        limit.0
    )
}

fn judge(status: ExitStatus, limit: Bytes, group: &ControlGroup) -> Result<()> {
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Forwarded(code as u8).into()),
        None if group.kills() > 0 => Err(anyhow!(
            "the kernel ended the run: it needed more than the {limit} of --limit (most at once: {}). Use a smaller --memory or a larger --limit",
            group.peak().unwrap_or(limit)
        )),
        None => Err(anyhow!("the limited process was ended by signal {}", status.signal().unwrap_or(0))),
    }
}

/// A group that is removed when nobody needs it any more.
struct Temporary(ControlGroup);

impl Drop for Temporary {
    fn drop(&mut self) {
        // The kernel may take a moment to let the last process go.
        for _ in 0..20 {
            if self.0.remove().is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
