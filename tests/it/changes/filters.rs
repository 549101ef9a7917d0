//! Filters decided in Rust against what PostgreSQL says of the same values.

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use rowcast::{
    dialects::supabase::changes::{
        grammar::Condition,
        judge::{Test, Verdict},
    },
    session::permit::{Operator, Table},
};
use tokio_postgres::Client;

use super::{Ground, server};

/// Types with values that are odd, and an expression for more of them.
const TYPES: &[(&str, &[&str], &str)] = &[
    ("int2", &["0", "-32768", "32767", "7"], "-?[1-9][0-9]{0,3}"),
    ("int4", &["0", "-2147483648", "2147483647"], "-?[1-9][0-9]{0,8}"),
    ("int8", &["0", "-9223372036854775808", "9007199254740993"], "-?[1-9][0-9]{0,17}"),
    ("oid", &["0", "4294967295", "5", "10"], "[1-9][0-9]{0,8}"),
    (
        "float4",
        &["NaN", "Infinity", "-Infinity", "-0", "1e30", "0.1", "1e-30"],
        "-?[0-9]{1,4}\\.[0-9]{1,3}",
    ),
    (
        "float8",
        &["NaN", "Infinity", "-Infinity", "-0", "1e300", "0.1", "5e-324"],
        "-?[0-9]{1,9}\\.[0-9]{1,8}",
    ),
    (
        "numeric",
        &["NaN", "0.00", "-0", "1.50", "1.5", "12345678901234567890.123400"],
        "-?[0-9]{1,25}(\\.[0-9]{1,9})?",
    ),
    ("bool", &["true", "false"], "(t|f)"),
    (
        "text",
        &["", "a", "A", "a ", "ä", "Ä", "I", "i", "a%c", "a\\c", "it's \"x\"\n"],
        "[aAbB_%iI ]{0,5}",
    ),
    ("varchar(20)", &["", "a", "A", "a ", "ß", "a%c"], "[aAbB_%iI ]{0,5}"),
    ("char(5)", &["", "a", "A", "a  ", "abcde", "é"], "[aAb ]{0,5}"),
    ("name", &["a", "A", "pg_class"], "[aAb_]{1,5}"),
    (
        "uuid",
        &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"],
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ),
    (
        "date",
        &["infinity", "-infinity", "0044-03-15 BC", "10000-01-01", "2024-02-29"],
        "20[0-9]{2}-0[1-9]-(1[0-9]|2[0-8])",
    ),
    (
        "timestamp",
        &[
            "infinity",
            "-infinity",
            "0044-03-15 01:02:03 BC",
            "10000-01-01 00:00",
            "2024-01-02 10:11:12.5",
            "2024-01-02 10:11:12",
        ],
        "2024-01-0[1-9] 1[0-9]:[0-5]0:00(\\.[1-9])?",
    ),
    (
        "timestamptz",
        &[
            "infinity",
            "2024-01-02 10:11:12.5+02",
            "2024-01-02 08:11:12.5Z",
            "0044-03-15 01:02:03+00 BC",
        ],
        "2024-01-0[1-9] 1[0-9]:[0-5]0:00(\\.[1-9])?[+-]0[0-9]",
    ),
    ("time", &["00:00", "24:00:00", "10:11:12.5", "10:11:12"], "1[0-9]:[0-5]0:00(\\.[1-9]{1,6})?"),
    ("mood", &["sad", "glad", "angry"], "(sad|glad)"),
    ("interval", &["1 day", "24:00:00", "1 mon"], "[1-9] days"),
    ("int4[]", &["{}", "{1,2}", "{1,NULL}"], "\\{[1-9],[1-9]\\}"),
    ("jsonb", &["{}", "{\"a\":1}", "1.0", "1"], "[1-9]"),
    ("inet", &["10.0.0.1", "10.0.0.0/8", "::1"], "10\\.0\\.0\\.[1-9]"),
    ("bytea", &["\\x", "\\x00ff", "\\x01"], "\\\\x[0-9a-f]{2}"),
    ("money", &["1.50", "-1"], "[1-9]"),
];

/// Types of which nothing but the order of odd times is left to the database, patterns and letters apart.
const DECIDED: &[&str] =
    &["int2", "int4", "int8", "oid", "float4", "float8", "numeric", "bool", "uuid", "time"];

