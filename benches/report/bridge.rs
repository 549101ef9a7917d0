//! The measured program: `rowcast serve` as a process of its own, with its CPU time and its memory.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use crate::{
    people::SECRET,
    postgres::{Leash, Postgres},
};

const ROWCAST: &str = env!("CARGO_BIN_EXE_rowcast");
const PATIENCE: Duration = Duration::from_secs(30);
/// Linux counts in hundredths of a second wherever a person can see it.
const TICK: Duration = Duration::from_millis(10);
/// Limits and pings would be measured instead of the work.
const SETTINGS: [(&str, &str); 8] = [
    ("ROWCAST_JWT_SECRET", SECRET),
    ("ROWCAST_LOG", "warn"),
    ("ROWCAST_DATABASE_TIMEOUT", "60s"),
    ("ROWCAST_RATE_REST", "100000/100000"),
    ("ROWCAST_RATE_MESSAGES", "100000/100000"),
    ("ROWCAST_RATE_JOINS", "100000/100000"),
    ("ROWCAST_PING_INTERVAL", "30m"),
    ("ROWCAST_GRACE", "1s"),
];

/// A running bridge.
pub(crate) struct Bridge {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// From the start of the process to the first `/ready` that says so.
    pub(crate) started_in: Duration,
    server: Child,
    _leash: Leash,
}

impl Bridge {
    /// Installs the SQL.
    pub(crate) fn migrate(postgres: &Postgres) -> Result<()> {
        let mut command = Command::new(program());
        let done = command.arg("migrate").env("DATABASE_URL", postgres.url()).output()?;
        ensure!(done.status.success(), "migrate: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// Starts a bridge and waits until it delivers.
    pub(crate) fn start(postgres: &Postgres) -> Result<Self> {
        let (address, admin) = (free_address()?, free_address()?);
        let mut command = Command::new(program());
        command.arg("serve");
        command.args(["--port", &address.port().to_string()]);
        command.args(["--admin-port", &admin.port().to_string()]);
        command.env("DATABASE_URL", postgres.url()).envs(SETTINGS);
        let began = Instant::now();
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let leash = Leash::tie(&server, "KILL", None)?;
        let mut bridge = Self { address, started_in: Duration::ZERO, server, _leash: leash };
        while status(admin, "/ready") != Some(200) {
            if let Some(status) = bridge.server.try_wait()? {
                anyhow::bail!("rowcast serve ended with {status}");
            }
            ensure!(began.elapsed() < PATIENCE, "rowcast serve does not become ready");
            std::thread::sleep(Duration::from_millis(1));
        }
        bridge.started_in = began.elapsed();
        Ok(bridge)
    }

    /// CPU time that the process has used.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        cpu_of(self.server.id())
    }

    /// Bytes of memory that the process holds.
    pub(crate) fn resident(&self) -> Option<u64> {
        resident_of(self.server.id())
    }
}

/// Another build may be measured in its place.
fn program() -> std::ffi::OsString {
    std::env::var_os("ROWCAST_BENCH_PROGRAM").unwrap_or_else(|| ROWCAST.into())
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// User and system time of a process, where there is a `/proc`.
pub(crate) fn cpu_of(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold blanks; what follows it does not. Then `utime` is the 12th field and `stime` the next.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(TICK * u32::try_from(ticks).ok()?)
}

/// Bytes of memory that a process holds, where there is a `/proc`.
pub(crate) fn resident_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1_024)
}

pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    Ok(listener.local_addr()?)
}

/// The status of a GET; none while nobody listens.
fn status(address: SocketAddr, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
