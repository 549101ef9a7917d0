//! A wall clock that can be set, for one program and all that it starts: a few lines of C, preloaded.
//!
//! Not libfaketime: under it the postmaster goes back to the system's time once it has handled a signal.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicI64, Ordering},
};

const SOURCE: &str = include_str!("clock.c");

/// A clock that is as far from the system's as it was set.
pub(crate) struct Clock {
    shim: PathBuf,
    path: PathBuf,
    file: File,
    /// In nanoseconds.
    ahead: AtomicI64,
}

impl Clock {
    /// Whether one can be made here: what is preloaded is compiled, for Linux.
    pub(crate) fn can_be_made() -> bool {
        let compiler = || Command::new("cc").arg("--version").output();
        cfg!(target_os = "linux") && compiler().is_ok_and(|output| output.status.success())
    }

    /// Makes one, in a folder of one's own.
    pub(crate) fn make(folder: &Path, name: &str) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("a mode");
        let (shim, path) = (folder.join(format!("{name}.so")), folder.join(name));
        compile(&shim);
        fs::write(&path, 0_i64.to_ne_bytes()).expect("a file");
        for (path, mode) in [(&shim, 0o755), (&path, 0o644)] {
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
        }
        let file = File::options().write(true).open(&path).expect("a file");
        Self { shim, path, file, ahead: AtomicI64::new(0) }
    }

    /// Sets it so many seconds forward, or back.
    pub(crate) fn step(&self, seconds: i64) {
        let by = seconds * 1_000_000_000;
        let ahead = self.ahead.fetch_add(by, Ordering::Relaxed) + by;
        self.file.write_all_at(&ahead.to_ne_bytes(), 0).expect("set");
    }

    /// How far it is before the system's, as a time of the system's in microseconds becomes one of its.
    pub(crate) fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed) / 1_000
    }

    /// What a program that goes by it has in its environment.
    pub(crate) fn environment(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.shim), ("CLOCK_FILE", &self.path)]
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = (fs::remove_file(&self.shim), fs::remove_file(&self.path));
        // The last one takes the folder along.
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

fn compile(shim: &Path) {
    let mut compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-x", "c", "-", "-ldl", "-o"])
        .arg(shim)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler");
    let mut input = compiler.stdin.take().expect("piped");
    input.write_all(SOURCE.as_bytes()).expect("written");
    drop(input);
    assert!(compiler.wait().expect("an end").success(), "{}", shim.display());
}
