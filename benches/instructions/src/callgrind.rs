//! A run of this program under callgrind.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::Result;

/// Runs this program with `arguments` under callgrind with `options`, has `meanwhile` do its part, and gives the instructions counted.
///
/// The profile is kept beside the executable, for `callgrind_annotate`.
pub(crate) fn run(
    options: &[&str],
    arguments: &[&str],
    meanwhile: impl FnOnce(&mut Child) -> Result<()>,
) -> Result<u64> {
    let executable = std::env::current_exe()?;
    let profile = profile(&executable, arguments.get(1).unwrap_or(&""));
    let mut child = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--dump-instr=no"])
        .args(options)
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(executable)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start valgrind: {error}"))?;
    let done = meanwhile(&mut child);
    if done.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    done?;
    if !status.success() {
        return Err(format!("{arguments:?} ended with {status}").into());
    }
    total(&profile)
}

/// Has the callgrind under which this process runs begin to count.
pub(crate) fn look() -> Result<()> {
    let own = std::process::id().to_string();
    let told = Command::new("callgrind_control")
        .args(["--instr=on", &own])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    told.success()
        .then_some(())
        .ok_or_else(|| "tell callgrind to begin".into())
}

fn profile(executable: &Path, name: &str) -> PathBuf {
    executable.with_file_name(format!("callgrind.{name}"))
}

fn total(profile: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(profile)?;
    let totals = text
        .lines()
        .filter_map(|line| line.strip_prefix("summary: "));
    let counts: std::result::Result<Vec<u64>, _> =
        totals.map(|count| count.trim().parse()).collect();
    Ok(counts?.iter().sum())
}
