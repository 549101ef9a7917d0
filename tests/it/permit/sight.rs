//! Which changes subjects see: their own rows, each their own answer, whatever others' claims and policies do.

use std::sync::Arc;

use rowcast::{
    change::{Batch, Change, Op},
    cursor::{HistoryId, Mark, Snapshot},
    error::Kind,
    hub::Delivery,
    session::{Permit, permit::Subject},
    topic::Topic,
};
use serde_json::json;
use tokio_postgres::Client;

use super::{start, subject, user};

const ADA: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const BOB: &str = "bbbbbbbb-0000-4000-8000-000000000002";

const TODOS: &str = "
    create table public.todos (id bigint, list text, owner uuid, body text, primary key (id, list));
    alter table public.todos enable row level security;
    grant select on public.todos to authenticated, anon;
    create policy own on public.todos for select to authenticated using (auth.uid() = owner);
    select rowcast.watch('public.todos');";

/// What the log has of a table, as the feed would give it.
async fn changes(client: &Client, relation: &str) -> Vec<Arc<Delivery>> {
    let sql = "select id, op, key, record, old_record from rowcast.changes where relation = $1 order by id";
    let rows = client.query(sql, &[&relation]).await.expect("the log");
    let mark = || Mark { snapshot: Snapshot::parse("10:10:").expect("a snapshot"), at: 0 };
    let history = HistoryId::of("a history");
    let batch = Arc::new(Batch { from: mark(), upto: mark(), history });
    rows.iter()
        .map(|row| {
            let change = Change {
                id: row.get(0),
                xid: 10,
                at: 0,
                topic: Topic::parse(&format!("table:{relation}")).expect("a topic"),
                relation: relation.into(),
                op: Op::parse(row.get(1)).expect("an operation"),
                key: row.get(2),
                record: row.get(3),
                old_record: row.get(4),
                link: None,
            };
            Arc::new(Delivery::new(change, Arc::clone(&batch)))
        })
        .collect()
}

async fn seen(permit: &Permit, who: &Subject, all: &[Arc<Delivery>]) -> Vec<bool> {
    let relation = &all[0].change.relation;
    let table = permit.table(who, relation).await.expect("asked").expect("watched");
    permit.visible(who, &table, all).await.expect("judged")
}

async fn refusal(permit: &Permit, who: &Subject, all: &[Arc<Delivery>]) -> (Kind, String) {
    let relation = &all[0].change.relation;
    let table = permit.table(&user(ADA), relation).await.expect("asked").expect("watched");
    let error = permit.visible(who, &table, all).await.expect_err("refused");
    (error.kind, error.message.into_owned())
}

#[tokio::test]
async fn each_subject_sees_its_own_rows_as_they_are_now() {
    let (database, permit) = start().await;
    let client = database.client().await;
    client.batch_execute(TODOS).await.expect("a table");
    let insert = format!(
        "insert into public.todos values (1, 'a\"b', '{ADA}', 'x'), (2, '', '{BOB}', 'y'), (3, 'c', null, 'z');
         update public.todos set owner = '{ADA}' where id = 3;
         delete from public.todos where id = 2;"
    );
    client.batch_execute(&insert).await.expect("rows");
    let all = changes(&client, "public.todos").await;
    // Three insertions, an update, a deletion, of which the key alone is told. The second row is gone, and Bob could see
    // it; the third is Ada's by now, and was not as it was inserted.
    assert_eq!(seen(&permit, &user(ADA), &all).await, [true, false, false, true, true]);
    assert_eq!(seen(&permit, &user(BOB), &all).await, [false, true, false, false, true]);
    let anon = subject("anon", json!({}));
    assert_eq!(seen(&permit, &anon, &all).await, [false, false, false, false, true]);
    let service = subject("service_role", json!({}));
    assert_eq!(seen(&permit, &service, &all).await, [false; 5], "it has no right to read");
    client.batch_execute("revoke select on public.todos from anon").await.expect("revoked");
    let (_, other) =
        (database.client().await, Permit::start(database.pool(), database.lifecycle()));
    assert_eq!(seen(&other, &anon, &all).await, [false; 5], "deletions neither");
}

