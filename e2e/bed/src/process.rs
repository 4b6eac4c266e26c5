//! Running other programs: their output goes to a log, and a failure says its last lines.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Doing, Failure, Result};

/// Runs `command` to its end with its output appended to `log`.
pub fn logged(what: &str, command: &mut Command, log: &Path) -> Result<()> {
    let file = append(log)?;
    let copy = file.try_clone().doing(|| format!("opening {}", log.display()))?;
    let status =
        command.stdin(Stdio::null()).stdout(file).stderr(copy).status().map_err(|e| not_started(what, command, &e))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        what,
        format!("{} ended with {status}\n{}", command.get_program().to_string_lossy(), tail(log, 12)),
    )
    .log(log))
}

/// Runs `command` to its end and returns what it printed.
pub fn output(what: &str, command: &mut Command) -> Result<String> {
    let out = command.stdin(Stdio::null()).output().map_err(|e| not_started(what, command, &e))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(Failure::new(
        what,
        format!(
            "{} ended with {}: {}",
            command.get_program().to_string_lossy(),
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        ),
    ))
}

fn not_started(what: &str, command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy().into_owned();
    Failure::new(what, format!("{program}: {error}"))
        .remedy(format!("see that {program} is installed and on the PATH (cargo bed check lists what is needed)"))
}

/// A file to append to, with its folder.
pub fn append(log: &Path) -> Result<File> {
    if let Some(dir) = log.parent() {
        fs::create_dir_all(dir).doing(|| format!("creating {}", dir.display()))?;
    }
    OpenOptions::new().create(true).append(true).open(log).doing(|| format!("opening {}", log.display()))
}

/// The last `lines` lines of a log, indented; empty if it cannot be read.
pub fn tail(log: &Path, lines: usize) -> String {
    // More than a dozen lines of any of our programs, and never a log of gigabytes.
    const WINDOW: u64 = 16 * 1024;
    let Ok(mut file) = File::open(log) else { return String::new() };
    let size = file.metadata().map_or(0, |m| m.len());
    let mut text = Vec::new();
    if file.seek(SeekFrom::Start(size.saturating_sub(WINDOW))).is_err() || file.read_to_end(&mut text).is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().fold(String::new(), |text, line| text + "    " + line + "\n")
}

/// Where a program is on the PATH, `None` if it is not.
pub fn find(program: &str) -> Option<PathBuf> {
    // The administrator's folders are often missing from a user's PATH.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(program)).find(|p| p.is_file())
}

/// When a process started, in clock ticks since boot: with its number, its identity. `None` if it is gone or a zombie.
pub fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces: count from its end.
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_reported_with_the_end_of_its_output() {
        let log = std::env::temp_dir().join(format!("bed-process-{}.log", std::process::id()));
        let failure = logged("trying", Command::new("sh").args(["-c", "echo the reason; exit 3"]), &log)
            .expect_err("it ends with 3");
        let text = failure.to_string();
        assert!(text.contains("the reason") && text.contains(&log.display().to_string()), "{text}");
        fs::remove_file(&log).expect("was written");
    }

    #[test]
    fn this_process_has_a_start_time_and_no_process_has_number_zero() {
        assert!(started(std::process::id()).is_some());
        assert_eq!(started(0), None);
    }
}
