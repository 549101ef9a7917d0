//! How values of all types look, against what the reference was seen to write.

use serde_json::json;

use super::{Ground, server};

const KINDS: &str = "
    create type public.mood as enum ('sad', 'glad');
    create type public.pair as (a int, b text);
    create domain public.price as numeric(10, 2);
    create table public.kinds (
        id int8 primary key, small int2, ref oid, single float4, double float8, amount numeric, cost public.price,
        yes bool, words text, short varchar(9), padded char(5), label name, one uuid, feeling public.mood,
        net inet, bits bit(3), many varbit, raw bytea, raws bytea[], day date, clock time, zoned timetz, span interval,
        local timestamp, instant timestamptz, never timestamp, doc json, docs jsonb, nums int4[], grid int4[][],
        tags text[], duo public.pair, ranged int4range, spot point, cash money, nothing text, odd float8, odder numeric);
    select rowcast.watch('public.kinds')";

const INSERT: &str = r#"
    set lc_monetary = 'C';
    set timezone = 'Asia/Tokyo';
    insert into public.kinds values (
        9007199254740993, 7, 5, 0.1, 1e300, 12345678901234567890.123400, 1.5,
        true, E'a "b"\n\u00e4', 'abc', 'abc', 'lbl', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'glad',
        '10.0.0.1', '101', '10', '\x0102', array['\x01'::bytea], '2024-01-02', '10:11:12.5', '10:11:12+02', '1 day 2 hours',
        '2024-01-02 10:11:12.5', '2024-01-02 10:11:12.5+02', 'infinity', '{"b": 1, "a": [1, null], "b": 2}',
        '{"b": 1, "a": 2}', '{1,null,3}', '{{1,2},{3,4}}', array['x', 'y,z'], (1, 'x'), '[1,5)', '(1,2)', 1.5, null,
        'NaN', 'Infinity')"#;