#[tokio::test]
async fn deleted_rows_are_judged_by_the_policies_where_the_log_has_them_whole() {
    let (database, permit) = start().await;
    let client = database.client().await;
    client.batch_execute(TODOS).await.expect("a table");
    let more = format!(
        "alter table public.todos replica identity full;
         create table public.lists (name text, member uuid);
         grant select on public.lists to authenticated;
         insert into public.lists values ('ours', '{BOB}');
         create policy shared on public.todos for select using (exists (
             select from public.lists l where l.name = list and l.member = auth.uid()));
         create policy never on public.todos as restrictive using (id <> 13);
         insert into public.todos values (1, 'mine', '{ADA}', 'x'), (2, 'ours', '{ADA}', 'y'), (13, 'ours', '{ADA}', 'z');
         delete from public.todos;"
    );
    client.batch_execute(&more).await.expect("rows");
    let all = changes(&client, "public.todos").await;
    assert_eq!(seen(&permit, &user(ADA), &all[3..]).await, [true, true, false]);
    assert_eq!(seen(&permit, &user(BOB), &all[3..]).await, [false, true, false]);
    let who = user(BOB);
    let table = permit.table(&who, "public.todos").await.expect("asked").expect("watched");
    assert!(table.shows_deleted());
    let was = permit.was_visible(&who, &table, &all[2..5]).await.expect("judged");
    assert_eq!(was, [false, false, true]);
}

#[tokio::test]
async fn what_a_row_was_is_not_told_to_those_who_see_what_it_is_now() {
    let (database, permit) = start().await;
    let client = database.client().await;
    client.batch_execute(TODOS).await.expect("a table");
    for grown in ["", "alter table public.todos add column more int default 1;"] {
        let sql = format!(
            "{grown} insert into public.todos values (1, 'a', '{ADA}', 'a secret');
             update public.todos set owner = '{BOB}', body = 'clean';"
        );
        client.batch_execute(&sql).await.expect("rows");
        let all = changes(&client, "public.todos").await;
        assert_eq!(seen(&permit, &user(BOB), &all).await, [false, true], "the secret was not his");
        assert_eq!(seen(&permit, &user(ADA), &all).await, [false, false], "not hers any more");
        client.batch_execute("delete from public.todos").await.expect("gone");
        let all = changes(&client, "public.todos").await;
        assert_eq!(seen(&permit, &user(ADA), &all).await, [true, false, true], "it was hers");
        assert_eq!(seen(&permit, &user(BOB), &all).await, [false, true, true]);
        client.batch_execute("delete from rowcast.changes").await.expect("a fresh log");
    }
}

#[tokio::test]
async fn rows_without_a_key_are_not_told_where_row_security_applies() {
    let (database, permit) = start().await;
    let client = database.client().await;
    let sql = format!(
        "create table public.loose (owner uuid, body text);
         alter table public.loose enable row level security;
         grant select on public.loose to authenticated;
         create policy own on public.loose for select to authenticated using (auth.uid() = owner);
         select rowcast.watch('public.loose', identity => 'full');
         insert into public.loose values ('{ADA}', 'a secret');
         delete from public.loose;"
    );
    client.batch_execute(&sql).await.expect("rows");
    let all = changes(&client, "public.loose").await;
    assert_eq!(seen(&permit, &user(BOB), &all).await, [false, false]);
    let who = user(BOB);
    let table = permit.table(&who, "public.loose").await.expect("asked").expect("watched");
    assert_eq!(permit.was_visible(&who, &table, &all).await.expect("judged"), [false, false]);
}

