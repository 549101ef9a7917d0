//! Which changes come to which subscriptions.

use serde_json::json;

use super::{Ground, server, who};

const TODOS: &str = "
    create table public.todos (id int primary key, room int, words varchar(20), secret text);
    grant usage on schema public to authenticated;
    grant select (id, room, words) on public.todos to authenticated;
    select rowcast.watch('public.todos')";

#[tokio::test]
async fn one_message_names_all_subscriptions_that_match() {
    let ground = Ground::new(TODOS).await;
    let asked = json!([
        { "event": "*", "schema": "public", "table": "todos" },
        { "event": "insert", "schema": "public", "table": "todos", "filter": "room=eq.1" },
        { "event": "UPDATE", "table": "todos", "filter": "room=in.(1,2),words=like.a%" },
        { "event": "DELETE", "schema": "public", "table": "todos", "filter": "id=eq.1" },
        { "event": "*", "schema": "public", "filter": "or=(words=eq.b,id=gt.5)" },
    ]);
    let mut channel = ground.join(server(), asked, json!({})).await;
    ground
        .sql(
            "insert into public.todos values (1, 1, 'a'), (2, 2, 'b'), (6, null, null);
             update public.todos set words = 'ab' where id = 2;
             update public.todos set room = 3 where id = 1;
             delete from public.todos where id in (1, 6);
             truncate public.todos",
        )
        .await;
    let row = |id: i32, room: Option<i32>, words: Option<&str>| json!({ "id": id, "room": room, "words": words, "secret": null });
    for wanted in [
        json!([[0, 1], "INSERT", row(1, Some(1), Some("a")), null]),
        json!([[0, 4], "INSERT", row(2, Some(2), Some("b")), null]),
        json!([[0, 4], "INSERT", row(6, None, None), null]),
        json!([[0, 2], "UPDATE", row(2, Some(2), Some("ab")), { "id": 2 }]),
        json!([[0], "UPDATE", row(1, Some(3), Some("a")), { "id": 1 }]),
        json!([[0, 3], "DELETE", null, { "id": 1 }]),
        json!([[0, 4], "DELETE", null, { "id": 6 }]),
    ] {
        assert_eq!(channel.brief().await, wanted);
    }
    ground.sql("insert into public.todos values (9, 9, 'end')").await;
    assert_eq!(channel.brief().await[1], "INSERT", "nothing of the truncation");
}

