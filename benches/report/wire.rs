//! The bare wire: a process that writes frames to sockets and does nothing else, for the bridge to be compared with.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{bridge::cpu_of, socket};

/// What makes this program the writer.
pub(crate) const ARGUMENT: &str = "--bare-wire";

/// The writer, seen from outside.
pub(crate) struct Wire {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Wire {
    /// Starts the process.
    pub(crate) fn start() -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().context("its input")?;
        let mut answers = BufReader::new(process.stdout.take().context("its output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        Ok(Self { process, orders, answers, address: line.trim().parse()? })
    }

    /// Connects so many sockets to it.
    pub(crate) fn connect(&mut self, count: usize) -> Result<Vec<TcpStream>> {
        let mut streams = Vec::new();
        for _ in 0..count {
            writeln!(self.orders, "accept")?;
            streams.push(TcpStream::connect(self.address)?);
            self.answer()?;
        }
        Ok(streams)
    }

    /// Lets it write to every socket: `writes` times `frames` frames with `text`, each time in one write.
    pub(crate) fn write(&mut self, text: &str, frames: usize, writes: usize) -> Result<()> {
        writeln!(self.orders, "write {frames} {writes} {text}")?;
        self.answer()
    }

    /// CPU time that it has used.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        cpu_of(self.process.id())
    }

    fn answer(&mut self) -> Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(line == "done\n", "the bare wire broke");
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The writer's own side: obeys until its input ends.
pub(crate) fn serve() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    let mut streams = Vec::new();
    for order in std::io::stdin().lines() {
        let order = order?;
        let mut words = order.splitn(4, ' ');
        if words.next() == Some("accept") {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        } else {
            let mut number = || words.next().context("a number")?.parse().context("a number");
            let (frames, writes): (usize, usize) = (number()?, number()?);
            let bytes = socket::frame(words.next().unwrap_or_default().as_bytes()).repeat(frames);
            for _ in 0..writes {
                for stream in &mut streams {
                    stream.write_all(&bytes)?;
                }
            }
        }
        writeln!(out, "done")?;
    }
    Ok(())
}