#[tokio::test]
async fn odd_claims_refuse_their_subject_only() {
    let (database, permit) = start().await;
    let client = database.client().await;
    client.batch_execute(TODOS).await.expect("a table");
    let insert = format!("insert into public.todos values (1, 'a', '{ADA}', 'x')");
    client.batch_execute(&insert).await.expect("a row");
    let all = changes(&client, "public.todos").await;
    let long = "x".repeat(100_000);
    let quotes = r#"'); drop table public.todos; -- \ $$ "#;
    let odd = [
        subject("authenticated", json!({ "sub": "no uuid" })),
        subject("authenticated", json!({ "sub": quotes })),
        subject("nobody", json!({ "sub": ADA })),
        subject("none", json!({ "sub": ADA })),
        subject("rowcast_dev", json!({ "sub": ADA })),
        subject("postgres", json!({ "sub": ADA })),
        subject("authenticated\0", json!({ "sub": ADA })),
        subject("authenticated", json!({ "sub": "\0" })),
        subject("\"; reset role; --", json!({ "sub": ADA })),
    ];
    let fine = subject("authenticated", json!({ "sub": ADA, "long": long, "quotes": quotes }));
    let asked = odd.iter().map(|who| refusal(&permit, who, &all));
    let (refused, seen) =
        tokio::join!(futures_util::future::join_all(asked), seen(&permit, &fine, &all));
    assert_eq!(seen, [true]);
    assert!(refused[0].1.contains("22P02") && !refused[0].1.contains("no uuid"), "{refused:?}");
    assert_eq!(refused[3].0, Kind::Forbidden, "{refused:?}");
    assert!(refused[4].1.contains("may not act as"), "{refused:?}");
    let still: i64 =
        client.query_one("select count(*) from public.todos", &[]).await.expect("there").get(0);
    assert_eq!(still, 1);
}

#[tokio::test]
async fn a_policy_that_sleeps_recurses_or_fails_is_its_subject_s_alone() {
    let (database, permit) = start().await;
    let client = database.client().await;
    client.batch_execute(TODOS).await.expect("a table");
    let more = format!(
        "create function public.odd(who uuid) returns boolean language plpgsql as $$
         begin
             if current_setting('request.jwt.claims')::jsonb ->> 'odd' = 'sleep' then perform pg_sleep(3600); end if;
             if current_setting('request.jwt.claims')::jsonb ->> 'odd' = 'recurse' then return public.odd(who); end if;
             if current_setting('request.jwt.claims')::jsonb ->> 'odd' = 'reset' then
                 perform set_config('role', 'none', true); end if;
             return false;
         end $$;
         create policy odd on public.todos for select to authenticated using (public.odd(owner));
         create table public.calm (id int primary key, owner uuid);
         alter table public.calm enable row level security;
         grant select on public.calm to authenticated;
         create policy own on public.calm for select to authenticated using (auth.uid() = owner);
         select rowcast.watch('public.calm');
         insert into public.todos values (1, 'a', '{ADA}', 'x'), (2, 'a', '{BOB}', 'x');
         insert into public.calm values (1, '{ADA}');"
    );
    client.batch_execute(&more).await.expect("more");
    let all = changes(&client, "public.todos").await;
    let calm = changes(&client, "public.calm").await;
    let odd = |what: &str| subject("authenticated", json!({ "sub": BOB, "odd": what }));
    let odds = [odd("sleep"), odd("recurse")];
    let asked = odds.iter().map(|who| refusal(&permit, who, &all));
    let (ada, bob) = (user(ADA), user(BOB));
    let (odd_ones, first, second, other) = tokio::join!(
        futures_util::future::join_all(asked),
        seen(&permit, &ada, &all),
        seen(&permit, &bob, &all),
        seen(&permit, &ada, &calm),
    );
    assert_eq!((first, second, other), (vec![true, false], vec![false, true], vec![true]));
    assert_eq!(odd_ones[0].0, Kind::Timeout, "{odd_ones:?}");
    assert!(odd_ones[1].1.contains("54001"), "{odd_ones:?}");
    assert_eq!(refusal(&permit, &odds[0], &all).await.0, Kind::Timeout, "left out for a while");
    let reset = odd("reset");
    let (odd_one, first) = tokio::join!(seen(&permit, &reset, &all), seen(&permit, &ada, &all));
    assert_eq!((odd_one, first), (vec![false, true], vec![true, false]), "a role taken back");
    assert_eq!(seen(&permit, &ada, &all).await, [true, false]);
}