const COMPARED: &[(Operator, &str)] = &[
    (Operator::Eq, "="),
    (Operator::Neq, "<>"),
    (Operator::Lt, "<"),
    (Operator::Lte, "<="),
    (Operator::Gt, ">"),
    (Operator::Gte, ">="),
    (Operator::Isdistinct, "is distinct from"),
];

const PATTERNS: &[&str] =
    &["%", "a%", "%A%", "_", "%i%", "I", "a\\%c", "%ä", "a ", "a", "%\\\\%", "", "a____"];

fn column_of(nth: usize) -> String {
    format!("c{nth}")
}

fn values(given: &[&str], expression: &str) -> Vec<String> {
    let strategy = proptest::string::string_regex(expression).expect("an expression");
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let more = (0..10).map(|_| strategy.new_tree(&mut runner).expect("a value").current());
    given.iter().map(|&value| value.to_owned()).chain(more).collect()
}

async fn ground() -> (Ground, std::sync::Arc<Table>) {
    let columns: Vec<String> = TYPES
        .iter()
        .enumerate()
        .map(|(nth, (kind, ..))| format!("{} {}", column_of(nth), qualified(kind)))
        .collect();
    let ground = Ground::new(&format!(
        "create type public.mood as enum ('sad', 'glad', 'angry');
         create table public.kinds (id int primary key, {});
         select rowcast.watch('public.kinds')",
        columns.join(", ")
    ))
    .await;
    let tables = ground.source.permit.tables(&server(), "public", "kinds").await.expect("tables");
    let table = std::sync::Arc::clone(&tables[0]);
    (ground, table)
}

fn qualified(kind: &str) -> String {
    if kind == "mood" { "public.mood".to_owned() } else { kind.to_owned() }
}

/// The type that filter values are cast to: without a length.
fn bare(kind: &str) -> String {
    let kind = if kind == "char(5)" { "bpchar" } else { kind.split('(').next().unwrap_or(kind) };
    qualified(kind)
}

/// The JSON texts of values of a type.
async fn jsons(client: &Client, kind: &str, values: &[Option<&str>]) -> Vec<String> {
    let sql = format!(
        "select coalesce(to_jsonb(v.v::{})::text, 'null')
         from unnest($1::text[]) with ordinality v (v, n) order by v.n",
        qualified(kind)
    );
    client.query(&sql, &[&values]).await.expect(&sql).iter().map(|row| row.get(0)).collect()
}

/// What PostgreSQL says of each value (`v.v`) and each text (`w.v`).
async fn truths(
    client: &Client,
    expression: &str,
    values: &[Option<&str>],
    texts: &[String],
) -> Vec<Vec<Verdict>> {
    let sql = format!(
        "select array_agg({expression} order by v.n)
         from unnest($1::text[]) with ordinality v (v, n), unnest($2::text[]) with ordinality w (v, n)
         group by w.n order by w.n"
    );
    let verdict = |truth: Option<bool>| match truth {
        Some(true) => Verdict::True,
        Some(false) => Verdict::False,
        None => Verdict::Null,
    };
    let rows = client.query(&sql, &[&values, &texts]).await.expect(&sql);
    let row = |row: &tokio_postgres::Row| -> Vec<Option<bool>> { row.get(0) };
    rows.iter().map(|one| row(one).into_iter().map(verdict).collect()).collect()
}

/// The tests of conditions of one operator with several texts.
async fn tests(
    ground: &Ground,
    table: &Table,
    nth: usize,
    (op, negated): (Operator, bool),
    texts: &[String],
) -> Vec<Test> {
    let condition = |text: &String| Condition {
        column: column_of(nth).into(),
        op,
        negated,
        value: text.as_str().into(),
    };
    let conditions: Vec<Condition> = texts.iter().map(condition).collect();
    let asked: Vec<_> = conditions.iter().map(Condition::asked).collect();
    let checked = ground.source.permit.check(&server(), table, &asked).await;
    let checked = checked.unwrap_or_else(|error| panic!("{error}: {} {op:?}", TYPES[nth].0));
    let column = table.column(&column_of(nth)).expect("a column");
    let test = |(condition, canonical)| Test::new(condition, column, canonical).expect("a test");
    conditions.iter().zip(&checked).map(test).collect()
}

