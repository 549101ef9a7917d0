//! Unread counts over a million messages, offline sync of five thousand, and how fast the bridge is there.

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Scale,
    bridge::Bridge,
    people::token,
    postgres::Postgres,
    say,
    table::{Budget, Table, median, millis, percentile},
};

/// Threads of the reader.
const THREADS: i64 = 50;
/// What one sync brings.
const MISSED: i64 = 5_000;
const STARTS: usize = 5;

/// Written as a restore would write it, without triggers: the log has none of it.
const LOAD: &str = "
    set session_replication_role = replica;
    set synchronous_commit = off;
    insert into chat.messages (thread_id, seq, sender_id, content, created_at)
    select t.id, t.last_seq + n, n % 40 + 1, 'message ' || n, now() - interval '30 days' + n * interval '1 minute'
    from (select t.id, t.last_seq from chat.threads t join chat.members m on m.thread_id = t.id where m.user_id = $reader) t,
        generate_series(1, $each) n;
    update chat.threads t
    set last_seq = t.last_seq + $each
    from chat.members m
    where m.thread_id = t.id and m.user_id = $reader;
    update chat.members m
    set last_read_seq = t.last_seq * (t.id % 10) / 10
    from chat.threads t
    where t.id = m.thread_id and m.user_id = $reader;
    reset session_replication_role;";

pub(crate) fn measure(scale: Scale, postgres: &Postgres, table: &mut Table) -> Result<()> {
    let starts: Result<Vec<f64>> =
        (0..STARTS).map(|_| Ok(millis(Bridge::start(postgres)?.started_in))).collect();
    table.add("cold start of serve to /ready", Budget::AtMost(300.0), median(&starts?), " ms");

    say(&format!("reads: loading {} messages into {THREADS} threads", scale.messages));
    let reader = load(scale, postgres)?;
    let bridge = Bridge::start(postgres)?;
    let get = Get {
        postgres,
        client: Client::new(),
        base: format!("http://{}", bridge.address),
        token: token(usize::try_from(reader)?)?,
    };

    let (took, answer) = get.times(scale.tries, "/api/chat/unread-count")?;
    ensure!(answer.to_string().contains("unread_count"), "no counts: {answer}");
    let counted = "unread counts, 50 threads, 1 M messages, p50";
    table.add(counted, Budget::AtMost(5.0), percentile(&took, 0.5), " ms");

    let path = format!("/api/chat/offline-messages?last_check_time={}", jiff::Timestamp::now());
    let (_, answer) = get.times(1, &path)?;
    let said = |name: &str| {
        let value = answer.pointer(&format!("/data/{name}")).and_then(Value::as_str);
        value.map(str::to_owned).with_context(|| format!("no {name}: {answer}"))
    };
    let ask = [("cursor", said("cursor")?), ("last_check_time", said("last_check_time")?)];
    say(&format!("reads: {MISSED} messages to sync"));
    postgres.run(&format!(
        "do $$ begin for k in 1..{rounds} loop
            insert into chat.messages (thread_id, sender_id, content)
            select m.thread_id, 2, 'missed ' || n from chat.members m, generate_series(1, 10) n where m.user_id = {reader};
            commit;
        end loop; end $$",
        rounds = MISSED / THREADS / 10
    ))?;
    for (by, from) in ask {
        let path = format!("/api/chat/offline-messages?{by}={from}&limit={MISSED}");
        let (took, answer) = get.times(scale.tries, &path)?;
        let text = answer.to_string();
        ensure!(text.matches("missed ").count() as i64 == MISSED, "not all: {}", text.len());
        let what = format!("offline sync of 5,000 messages by {by}, p50");
        table.add(&what, Budget::AtMost(25.0), percentile(&took, 0.5), " ms");
    }
    Ok(())
}

/// Makes the reader and what they may read.
fn load(scale: Scale, postgres: &Postgres) -> Result<i64> {
    let client = postgres.connect()?;
    let made = postgres.block_on(client.query_one(
        "with u as (insert into chat.users (username) values ('reader') returning id),
            t as (insert into chat.threads (kind) select 'group' from generate_series(1, $1::bigint) returning id),
            m as (insert into chat.members (thread_id, user_id) select t.id, u.id from t, u)
        select id from u",
        &[&THREADS],
    ))?;
    let reader: i64 = made.try_get(0)?;
    let each = scale.messages / THREADS;
    let sql = LOAD.replace("$reader", &reader.to_string()).replace("$each", &each.to_string());
    postgres.block_on(client.batch_execute(&sql))?;
    postgres.run("vacuum analyze chat.messages")?;
    postgres.run("vacuum analyze chat.members")?;
    postgres.run("analyze")?;
    Ok(reader)
}

struct Get<'a> {
    postgres: &'a Postgres,
    client: Client,
    base: String,
    token: String,
}

impl Get<'_> {
    /// Milliseconds that each of so many requests took, and the last answer. The first ones warm up and are left out.
    fn times(&self, tries: usize, path: &str) -> Result<(Vec<f64>, Value)> {
        self.postgres.block_on(async {
            let mut took = Vec::new();
            let mut body = Default::default();
            for nth in 0..tries + 8 {
                let began = Instant::now();
                let request =
                    self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
                let answer = request.send().await?;
                let status = answer.status();
                body = answer.bytes().await?;
                ensure!(status.is_success(), "{path}: {}", String::from_utf8_lossy(&body));
                if nth >= 8 {
                    took.push(millis(began.elapsed()));
                }
            }
            Ok((took, serde_json::from_slice(&body)?))
        })
    }
}
