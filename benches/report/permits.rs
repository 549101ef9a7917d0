//! Row security for five hundred subscribers with claims of their own, beside one probe for each of them and each change.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use rowcast::{
    change::{Batch, Change, Op},
    claims::Claims,
    config::Secret,
    cursor::{HistoryId, Mark, Snapshot},
    db::{Pool, Target},
    hub::Delivery,
    lifecycle::Lifecycle,
    session::{
        Permit,
        permit::{Subject, Table as Watched},
    },
    topic::Topic,
};
use serde_json::{json, value::RawValue};
use tokio::time::Instant;

use crate::{
    Scale,
    postgres::Postgres,
    say,
    table::{Budget, Table, median},
};

const SUBJECTS: usize = 500;
/// Changes in the log; a tenth of the rows are for all, the others for one each.
const CHANGES: i32 = 2_000;
/// What a subscriber that is behind takes from the feed at a time.
const CHUNK: usize = 256;
/// Connections, as many as `ROWCAST_POOL_SIZE` has by default.
const CONNECTIONS: usize = 8;
const DEADLINE: Duration = Duration::from_secs(30);

const SQL: &str = "
    create table public.bench_todos (id bigint primary key, owner uuid not null, shared boolean not null, body text);
    alter table public.bench_todos enable row level security;
    grant select on public.bench_todos to authenticated;
    create policy own on public.bench_todos for select to authenticated using (auth.uid() = owner or shared);
    select rowcast.watch('public.bench_todos')";

/// The reference's way, in one call for each change: every subscriber's claims, every subscriber's own probe.
const PROBE: &str = "
    create function pg_temp.probe(key bigint, claims text[]) returns bigint language plpgsql as $$
    declare
        claim text;
        seen boolean;
        count bigint := 0;
    begin
        execute format('prepare bench_probe as select exists (select from public.bench_todos where id = %L::bigint)', key);
        foreach claim in array claims loop
            perform set_config('role', 'authenticated', true), set_config('request.jwt.claims', claim, true);
            execute 'execute bench_probe' into seen;
            perform set_config('role', 'none', true);
            count := count + seen::int;
        end loop;
        deallocate bench_probe;
        return count;
    end $$";