/// Holds what is decided against what PostgreSQL says; how many were decided, and how many were left to it.
async fn hold(
    client: &Client,
    kind: &str,
    expression: &str,
    values: &[Option<&str>],
    texts: &[String],
    tests: &[Test],
) -> (usize, usize) {
    let jsons = jsons(client, kind, values).await;
    let truths = truths(client, expression, values, texts).await;
    let (mut decided, mut left) = (0, 0);
    for ((test, text), truths) in tests.iter().zip(texts).zip(truths) {
        for ((json, value), truth) in jsons.iter().zip(values).zip(truths) {
            let judged = test.judge(Some(json));
            if judged == Verdict::Ask {
                left += 1;
                continue;
            }
            decided += 1;
            assert_eq!(judged, truth, "{kind}: {expression} of {value:?} and {text:?}");
        }
        assert_eq!(test.judge(None), Verdict::Null);
    }
    (decided, left)
}

async fn client(ground: &Ground) -> Client {
    let client = ground.database.client().await;
    client.batch_execute("set timezone = 'UTC'").await.expect("set");
    client
}

fn with_null(values: &[String]) -> Vec<Option<&str>> {
    values.iter().map(|value| Some(value.as_str())).chain([None]).collect()
}

#[tokio::test]
async fn comparisons_say_what_postgres_says() {
    let (ground, table) = ground().await;
    let client = client(&ground).await;
    for (nth, (kind, given, expression)) in TYPES.iter().enumerate() {
        let values = values(given, expression);
        let texts: Vec<String> = values.iter().step_by(2).cloned().collect();
        for (op, sign) in COMPARED {
            let tests = tests(&ground, &table, nth, (*op, false), &texts).await;
            let truth = format!("v.v::{} {sign} w.v::{}", qualified(kind), bare(kind));
            let (_, left) = hold(&client, kind, &truth, &with_null(&values), &texts, &tests).await;
            assert!(left == 0 || !DECIDED.contains(kind), "{kind} {sign}: {left} are left");
        }
    }
}

#[tokio::test]
async fn lists_and_negations_say_what_postgres_says() {
    let (ground, table) = ground().await;
    let client = client(&ground).await;
    for (nth, (kind, given, expression)) in TYPES.iter().enumerate() {
        if matches!(*kind, "int4[]" | "jsonb" | "inet" | "interval" | "money" | "bytea") {
            continue;
        }
        let values = values(&given[..given.len().min(4)], expression);
        let member =
            |nth: usize| format!("\"{}\"", values[nth].replace('\\', "\\\\").replace('"', "\\\""));
        let lists = [
            "{}".to_owned(),
            format!("{{{}}}", member(0)),
            format!("{{{},{}}}", member(1), member(5)),
            format!("{{{},NULL}}", member(0)),
        ];
        for (negated, not) in [(false, ""), (true, "not")] {
            let tests = tests(&ground, &table, nth, (Operator::In, negated), &lists).await;
            let truth = format!("{not} (v.v::{} = any (w.v::{}[]))", qualified(kind), bare(kind));
            hold(&client, kind, &truth, &with_null(&values), &lists, &tests).await;
        }
        for word in ["null", "true", "false", "unknown"] {
            if word != "null" && *kind != "bool" {
                continue;
            }
            for (negated, not) in [(false, ""), (true, "not")] {
                let words = [word.to_owned()];
                let tests = tests(&ground, &table, nth, (Operator::Is, negated), &words).await;
                let truth = format!("v.v::{} is {not} {word}", qualified(kind));
                let (_, left) =
                    hold(&client, kind, &truth, &with_null(&values), &words, &tests).await;
                assert_eq!(left, 0, "{kind} is {word}");
            }
        }
    }
}

#[tokio::test]
async fn patterns_say_what_postgres_says() {
    let (ground, table) = ground().await;
    let client = client(&ground).await;
    for (nth, (kind, given, expression)) in TYPES.iter().enumerate() {
        if !matches!(*kind, "text" | "varchar(20)" | "char(5)" | "name") {
            continue;
        }
        let values = values(given, expression);
        let patterns = PATTERNS.iter().map(|&text| text.to_owned());
        let patterns: Vec<String> = patterns.chain(self::values(&[], expression)).collect();
        for (op, sign) in [(Operator::Like, "like"), (Operator::Ilike, "ilike")] {
            let tests = tests(&ground, &table, nth, (op, false), &patterns).await;
            let truth = format!("v.v::{kind} {sign} w.v");
            let (decided, left) =
                hold(&client, kind, &truth, &with_null(&values), &patterns, &tests).await;
            assert!(decided > 50 && (left == 0 || op == Operator::Ilike), "{kind} {sign}: {left}");
        }
    }
}
