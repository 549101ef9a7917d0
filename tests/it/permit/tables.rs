//! Watched tables as roles see them, and filter values as the database casts them.

use rowcast::{
    error::Kind,
    session::permit::{Asked, Operator},
};

use super::{start, subject, user};

const TABLES: &str = "
    create type public.mood as enum ('sad', 'glad');
    create domain public.price as numeric(10, 2);
    create table public.todos (
        id bigint primary key, owner uuid, secret text, title varchar(20), tags text[], price public.price,
        mood public.mood, done boolean, code char(3));
    create table public.notes (id int primary key);
    grant usage on schema public to authenticated;
    grant select (id, owner, title, tags, price, mood, done, code) on public.todos to authenticated;
    alter table public.todos enable row level security;
    select rowcast.watch('public.todos'), rowcast.watch('public.notes', identity => 'full');";

fn asked(column: &str, operator: &str, value: &str) -> Asked {
    let operator = Operator::parse(operator).expect("an operator");
    Asked { column: column.into(), operator, value: value.to_owned() }
}

#[tokio::test]
async fn a_role_sees_the_watched_tables_with_its_own_rights() {
    let (database, permit) = start().await;
    database.client().await.batch_execute(TABLES).await.expect("tables");
    let ada = user("a");
    let all = permit.tables(&ada, "*", "*").await.expect("tables");
    let names: Vec<&str> = all.iter().map(|table| &*table.relation).collect();
    assert_eq!(names, ["public.notes", "public.todos"]);
    assert!(all[0].full_identity && !all[0].row_security && !all[0].columns[0].readable);

    let todos = permit.table(&ada, "public.todos").await.expect("asked").expect("watched");
    assert_eq!(todos.topic.as_str(), "table:public.todos");
    assert!(todos.row_security && !todos.full_identity && todos.key_is_readable());
    let column = |name: &str| todos.column(name).expect("a column");
    assert!(column("id").key && column("id").readable && !column("secret").readable);
    assert_eq!((&*column("price").type_name, &*column("price").base.name), ("price", "numeric"));
    assert_eq!(
        column("tags").base.element.as_ref().map(|one| one.name.to_string()),
        Some("text".into())
    );
    assert_eq!((column("mood").base.kind, column("code").modifier), ('e', 7));

    for role in ["rowcast_dev", "postgres", "none", "nobody at all"] {
        let refused = permit.tables(&subject(role, serde_json::json!({})), "public", "todos").await;
        assert_eq!(refused.expect_err("refused").kind, Kind::Forbidden, "{role}");
    }
    assert!(permit.table(&ada, "public.nothing").await.expect("asked").is_none());
    assert!(permit.tables(&ada, "public", "nothing").await.expect("asked").is_empty());
}

#[tokio::test]
async fn filter_values_are_cast_by_the_database_and_errors_are_the_reference_s() {
    let (database, permit) = start().await;
    database.client().await.batch_execute(TABLES).await.expect("tables");
    let ada = user("a");
    let todos = permit.table(&ada, "public.todos").await.expect("asked").expect("watched");
    for (column, operator, value, canonical) in [
        ("id", "eq", "007", "7"),
        (
            "owner",
            "neq",
            "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}",
            r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#,
        ),
        ("id", "in", "{3,\"4\"}", "[3, 4]"),
        ("price", "lt", "1.50", "1.50"),
        ("mood", "in", "{sad}", r#"["sad"]"#),
        ("title", "like", "a%", r#""a%""#),
        ("code", "match", "^a", r#""^a""#),
        ("done", "is", "true", r#""true""#),
        ("title", "eq", "it's', 1); drop table x --", r#""it's', 1); drop table x --""#),
    ] {
        let got = permit.check(&ada, &todos, &[asked(column, operator, value)]).await;
        assert_eq!(got.expect("legal")[0].as_str(), canonical, "{column} {operator} {value}");
    }
    for (column, operator, value, message) in [
        ("id", "eq", "abc", "invalid input syntax for type bigint: \"abc\""),
        ("secret", "eq", "x", "invalid column for filter secret"),
        ("nope\"; --", "eq", "x", "invalid column for filter nope\"; --"),
        ("id", "like", "x", "operator like requires a text-compatible column type, got bigint"),
        ("id", "is", "true", "is true filter requires a boolean column, got bigint"),
        (
            "done",
            "is",
            "TRUE",
            "invalid value for is filter: must be null, true, false, or unknown",
        ),
        (
            "title",
            "imatch",
            "(",
            "invalid regular expression for imatch filter: invalid regular expression: parentheses () not balanced",
        ),
        ("id", "eq", "\0", "A null character cannot be stored or compared"),
    ] {
        let got = permit.check(&ada, &todos, &[asked(column, operator, value)]).await;
        assert_eq!(got.expect_err("refused").message, message);
    }
    let many = format!("{{{}}}", vec!["1"; 101].join(","));
    let got = permit.check(&ada, &todos, &[asked("id", "in", &many)]).await;
    assert_eq!(got.expect_err("refused").message, "too many values for `in` filter. Maximum 100");
}
