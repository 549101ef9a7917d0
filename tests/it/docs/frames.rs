//! The references' frames have the shapes that golden transcripts hold the bridge to.

use serde_json::Value;

use super::page::{below, page, root};

/// A line of a transcript: who says it, what stands before the JSON, and the JSON.
struct Line {
    direction: char,
    head: String,
    json: Value,
}

/// Reads `< {…}`, `> 42["…"]`, `? GET …` and `= 200 {…}`; nothing for other lines.
fn read(line: &str, named: bool) -> Option<Line> {
    let direction = line.chars().next().filter(|char| matches!(char, '<' | '>' | '='))?;
    let mut rest = line[1..].trim_start();
    if named && direction != '=' {
        rest = rest.split_once(' ').map_or("", |(_, tail)| tail).trim_start();
    }
    let begin = rest.find(['{', '['])?;
    let json = serde_json::from_str(&rest[begin..]).ok()?;
    // The number of an ack is the client's to choose.
    let head = rest[..begin].trim();
    let head = match direction {
        '=' => head.to_owned(),
        _ => head.chars().take(1).collect(),
    };
    Some(Line { direction, head, json })
}

/// Whether an example could have been this line: the same keys, the same kinds of values, the same name.
fn fits(example: &Value, golden: &Value, name: bool) -> bool {
    match (example, golden) {
        (_, Value::String(any)) if any == "*" || any.starts_with(['=', '$']) => true,
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| {
                    // Ids can be keys.
                    let any = b.iter().find(|(golden, _)| golden.starts_with('$'));
                    let golden = b.get(key).or(any.map(|(_, golden)| golden));
                    golden.is_some_and(|golden| fits(value, golden, key == "type"))
                })
        }
        (Value::Array(a), Value::Array(b)) => {
            let event = a.first().is_some_and(Value::is_string);
            match (event, b.first()) {
                (true, _) => {
                    a.len() == b.len()
                        && a.iter().zip(b).enumerate().all(|(nth, (a, b))| fits(a, b, nth == 0))
                }
                (false, None) => a.is_empty(),
                (false, Some(_)) => a.iter().all(|a| b.iter().any(|b| fits(a, b, false))),
            }
        }
        (Value::String(a), Value::String(b)) => !name || a == b,
        (Value::Number(_), Value::Number(_)) | (Value::Null, Value::Null) => true,
        (Value::Bool(_), Value::Bool(_)) => true,
        _ => false,
    }
}

#[test]
fn every_frame_of_the_references_occurs_in_a_golden_transcript() {
    let mut wrong = Vec::new();
    for dialect in ["native", "longpoll", "rooms", "conversations", "direct"] {
        let golden: Vec<Line> = below(&format!("tests/golden/{dialect}"))
            .iter()
            .map(|file| std::fs::read_to_string(root().join(file)).expect("a transcript"))
            .flat_map(|text| text.lines().filter_map(|line| read(line, true)).collect::<Vec<_>>())
            .collect();
        let reference = page(&format!("docs/protocol/{dialect}.md"));
        let mut count = 0;
        for code in reference.code().iter().filter(|code| code.fence.as_deref() == Some("text")) {
            let Some(line) = read(&code.text, false) else {
                if code.text.starts_with(['<', '>', '=']) && code.text.contains(['{', '[']) {
                    wrong.push(format!("{}: no JSON", code.place));
                }
                continue;
            };
            count += 1;
            let there = golden.iter().any(|golden| {
                golden.direction == line.direction
                    && golden.head == line.head
                    && fits(&line.json, &golden.json, false)
            });
            if !there {
                wrong.push(format!("{}: {}", code.place, code.text));
            }
        }
        assert!(count >= 8, "docs/protocol/{dialect}.md has {count} frames only");
    }
    assert!(wrong.is_empty(), "no golden transcript has these:\n{}", wrong.join("\n"));
}
