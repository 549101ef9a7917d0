//! One message to a thousand sockets: deliveries a second and CPU per delivery, next to the bare wire.

use std::{
    net::TcpStream,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Scale,
    bridge::Bridge,
    people::{Crowd, HALL},
    postgres::Postgres,
    say,
    socket::{Frames, NEWS, Socket},
    table::{Budget, Table},
    wire::Wire,
};

/// Messages of one commit, where batches form.
const BATCH: usize = 50;
const PATIENCE: Duration = Duration::from_secs(20);

/// CPU and wall time of many deliveries.
#[derive(Default)]
struct Cost {
    deliveries: usize,
    cpu: Option<Duration>,
    wall: Duration,
}

impl Cost {
    /// Adds a piece of work that takes `before` to `after` of the process's CPU time.
    fn add(
        &mut self,
        deliveries: usize,
        cpu: (Option<Duration>, Option<Duration>),
        wall: Duration,
    ) {
        self.deliveries += deliveries;
        self.wall += wall;
        let (before, after) = cpu;
        let more = after.zip(before).map(|(after, before)| after.saturating_sub(before));
        self.cpu = more.map(|more| more + self.cpu.unwrap_or_default());
    }

    fn micros(&self) -> Option<f64> {
        self.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.deliveries as f64)
    }

    fn a_second(&self) -> f64 {
        self.deliveries as f64 / self.wall.as_secs_f64()
    }
}

pub(crate) fn measure(
    scale: Scale,
    postgres: &Postgres,
    bridge: &Bridge,
    crowd: &Crowd,
    table: &mut Table,
) -> Result<()> {
    say(&format!("fan-out: {HALL} sockets"));
    let opened: Result<Vec<Socket>> =
        (0..HALL).map(|nth| Socket::open(bridge.address, crowd.token(nth))).collect();
    let clients = Readers::new(opened?.into_iter().map(Socket::into_stream).collect())?;
    let mut wire = Wire::start()?;
    let bare = Readers::new(wire.connect(HALL)?)?;
    let client = postgres.connect()?;
    let sql = "insert into chat.messages (thread_id, sender_id, content) \
               select $1, 2, repeat('x', 120) from generate_series(1, $2)";
    let statement = postgres.block_on(client.prepare_typed(
        sql,
        &[tokio_postgres::types::Type::INT8, tokio_postgres::types::Type::INT4],
    ))?;

    // The sockets have greeted each other's users; let that die down.
    thread::sleep(Duration::from_secs(1));
    let bridged = |messages: usize, times: usize, cost: &mut Cost| -> Result<()> {
        let (began, before) = (Instant::now(), bridge.cpu());
        for _ in 0..times {
            let count = i32::try_from(messages)?;
            postgres.block_on(client.execute(&statement, &[&crowd.hall, &count]))?;
            clients.wait(messages * HALL)?;
        }
        cost.add(messages * HALL * times, (before, bridge.cpu()), began.elapsed());
        Ok(())
    };
    bridged(1, 5, &mut Cost::default())?;
    let text = clients.sample().context("a message")?;
    let mut wired = |frames: usize, writes: usize, times: usize, cost: &mut Cost| -> Result<()> {
        let (began, before) = (Instant::now(), wire.cpu());
        for _ in 0..times {
            wire.write(&text, frames, writes)?;
            bare.wait(frames * writes * HALL)?;
        }
        cost.add(frames * writes * HALL * times, (before, wire.cpu()), began.elapsed());
        Ok(())
    };

    let [mut single, mut single_bare, mut batch, mut batch_bare, mut one_write] =
        std::array::from_fn(|_| Cost::default());
    for _ in 0..scale.rounds {
        let singles = scale.bursts.div_ceil(scale.rounds);
        let bursts = scale.bursts.div_ceil(scale.rounds * 4);
        bridged(1, singles, &mut single)?;
        wired(1, 1, singles, &mut single_bare)?;
        bridged(BATCH, bursts, &mut batch)?;
        wired(1, BATCH, bursts, &mut batch_bare)?;
        wired(BATCH, 1, bursts, &mut one_write)?;
    }
    let ratio = |cost: &Cost, to: &Cost| Some(cost.micros()? / to.micros()?);
    let batches = format!("1 → {HALL} sockets, {BATCH} messages a commit");
    let singles = format!("1 → {HALL} sockets, 1 message a commit");
    table.add(&format!("{batches}, deliveries"), Budget::None, Some(batch.a_second()), "/s");
    table.add(&format!("{batches}, CPU a delivery"), Budget::None, batch.micros(), " µs");
    table.add(
        &format!("{batches}, CPU ÷ a bare write each"),
        Budget::AtMost(1.3),
        ratio(&batch, &batch_bare),
        "",
    );
    table.add(
        &format!("{batches}, CPU ÷ one bare write for all"),
        Budget::None,
        ratio(&batch, &one_write),
        "",
    );
    table.add(&format!("{singles}, deliveries"), Budget::None, Some(single.a_second()), "/s");
    table.add(&format!("{singles}, CPU a delivery"), Budget::None, single.micros(), " µs");
    table.add(
        &format!("{singles}, CPU ÷ a bare write each"),
        Budget::None,
        ratio(&single, &single_bare),
        "",
    );
    Ok(())
}

/// Many sockets that are read to the last byte, and how many messages have come.
struct Readers {
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    state: Mutex<State>,
    reached: Condvar,
}

#[derive(Default)]
struct State {
    /// Messages still to come before whoever waits is told; negative when more came than were waited for.
    missing: i64,
    sample: Option<String>,
    gone: usize,
}

impl Readers {
    fn new(streams: Vec<TcpStream>) -> Result<Self> {
        let count = Arc::new(Count::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&count);
        thread::spawn(move || {
            runtime.block_on(async {
                let mut readers = JoinSet::new();
                for stream in streams {
                    readers.spawn(read(stream, Arc::clone(&shared)));
                }
                while readers.join_next().await.is_some() {}
            });
        });
        Ok(Self { count })
    }

    /// Waits until so many more messages have come.
    fn wait(&self, messages: usize) -> Result<()> {
        let mut state = self.count.lock();
        state.missing += i64::try_from(messages)?;
        let waited = self
            .count
            .reached
            .wait_timeout_while(state, PATIENCE, |state| state.missing > 0 && state.gone == 0);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        ensure!(state.missing == 0, "{} missing, {} sockets gone", state.missing, state.gone);
        Ok(())
    }

    /// The text of one message.
    fn sample(&self) -> Option<String> {
        self.count.lock().sample.clone()
    }
}

impl Count {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(stream: TcpStream, count: Arc<Count>) {
    let mut frames = Frames::default();
    if read_all(stream, &mut frames, &count).await.is_err() {
        count.lock().gone += 1;
        count.reached.notify_all();
    }
}

async fn read_all(stream: TcpStream, frames: &mut Frames, count: &Count) -> Result<()> {
    stream.set_nonblocking(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    loop {
        stream.readable().await?;
        let mut bytes = [0; 16_384];
        let read = match stream.try_read(&mut bytes) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        };
        ensure!(read > 0, "hung up");
        let mut news = 0;
        let mut sample = None;
        frames.take(bytes.get(..read).unwrap_or_default(), |frame| {
            if frame.starts_with(NEWS) {
                news += 1;
                sample.get_or_insert_with(|| String::from_utf8_lossy(frame).into_owned());
            }
        });
        let mut state = count.lock();
        state.missing -= news;
        state.sample = state.sample.take().or(sample);
        if state.missing <= 0 {
            count.reached.notify_all();
        }
    }
}