#[tokio::test]
async fn groups_of_columns_come_apart_and_the_key_is_always_there() {
    let ground = Ground::new(TODOS).await;
    let asked = json!([
        { "event": "*", "schema": "public", "table": "todos", "select": ["words"] },
        { "event": "*", "schema": "public", "table": "todos", "select": ["words", "id"] },
        { "event": "*", "schema": "public", "table": "todos" },
    ]);
    let mut channel = ground.join(who("authenticated", "a"), asked, json!({})).await;
    ground.sql("insert into public.todos values (1, 2, 'a', 'hidden')").await;
    let first = channel.next().await;
    assert_eq!(first["ids"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["data"]["record"], json!({ "id": 1, "words": "a" }));
    let all = channel.next().await;
    assert_eq!(all["data"]["record"], json!({ "id": 1, "room": 2, "words": "a" }));
    let columns = json!([
        { "name": "id", "type": "int4" },
        { "name": "room", "type": "int4" },
        { "name": "words", "type": "varchar" },
    ]);
    assert_eq!(all["data"]["columns"], columns);
}

#[tokio::test]
async fn whole_rows_as_they_were_come_under_full_identity() {
    let ground = Ground::new(TODOS).await;
    ground.sql("alter table public.todos replica identity full").await;
    let asked =
        json!([{ "event": "*", "schema": "public", "table": "todos", "filter": "words=eq.a" }]);
    let mut channel = ground.join(who("authenticated", "a"), asked.clone(), json!({})).await;
    let mut leaving = ground.join(who("authenticated", "a"), asked, json!({ "left": true })).await;
    ground
        .sql(
            "insert into public.todos values (1, 2, 'a', 'hidden'), (2, 2, 'a', 'hidden');
             update public.todos set room = 3 where id = 1;
             update public.todos set words = 'b' where id = 1;
             delete from public.todos",
        )
        .await;
    let row = |id: i32, room: i32| json!({ "id": id, "room": room, "words": "a" });
    let wanted = [
        json!([[0], "INSERT", row(1, 2), null]),
        json!([[0], "INSERT", row(2, 2), null]),
        json!([[0], "UPDATE", row(1, 3), row(1, 2)]),
        json!([[0], "DELETE", null, row(2, 2)]),
    ];
    for wanted in &wanted {
        assert_eq!(channel.brief().await, *wanted);
    }
    for wanted in &wanted[..3] {
        assert_eq!(leaving.brief().await, *wanted);
    }
    let left = leaving.next().await["data"].clone();
    assert_eq!((&left["left"], &left["type"]), (&json!(true), &json!("UPDATE")));
    assert_eq!((left.get("record"), &left["old_record"]), (None, &row(1, 3)));
    assert_eq!(leaving.brief().await, wanted[3]);
}

#[tokio::test]
async fn who_may_not_read_the_key_is_told_of_errors_and_nothing_else() {
    let ground = Ground::new(
        "create table public.t (id int primary key, words text);
         create table public.keyless (words text);
         grant usage on schema public to authenticated;
         grant select (words) on public.t to authenticated;
         grant select on public.keyless to authenticated;
         select rowcast.watch('public.t'), rowcast.watch('public.keyless', identity => 'full')",
    )
    .await;
    let asked = json!([
        { "event": "*", "schema": "public", "table": "t", "filter": "words=eq.a" },
        { "event": "*", "schema": "public", "table": "keyless" },
    ]);
    let mut channel = ground.join(who("authenticated", "a"), asked, json!({})).await;
    ground
        .sql(
            "insert into public.t values (1, 'b'); delete from public.t;
             insert into public.keyless values ('a')",
        )
        .await;
    for (table, error) in
        [("t", "Error 401: Unauthorized"), ("keyless", "Error 400: Bad Request, no primary key")]
    {
        let wanted = json!({
            "schema": "public", "table": table, "commit_timestamp": null, "type": "INSERT",
            "columns": [], "record": {}, "old_record": {}, "errors": [error]
        });
        assert_eq!(channel.next().await["data"], wanted);
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_and_the_rest_is_subscribed() {
    let ground = Ground::new(TODOS).await;
    let shown = |table: &str, filters: &str| {
        format!("[event: INSERT, schema: public, table: {table}, filters: {filters}, select: nil]")
    };
    let failed = "Unable to subscribe to changes with given parameters.";
    let cases = [
        (
            json!({ "event": "INSERT", "schema": "public", "table": "x" }),
            format!(
                "{failed} Please check Realtime is enabled for the given connect parameters: {}",
                shown("x", "[]")
            ),
        ),
        (
            json!({ "event": "INSERT", "schema": "public", "table": "todos", "filter": "notacolumn=eq.1" }),
            format!(
                "{failed} An exception happened so please check your connect parameters: {}. Exception: ERROR P0001 (raise_exception) invalid column for filter notacolumn",
                shown("todos", r#"[{"notacolumn", "eq", "1"}]"#)
            ),
        ),
        (
            json!({ "event": "INSERT", "schema": "public", "table": "todos", "filter": "id=eq.abc" }),
            format!(
                "{failed} An exception happened so please check your connect parameters: {}. Exception: ERROR 22P02 (invalid_text_representation) invalid input syntax for type integer: \"abc\"",
                shown("todos", r#"[{"id", "eq", "abc"}]"#)
            ),
        ),
        (
            json!({ "schema": "public", "table": "todos", "filter": "id=foo.hey" }),
            r#"Error parsing `filter` params: ["foo", "hey"]"#.to_owned(),
        ),
        (
            json!({ "schema": "public", "table": "todos", "filter": "secret=eq.x" }),
            "invalid column for filter secret".to_owned(),
        ),
        (
            json!({ "schema": "public", "table": "todos", "select": ["nope"] }),
            "invalid column for select nope".to_owned(),
        ),
    ];
    for (asked, wanted) in cases {
        let good = json!({ "event": "INSERT", "schema": "public", "table": "todos" });
        let asked = json!([asked, good]);
        let (channel, outcome) = ground.try_join(who("authenticated", "a"), asked, json!({})).await;
        let text = outcome.expect_err("refused");
        assert!(text.ends_with(&wanted), "{text}\n{wanted}");
        let mut channel = channel.expect("the good one");
        ground.sql("truncate public.todos; insert into public.todos values (1)").await;
        assert_eq!(channel.brief().await[0], json!([1]));
    }
    let none = ground.try_join(server(), json!([{ "event": "*" }]), json!({})).await;
    assert!(none.0.is_none() && none.1.is_err());
}

#[tokio::test]
async fn columns_and_rights_that_change_show_at_once_or_soon() {
    let ground = Ground::new(TODOS).await;
    let asked =
        json!([{ "event": "*", "schema": "public", "table": "todos", "filter": "room=eq.1" }]);
    let mut channel = ground.join(who("authenticated", "a"), asked, json!({})).await;
    ground.sql("insert into public.todos values (1, 1, 'a')").await;
    assert_eq!(channel.brief().await[2], json!({ "id": 1, "room": 1, "words": "a" }));
    ground.sql("revoke select (words) on public.todos from authenticated").await;
    let mut id = 2;
    loop {
        ground.sql(&format!("insert into public.todos values ({id}, 1, 'a')")).await;
        if channel.brief().await[2] == json!({ "id": id, "room": 1 }) {
            break;
        }
        id += 1;
    }
    ground.sql("alter table public.todos alter column room type text").await;
    loop {
        id += 1;
        ground.sql(&format!("insert into public.todos values ({id}, '1', 'a')")).await;
        if channel.brief().await[2] == json!({ "id": id, "room": "1" }) {
            break;
        }
    }
    ground.sql("revoke select (room) on public.todos from authenticated").await;
    loop {
        id += 1;
        ground.sql(&format!("insert into public.todos values ({id}, '1', 'a')")).await;
        match channel.said().await {
            super::Said::Change(_) => {}
            super::Said::System(text) => {
                assert!(text.ends_with("invalid column for filter room"), "{text}");
                break;
            }
            super::Said::Cursor(_) => panic!("none asked for"),
        }
    }
}

#[tokio::test]
async fn what_is_looked_up_by_a_column_of_another_type_by_now_is_not_missed() {
    const ROOMS: &str =
        "create table public.rooms (id int primary key, day date, room int, name text)";
    let ground = Ground::new(&format!("{ROOMS}; select rowcast.watch('public.rooms')")).await;
    let mut channels = Vec::new();
    for filter in ["room=eq.1", "day=eq.2026-01-02", "name=eq.ada"] {
        let asked =
            json!([{ "event": "*", "schema": "public", "table": "rooms", "filter": filter }]);
        channels.push(ground.join(server(), asked, json!({})).await);
    }
    let insert = |id: u8| {
        format!(
            "insert into public.rooms values ({id}, '2026-01-02', '1', 'ada'), (-{id}, '2026-01-03', '2', 'bob');"
        )
    };
    let mut id = 0;
    for alter in [
        "room type numeric(10, 2), alter day type timestamp, alter name type char(5)",
        "room type text using room::int::text, alter day type timestamptz, alter name type varchar",
        "room type int using room::int, alter day type date, alter name type text",
    ] {
        ground.sql(&insert(id + 1)).await;
        for channel in &mut channels {
            assert_eq!(channel.brief().await[2]["id"], json!(id + 1));
        }
        // Nobody has looked at the columns when the row comes.
        ground.sql(&format!("alter table public.rooms alter {alter}; {}", insert(id + 2))).await;
        for channel in &mut channels {
            assert_eq!(channel.brief().await[2]["id"], json!(id + 2), "{alter}");
        }
        id += 2;
    }
    // In one go: what was written as another type is judged as what it is now.
    let alter = "alter table public.rooms alter room type text, alter day type timestamp";
    ground.sql(&format!("{}{alter};{}", insert(id + 1), insert(id + 2))).await;
    for channel in &mut channels {
        for wanted in [id + 1, id + 2] {
            assert_eq!(channel.brief().await[2]["id"], json!(wanted));
        }
    }
}