#[tokio::test]
async fn values_of_all_types_look_as_in_the_reference() {
    let ground = Ground::new(KINDS).await;
    let asked = json!([{ "event": "*", "schema": "public", "table": "kinds" }]);
    let mut channel = ground.join(server(), asked, json!({})).await;
    ground.sql(INSERT).await;
    let text = channel.text().await;
    let many_zeros = "0".repeat(300);
    for (name, value) in [
        ("id", "9007199254740993"),
        ("small", "7"),
        ("ref", r#""5""#),
        ("single", "0.1"),
        ("double", &format!("1{many_zeros}")),
        ("amount", "12345678901234567890.123400"),
        ("cost", "1.50"),
        ("yes", "true"),
        ("words", r#""a \"b\"\nä""#),
        ("short", r#""abc""#),
        ("padded", r#""abc  ""#),
        ("label", r#""lbl""#),
        ("one", r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#),
        ("feeling", r#""glad""#),
        ("net", r#""10.0.0.1""#),
        ("bits", r#""101""#),
        ("many", r#""10""#),
        ("raw", r#""0102""#),
        ("raws", r#"["\\x01"]"#),
        ("day", r#""2024-01-02""#),
        ("clock", r#""10:11:12.5""#),
        ("zoned", r#""10:11:12+02""#),
        ("span", r#""1 day 02:00:00""#),
        ("local", r#""2024-01-02T10:11:12.5""#),
        ("instant", r#""2024-01-02T08:11:12.5+00:00""#),
        ("never", r#""infinity""#),
        ("doc", r#"{"a": [1, null], "b": 2}"#),
        ("docs", r#"{"a": 2, "b": 1}"#),
        ("nums", "[1, null, 3]"),
        ("grid", "[[1, 2], [3, 4]]"),
        ("tags", r#"["x", "y,z"]"#),
        ("duo", r#"{"a": 1, "b": "x"}"#),
        ("ranged", r#""[1,5)""#),
        ("spot", r#""(1,2)""#),
        ("cash", r#""$1.50""#),
        ("nothing", "null"),
        ("odd", "null"),
        ("odder", "null"),
    ] {
        assert!(text.contains(&format!("\"{name}\":{value}")), "{name} {value}\n{text}");
    }
    for (name, kind) in [
        ("id", "int8"),
        ("padded", "bpchar"),
        ("feeling", "mood"),
        ("nums", "_int4"),
        ("instant", "timestamptz"),
        ("duo", "pair"),
    ] {
        let column = format!(r#"{{"name":"{name}","type":"{kind}"}}"#);
        assert!(text.contains(&column), "{column}\n{text}");
    }
}

#[tokio::test]
async fn a_writer_s_settings_do_not_show() {
    let ground = Ground::new(
        "create table public.t (id int primary key, raw bytea, span interval, days daterange, double float8);
         select rowcast.watch('public.t')",
    )
    .await;
    let asked = json!([{ "event": "INSERT", "schema": "public", "table": "t" }]);
    let mut channel = ground.join(server(), asked, json!({})).await;
    ground
        .sql(
            "set bytea_output = 'escape'; set intervalstyle = 'iso_8601'; set datestyle = 'SQL, DMY';
             set extra_float_digits = -5;
             insert into public.t values (1, '\\x41', '1 day 2 hours', '[2024-01-02,2024-02-03)', 0.123456789012345)",
        )
        .await;
    let record = &channel.next().await["data"]["record"];
    let wanted = json!({
        "id": 1, "raw": "41", "span": "1 day 02:00:00", "days": "[2024-01-02,2024-02-03)",
        "double": 0.123_456_789_012_345
    });
    assert_eq!(*record, wanted);
}

#[tokio::test]
async fn a_payload_has_the_shape_of_the_reference() {
    let ground = Ground::new(
        "create table public.\"To dos\" (id int primary key, \"a \"\"b\" text);
         select rowcast.watch('public.\"To dos\"')",
    )
    .await;
    let asked =
        json!([{ "event": "*", "schema": "public", "table": "To dos", "filter": "id=eq.1" }]);
    let mut channel = ground.join(server(), asked, json!({})).await;
    ground
        .sql("insert into public.\"To dos\" values (1, 'x'); delete from public.\"To dos\"")
        .await;
    let id = channel.ids[0];
    let (insert, delete) = (channel.text().await, channel.text().await);
    let stamp = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let stamp = value["data"]["commit_timestamp"].as_str().expect("a time").to_owned();
        let legal = stamp.len() == "2026-08-21T10:11:12.345Z".len() && stamp.ends_with('Z');
        assert!(legal && stamp.parse::<jiff::Timestamp>().is_ok(), "{stamp}");
        stamp
    };
    let columns = r#"[{"name":"id","type":"int4"},{"name":"a \"b","type":"text"}]"#;
    assert_eq!(
        insert,
        format!(
            r#"{{"ids":[{id}],"data":{{"schema":"public","table":"To dos","commit_timestamp":"{}","type":"INSERT","columns":{columns},"record":{{"id":1,"a \"b":"x"}},"errors":null}}}}"#,
            stamp(&insert)
        )
    );
    assert_eq!(
        delete,
        format!(
            r#"{{"ids":[{id}],"data":{{"schema":"public","table":"To dos","commit_timestamp":"{}","type":"DELETE","columns":{columns},"old_record":{{"id":1}},"errors":null}}}}"#,
            stamp(&delete)
        )
    );
}

#[tokio::test]
async fn a_large_row_comes_whole() {
    let ground = Ground::new(
        "create table public.t (id int primary key, words text); select rowcast.watch('public.t')",
    )
    .await;
    let asked = json!([{ "event": "INSERT", "schema": "public", "table": "t" }]);
    let mut channel = ground.join(server(), asked, json!({})).await;
    ground.sql("insert into public.t values (1, repeat('x', 3000000))").await;
    let words = channel.next().await["data"]["record"]["words"].as_str().map(str::len);
    assert_eq!(words, Some(3_000_000));
}
