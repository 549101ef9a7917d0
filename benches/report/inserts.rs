//! What being watched costs the writer: the same inserts into a plain table and into watched ones, round about.

use std::{fs, process::Command, thread};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tokio::time::{Duration, Instant};

use crate::{
    Scale,
    people::THREADS,
    postgres::Postgres,
    say,
    table::{Budget, Table, median},
};

/// Connections that insert at once.
const WRITERS: usize = 16;

/// Three tables alike: nothing on the first, our triggers on the second, on the third what people write by hand.
const TABLES: &str = "
    create table public.plain (
        id bigint generated always as identity primary key,
        owner bigint not null,
        body text not null,
        created_at timestamptz not null default now());
    create table public.watched (like public.plain including all);
    create table public.loud (like public.plain including all);
    select rowcast.watch('public.watched');
    create function public.shout() returns trigger language plpgsql as $$
    begin
        perform pg_notify('shout', json_build_object('table', tg_table_name, 'op', tg_op, 'record', row_to_json(new))::text);
        return null;
    end $$;
    create trigger shout after insert on public.loud for each row execute function public.shout();";

/// An insert to be compared; `:t` is a random thread.
struct Insert {
    name: &'static str,
    sql: String,
}

impl Insert {
    fn one(name: &'static str) -> Self {
        let sql = format!("insert into public.{name} (owner, body) values (:t, repeat('x', 120));");
        Self { name, sql }
    }

    fn thousand(name: &'static str) -> Self {
        let sql = format!(
            "insert into public.{name} (owner, body) \
             select :t, repeat('x', 120) from generate_series(1, 1000);"
        );
        Self { name, sql }
    }

    fn message() -> Self {
        let sql = "insert into chat.messages (thread_id, sender_id, content) values (:t, :t, repeat('x', 120));";
        Self { name: "chat", sql: sql.to_owned() }
    }
}

pub(crate) fn measure(scale: Scale, postgres: &Postgres, table: &mut Table) -> Result<()> {
    postgres.run(TABLES)?;
    let means = match postgres.program("pgbench") {
        Some(_) => "pgbench",
        None => "writers of our own: no pgbench here",
    };
    say(&format!("inserts: {WRITERS} writers, {} rounds ({means})", scale.rounds));
    let _listener = Listener::start(postgres)?;
    let single =
        [Insert::one("plain"), Insert::one("watched"), Insert::one("loud"), Insert::message()];
    let speeds = rounds(scale, postgres, WRITERS, &single)?;
    let ratio = |to: usize| {
        let each = |round: &Vec<f64>| Some(round.get(to)? / round.first()?);
        median(&speeds.iter().filter_map(each).collect::<Vec<_>>())
    };
    let plain: Vec<f64> = speeds.iter().filter_map(|round| round.first().copied()).collect();
    table.add("plain insert, 16 writers", Budget::None, median(&plain), "/s");
    table.add("insert, 16 writers: watched ÷ plain", Budget::AtLeast(0.95), ratio(1), "");
    table.add("insert, 16 writers: NOTIFY with payload ÷ plain", Budget::None, ratio(2), "");
    table.add(
        "insert, 16 writers: chat.messages (1,000 threads) ÷ plain",
        Budget::None,
        ratio(3),
        "",
    );
    say(&format!("inserts of 1,000 rows, {} rounds", scale.rounds));
    let bulk = [Insert::thousand("plain"), Insert::thousand("watched"), Insert::thousand("loud")];
    let speeds = rounds(scale, postgres, 1, &bulk)?;
    let ratio = |to: usize| {
        let each = |round: &Vec<f64>| Some(round.get(to)? / round.first()?);
        median(&speeds.iter().filter_map(each).collect::<Vec<_>>())
    };
    table.add("insert of 1,000 rows: watched ÷ plain", Budget::None, ratio(1), "");
    table.add("insert of 1,000 rows: NOTIFY with payload ÷ plain", Budget::None, ratio(2), "");
    Ok(())
}

/// Transactions a second of each insert, round by round; the order turns, so that nobody is always first.
fn rounds(
    scale: Scale,
    postgres: &Postgres,
    writers: usize,
    inserts: &[Insert],
) -> Result<Vec<Vec<f64>>> {
    let mut speeds = Vec::new();
    for round in 0..=scale.rounds {
        let mut speed = vec![0.0; inserts.len()];
        for turn in 0..inserts.len() {
            let nth = (turn + round) % inserts.len();
            let (Some(insert), Some(slot)) = (inserts.get(nth), speed.get_mut(nth)) else {
                continue;
            };
            // The first round finds cold caches and is left out.
            let seconds = if round == 0 { 1 } else { scale.seconds };
            *slot = run(postgres, insert, writers, seconds)?;
        }
        if round > 0 {
            let shown: Vec<String> = inserts
                .iter()
                .zip(&speed)
                .map(|(insert, speed)| format!("{} {speed:.0}/s", insert.name))
                .collect();
            say(&format!("  round {round}: {}", shown.join(", ")));
            speeds.push(speed);
        }
    }
    Ok(speeds)
}

fn run(postgres: &Postgres, insert: &Insert, writers: usize, seconds: u64) -> Result<f64> {
    let Some(pgbench) = postgres.program("pgbench") else {
        return by_hand(postgres, insert, writers, seconds);
    };
    let script = postgres.folder().join("insert.sql");
    fs::write(&script, format!("\\set t random(1, {THREADS})\n{}\n", insert.sql))?;
    let threads = writers.min(2).to_string();
    let output = Command::new(pgbench)
        .args(["-n", "-M", "prepared", "-U", "bench", "-d", "bench", "-h"])
        .arg(postgres.folder())
        .args(["-c", &writers.to_string(), "-j", &threads, "-T", &seconds.to_string(), "-f"])
        .arg(&script)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    let speed = text.lines().find_map(|line| line.strip_prefix("tps = "));
    Ok(speed.and_then(|rest| rest.split(' ').next()).context("pgbench says no tps")?.parse()?)
}

/// What pgbench would do.
fn by_hand(postgres: &Postgres, insert: &Insert, writers: usize, seconds: u64) -> Result<f64> {
    let sql = insert.sql.trim_end_matches(';').replace(":t", "$1::bigint");
    let clients: Result<Vec<_>> = (0..writers).map(|_| postgres.connect()).collect();
    let clients = clients?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let writing = clients.iter().map(|client| async {
        let statement = client.prepare(&sql).await?;
        let mut written = 0u32;
        while Instant::now() < end {
            client.execute(&statement, &[&rand::random_range(1..=THREADS)]).await?;
            written += 1;
        }
        anyhow::Ok(written)
    });
    let written: u32 = postgres.block_on(try_join_all(writing))?.into_iter().sum();
    Ok(f64::from(written) / seconds as f64)
}

/// Somebody who listens to the hand-written trigger, as there would be; it also keeps the queue empty.
struct Listener(#[expect(dead_code, reason = "it listens while it lives")] tokio_postgres::Client);

impl Listener {
    fn start(postgres: &Postgres) -> Result<Self> {
        let client = postgres.connect()?;
        postgres.block_on(client.batch_execute("listen shout"))?;
        thread::yield_now();
        Ok(Self(client))
    }
}
