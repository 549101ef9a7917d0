//! Row security, tables that come and go.

use serde_json::{Value, json};

use super::{Ground, who};

const NOTES: &str = "
    create table public.notes (id int primary key, owner text, words text);
    grant usage on schema public to authenticated;
    grant select on public.notes to authenticated;
    alter table public.notes enable row level security;
    create policy own on public.notes for select to authenticated
        using (owner = current_setting('request.jwt.claims', true)::jsonb ->> 'sub');
    select rowcast.watch('public.notes')";

fn all() -> Value {
    json!([{ "event": "*", "schema": "public", "table": "notes" }])
}

fn note(id: i32, owner: &str, words: &str) -> Value {
    json!({ "id": id, "owner": owner, "words": words })
}

#[tokio::test]
async fn each_sees_own_rows_and_of_others_nothing() {
    let ground = Ground::new(NOTES).await;
    let mut ada = ground.join(who("authenticated", "ada"), all(), json!({})).await;
    let mut eve = ground.join(who("authenticated", "eve"), all(), json!({})).await;
    ground
        .sql(
            "insert into public.notes values (1, 'ada', 'a'), (2, 'eve', 'b'), (3, 'ada', 'c');
             update public.notes set words = 'd' where id in (1, 2)",
        )
        .await;
    for wanted in [
        json!([[0], "INSERT", note(1, "ada", "a"), null]),
        json!([[0], "INSERT", note(3, "ada", "c"), null]),
        json!([[0], "UPDATE", note(1, "ada", "d"), { "id": 1 }]),
    ] {
        assert_eq!(ada.brief().await, wanted);
    }
    assert_eq!(eve.brief().await, json!([[0], "INSERT", note(2, "eve", "b"), null]));
    assert_eq!(eve.brief().await, json!([[0], "UPDATE", note(2, "eve", "d"), { "id": 2 }]));
}

#[tokio::test]
async fn what_a_row_was_is_for_those_who_could_see_it() {
    let ground = Ground::new(NOTES).await;
    ground.sql("insert into public.notes values (1, 'ada', 'a')").await;
    ground.sql("alter table public.notes replica identity full").await;
    let left = json!({ "left": true });
    let mut ada = ground.join(who("authenticated", "ada"), all(), left.clone()).await;
    let mut eve = ground.join(who("authenticated", "eve"), all(), left).await;
    ground.sql("update public.notes set words = 'b'").await;
    assert_eq!(ada.brief().await, json!([[0], "UPDATE", note(1, "ada", "b"), note(1, "ada", "a")]));
    ground.sql("update public.notes set owner = 'eve'").await;
    let gone = ada.next().await["data"].clone();
    assert_eq!((gone.get("record"), &gone["left"]), (None, &json!(true)));
    assert_eq!(gone["old_record"], note(1, "ada", "b"));
    assert_eq!(eve.brief().await, json!([[0], "UPDATE", note(1, "eve", "b"), { "id": 1 }]));
    ground.sql("delete from public.notes; insert into public.notes values (2, 'ada', 'x')").await;
    assert_eq!(eve.brief().await, json!([[0], "DELETE", null, note(1, "eve", "b")]));
    assert_eq!(ada.brief().await, json!([[0], "INSERT", note(2, "ada", "x"), null]));
}

#[tokio::test]
async fn of_deleted_rows_the_key_is_told_where_nobody_knows_who_saw_them() {
    let ground = Ground::new(NOTES).await;
    ground.sql("insert into public.notes values (1, 'ada', 'a')").await;
    let mut eve = ground.join(who("authenticated", "eve"), all(), json!({})).await;
    ground.sql("delete from public.notes").await;
    assert_eq!(eve.brief().await, json!([[0], "DELETE", null, { "id": 1 }]));
}

#[tokio::test]
async fn a_broken_policy_is_told_and_other_tables_go_on() {
    let ground = Ground::new(NOTES).await;
    ground
        .sql(
            "create table public.plain (id int primary key);
             grant select on public.plain to authenticated;
             select rowcast.watch('public.plain');
             create policy broken on public.notes as restrictive for select to authenticated using (1 / (id - id) = 1)",
        )
        .await;
    let asked = json!([
        { "event": "*", "schema": "public", "table": "notes" },
        { "event": "*", "schema": "public", "table": "plain" },
    ]);
    let mut ada = ground.join(who("authenticated", "ada"), asked, json!({})).await;
    ground.sql("insert into public.notes values (1, 'ada', 'a'), (2, 'ada', 'a')").await;
    assert!(!ada.wrong().await.is_empty());
    ground.sql("insert into public.plain values (1)").await;
    assert_eq!(ada.brief().await, json!([[1], "INSERT", { "id": 1 }, null]));
}

#[tokio::test]
async fn patterns_and_odd_types_are_judged_by_the_database() {
    let ground = Ground::new(
        "create table public.t (id int primary key, words varchar(20), code char(4), span interval, docs jsonb);
         select rowcast.watch('public.t')",
    )
    .await;
    let asked =
        |filter: &str| json!({ "event": "*", "schema": "public", "table": "t", "filter": filter });
    let asked = json!([
        asked("words=match.^a+$"),
        asked("words=not.imatch.^A+$"),
        asked("code=match.^b"),
        asked("span=eq.24:00:00"),
        asked("words=gt.m"),
        asked(r#"docs=eq."{""a"": 1.0}""#.replace("\"\"", "\\\"").as_str()),
        asked("words=ilike.%I%"),
        asked("or=(span=gt.2 days,words=eq.zz)"),
    ]);
    let mut channel = ground.join(super::server(), asked, json!({})).await;
    ground
        .sql(
            r#"insert into public.t values
                (1, 'aa', 'a', '1 day', '{"a": 1}'),
                (2, 'zz', 'b', '2 hours', null),
                (3, 'IT', null, '3 days', '{"a": 2}'),
                (4, null, 'bc', null, null)"#,
        )
        .await;
    for wanted in [json!([0, 3, 5]), json!([1, 2, 4, 7]), json!([1, 6, 7]), json!([2])] {
        assert_eq!(channel.brief().await[0], wanted);
    }
}

#[tokio::test]
async fn a_wildcard_follows_tables_that_are_watched_later_and_loses_nothing_of_them() {
    let ground =
        Ground::new("create table public.a (id int primary key); select rowcast.watch('public.a')")
            .await;
    let asked = json!([
        { "event": "*", "schema": "public" },
        { "event": "INSERT", "schema": "*", "table": "b" },
    ]);
    let mut channel = ground.join(super::server(), asked, json!({})).await;
    ground
        .sql(
            "insert into public.a values (1);
             create schema other;
             grant usage on schema other to service_role;
             create table public.b (id int primary key);
             create table other.b (id int primary key);
             select rowcast.watch('public.b'), rowcast.watch('other.b')",
        )
        .await;
    ground
        .sql("insert into public.b values (2); insert into other.b values (3); insert into public.a values (4)")
        .await;
    for (places, id) in [(json!([0]), 1), (json!([0, 1]), 2), (json!([1]), 3), (json!([0]), 4)] {
        assert_eq!(channel.brief().await, json!([places, "INSERT", { "id": id }, null]));
    }
    ground.sql("select rowcast.unwatch('public.a')").await;
    ground.sql("insert into public.a values (5); insert into public.b values (6)").await;
    assert_eq!(channel.brief().await[2], json!({ "id": 6 }));
}