#[tokio::test]
async fn tables_of_strangers_are_not_judged_with_our_connection() {
    let (database, permit) = start().await;
    let client = database.client().await;
    client.batch_execute(TODOS).await.expect("a table");
    let superuser = database.superuser().await;
    let name = format!("stranger_of_{}", database.url().rsplit_once('/').expect("a name").1);
    let sql = format!(
        "create role {name}; alter table public.todos owner to {name}; grant {name} to rowcast_dev"
    );
    superuser.batch_execute(&sql).await.expect("a stranger");
    let insert = format!("set role {name}; insert into public.todos values (1, 'a', '{ADA}', 'x')");
    client.batch_execute(&insert).await.expect("a row");
    client.batch_execute("reset role").await.expect("reset");
    let all = changes(&client, "public.todos").await;
    let (kind, message) = refusal(&permit, &user(ADA), &all).await;
    assert_eq!(kind, Kind::Forbidden);
    assert!(message.contains("owner"), "{message}");
    superuser
        .batch_execute(&format!("drop owned by {name}; drop role {name}"))
        .await
        .expect("gone");
}

#[tokio::test]
async fn many_subjects_at_once_each_get_their_own_answer() {
    let (database, permit) = start().await;
    let client = database.client().await;
    client.batch_execute(TODOS).await.expect("a table");
    let insert = "insert into public.todos
        select n, 'l', ('00000000-0000-4000-8000-' || lpad((n % 200)::text, 12, '0'))::uuid, 'x' from generate_series(0, 399) n";
    client.batch_execute(insert).await.expect("rows");
    let all = changes(&client, "public.todos").await;
    let everyone: Vec<Subject> =
        (0..200).map(|n| user(&format!("00000000-0000-4000-8000-{n:012}"))).collect();
    let asked = everyone.iter().map(|who| seen(&permit, who, &all));
    let answers = futures_util::future::join_all(asked).await;
    for (n, answer) in answers.iter().enumerate() {
        let own: Vec<usize> =
            answer.iter().enumerate().filter(|(_, is)| **is).map(|(row, _)| row).collect();
        assert_eq!(own, [n, n + 200]);
    }
}

#[tokio::test]
async fn conditions_hold_as_the_database_has_it() {
    use rowcast::session::permit::{Asked, Operator};
    let (database, permit) = start().await;
    let client = database.client().await;
    let sql = "
        create type public.mood as enum ('sad', 'glad');
        create table public.things (id int primary key, t varchar(9), n numeric, m public.mood, a int[], d date, c char(3), b boolean);
        grant select on public.things to authenticated;
        select rowcast.watch('public.things');
        insert into public.things values (1, 'Abc', 1.50, 'glad', '{1,2}', '2024-02-29', 'axx', true), (2, null, null, null, null, null, null, null)";
    client.batch_execute(sql).await.expect("things");
    let all = changes(&client, "public.things").await;
    let records: Vec<_> =
        all.iter().filter_map(|delivery| delivery.change.record.clone()).collect();
    let who = user(ADA);
    let table = permit.table(&who, "public.things").await.expect("asked").expect("watched");
    for (column, operator, value, wanted) in [
        ("t", "imatch", "^aB", [true, false]),
        ("t", "like", "A%", [true, false]),
        ("t", "in", "{Abc,x}", [true, false]),
        ("n", "eq", "1.5", [true, false]),
        ("n", "isdistinct", "1.5", [false, true]),
        ("m", "gt", "sad", [true, false]),
        ("a", "eq", "{1,2}", [true, false]),
        ("d", "lt", "2024-03-01", [true, false]),
        ("c", "eq", "axx", [true, false]),
        ("b", "is", "null", [false, true]),
        ("b", "is", "true", [true, false]),
        ("t", "eq", "' or true --", [false, false]),
    ] {
        let operator = Operator::parse(operator).expect("an operator");
        let asked = Asked { column: column.into(), operator, value: value.to_owned() };
        let got = permit.matching(&table, &asked, &records).await.expect("judged");
        assert_eq!(got, wanted, "{column} {operator:?} {value}");
    }
    let asked = Asked { column: "t\" text) --".into(), operator: Operator::Eq, value: "x".into() };
    assert_eq!(
        permit.matching(&table, &asked, &records).await.expect_err("no").kind,
        Kind::Forbidden
    );
}