pub(crate) fn measure(scale: Scale, postgres: &Postgres, table: &mut Table) -> Result<()> {
    for statement in SQL.split(';') {
        postgres.run(statement)?;
    }
    postgres.run(&format!(
        "insert into public.bench_todos
         select n, ('00000000-0000-4000-8000-' || lpad((n % {SUBJECTS})::text, 12, '0'))::uuid, n % 10 = 0, 'todo ' || n
         from generate_series(1, {CHANGES}) n"
    ))?;
    postgres.run("vacuum analyze public.bench_todos")?;
    let changes = changes(postgres)?;
    ensure!(changes.len() == CHANGES as usize, "{} changes", changes.len());
    let everyone = (0..SUBJECTS).map(subject).collect::<Result<Vec<_>>>()?;

    say(&format!("permits: {SUBJECTS} subjects, {CHANGES} changes, {} rounds", scale.rounds));
    let (mut checks, mut deliveries, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut probes = Vec::new();
    for _ in 0..scale.rounds {
        let probed = probe(scale, postgres, &everyone)?;
        let (checked, delivered) = flat_out(scale, postgres, &everyone, &changes)?;
        probes.push(probed);
        checks.push(checked);
        deliveries.push(delivered);
        ratios.push(checked / probed);
    }
    let what = "row security, 500 subjects: checks a second";
    table.add(what, Budget::None, median(&checks), "/s");
    table.add("– deliveries a second", Budget::AtLeast(80_000.0), median(&deliveries), "/s");
    table.add("– one probe each in SQL, as the reference", Budget::None, median(&probes), "/s");
    table.add("– checks ÷ probes", Budget::AtLeast(20.0), median(&ratios), "");
    Ok(())
}

/// Probes a second, one change after another on one connection.
fn probe(scale: Scale, postgres: &Postgres, everyone: &[Subject]) -> Result<f64> {
    let client = postgres.connect()?;
    let claims: Vec<&str> = everyone.iter().map(Subject::claims).collect();
    postgres.block_on(async {
        client.batch_execute(PROBE).await?;
        let statement = client.prepare("select pg_temp.probe($1, $2)").await?;
        let (began, mut probed) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(scale.seconds) {
            for key in 1..=10_i64 {
                let row = client.query_one(&statement, &[&key, &claims]).await?;
                let seen: i64 = row.try_get(0)?;
                ensure!(seen == if key == 10 { SUBJECTS as i64 } else { 1 }, "{seen} see {key}");
                probed += SUBJECTS;
            }
        }
        Ok(probed as f64 / began.elapsed().as_secs_f64())
    })
}

/// Checks and deliveries a second, every subscriber taking chunk after chunk.
fn flat_out(
    scale: Scale,
    postgres: &Postgres,
    everyone: &[Subject],
    changes: &[Arc<Delivery>],
) -> Result<(f64, f64)> {
    let lifecycle = Lifecycle::new();
    postgres.block_on(async {
        let target = Target::parse(&Secret::new(postgres.url()))?;
        let pool = Pool::new(&target, CONNECTIONS, DEADLINE, &lifecycle);
        let permit = Permit::start(pool, &lifecycle);
        let first = everyone.first().context("a subject")?;
        let watched = permit.table(first, "public.bench_todos").await?.context("watched")?;
        let (checked, seen) = (AtomicU64::new(0), AtomicU64::new(0));
        let began = Instant::now();
        let until = began + Duration::from_secs(scale.seconds);
        let tasks = everyone
            .iter()
            .map(|who| follow(&permit, who, &watched, changes, until, (&checked, &seen)));
        join_all(tasks).await.into_iter().collect::<Result<Vec<()>>>()?;
        let took = began.elapsed().as_secs_f64();
        lifecycle.stop().await;
        let rate = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64 / took;
        Ok((rate(&checked), rate(&seen)))
    })
}

async fn follow(
    permit: &Permit,
    who: &Subject,
    watched: &Watched,
    changes: &[Arc<Delivery>],
    until: Instant,
    (checked, seen): (&AtomicU64, &AtomicU64),
) -> Result<()> {
    for chunk in changes.chunks(CHUNK).cycle() {
        if Instant::now() >= until {
            break;
        }
        let visible = permit.visible(who, watched, chunk).await?;
        let count = visible.iter().filter(|is| **is).count();
        ensure!(count >= chunk.len() / 10, "{count} of {} seen", chunk.len());
        checked.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        seen.fetch_add(count as u64, Ordering::Relaxed);
    }
    Ok(())
}

fn subject(nth: usize) -> Result<Subject> {
    let sub = format!("00000000-0000-4000-8000-{nth:012}");
    let claims = json!({ "sub": sub, "role": "authenticated", "exp": 4_102_444_800_i64 });
    Ok(Subject::new(&Claims {
        sub,
        jti: None,
        role: "authenticated".to_owned(),
        exp: i64::MAX,
        iat: 0,
        revocation: None,
        raw: RawValue::from_string(claims.to_string())?,
    }))
}

/// What the log has of the table, as the feed would give it.
fn changes(postgres: &Postgres) -> Result<Vec<Arc<Delivery>>> {
    let client = postgres.connect()?;
    let sql = "select id, key, record from rowcast.changes where relation = 'public.bench_todos' order by id";
    let rows = postgres.block_on(client.query(sql, &[]))?;
    let snapshot = Snapshot::parse("10:10:").context("a snapshot")?;
    let mark = Mark { snapshot, at: 0 };
    let history = HistoryId::of("a run");
    let batch = Arc::new(Batch { from: mark.clone(), upto: mark, history });
    rows.iter()
        .map(|row| {
            let change = Change {
                id: row.try_get(0)?,
                xid: 10,
                at: 0,
                topic: Topic::parse("table:public.bench_todos")?,
                relation: "public.bench_todos".into(),
                op: Op::Insert,
                key: row.try_get(1)?,
                record: row.try_get(2)?,
                old_record: None,
                link: None,
            };
            Ok(Arc::new(Delivery::new(change, Arc::clone(&batch))))
        })
        .collect()
}
