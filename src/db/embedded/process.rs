//! The postmaster as a process: is it alive, whose is it, how is it stopped.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A fast shutdown writes a checkpoint first.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What `postmaster.pid` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) pid: i32,
    pub(super) port: u16,
}

impl Note {
    /// Reads the note of a data folder whose postmaster runs; a note of one that died is `None`.
    pub(super) fn of_running(data: &Path) -> Option<Self> {
        let note = Self::parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)?;
        runs_in(note.pid, data).then_some(note)
    }

    /// Removes the note and the locks of sockets when the process that they name is none of this folder's: it has
    /// ended, unburied perhaps, or its number was given to another.
    pub(super) fn remove_if_stale(data: &Path) {
        if Self::of_running(data).is_some() {
            return;
        }
        for entry in fs::read_dir(data).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name == "postmaster.pid" || name.starts_with(".s.PGSQL.") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Process, data folder, start time, port, …, a line each.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok().filter(|&pid| pid > 1)?;
        Some(Self { pid, port: lines.nth(2)?.trim().parse().ok()? })
    }
}

/// Stops a postmaster: clients are cut off, and when that takes too long nothing is written any more.
pub(super) async fn stop(pid: i32, data: &Path, mut child: Option<Child>) {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        if kill(Pid::from_raw(pid), signal).is_err() {
            return;
        }
        let gone = async {
            while runs_in(pid, data) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(PATIENCE, gone).await.is_ok() {
            break;
        }
    }
    // One of ours is only gone when somebody has asked for its status.
    if let Some(child) = &mut child {
        let _ = child.try_wait();
    }
}

fn exists(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// A postmaster works inside its data folder, which tells it from whoever was given its number later.
fn runs_in(pid: i32, data: &Path) -> bool {
    if !exists(pid) {
        return false;
    }
    if Path::new("/proc/self/cwd").exists() {
        let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok();
        return works_in.is_some() && works_in == data.canonicalize().ok();
    }
    let output = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_or_it_is_none() {
        let text = "4242\n/data\n1790000000\n5433\n/tmp\n127.0.0.1\n 1 2\nready\n";
        assert_eq!(Note::parse(text), Some(Note { pid: 4242, port: 5433 }));
        for bad in ["", "x", "0\n\n\n5433\n", "-1\n\n\n5433\n", "4242\n/data\n1790000000\n"] {
            assert_eq!(Note::parse(bad), None, "{bad:?}");
        }
    }
}
