//! Socket.IO packets (protocol v5) as text: what a client sends, what it is sent. Pure: no I/O, no clock.
//!
//! `<type>[<attachments>-][<namespace>,][<ack id>][JSON]`, as the protocol's page has it.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// The one namespace served here.
pub(in crate::dialects) const MAIN: &str = "/";
/// An ack id is a JavaScript number.
const MAX_ACK: u64 = (1 << 53) - 1;
/// The longest namespace that is repeated in an answer.
const MAX_NAMESPACE: usize = 100;
/// A server may refuse binary data, and does so once per packet.
const MAX_ATTACHMENTS: u32 = 16;

/// A packet from a client.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::dialects) enum Packet {
    /// It wants a namespace, and says who it is.
    Connect { namespace: String, auth: Value },
    /// It leaves a namespace.
    Disconnect { namespace: String },
    /// It says something.
    Event(Event),
    /// It answers; nothing here asks.
    Ack,
}

/// An event, or one with binary data, which is refused by whoever it is for.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::dialects) struct Event {
    /// What the answer repeats; none when no answer is wanted.
    pub(in crate::dialects) ack: Option<u64>,
    /// Its name.
    pub(in crate::dialects) name: String,
    /// What it carries; null when that is nothing.
    pub(in crate::dialects) data: Value,
    /// How many binary frames follow.
    pub(in crate::dialects) attachments: u32,
}

impl Packet {
    /// Whether the client leaves the one namespace there is.
    pub(super) fn leaves_main(&self) -> bool {
        matches!(self, Self::Disconnect { namespace } if namespace == MAIN)
    }
}

/// How many binary frames follow a packet, right or wrong.
pub(super) fn announced(text: &str) -> u32 {
    let mut rest = text.get(1..).unwrap_or_default();
    attachments(&mut rest).unwrap_or_default()
}

/// Reads a packet.
pub(in crate::dialects) fn parse(text: &str) -> Result<Packet> {
    let mut rest = text;
    let kind = take(&mut rest, 1).unwrap_or_default();
    let attachments = match kind {
        "5" | "6" => attachments(&mut rest)?,
        _ => 0,
    };
    let namespace = namespace(&mut rest)?;
    let packet = match kind {
        "0" => Packet::Connect { namespace, auth: json(rest)? },
        "1" if rest.is_empty() => Packet::Disconnect { namespace },
        "1" => return Err(Error::malformed("A DISCONNECT packet carries nothing")),
        _ if namespace != MAIN => return Err(Error::malformed("Invalid namespace")),
        "2" | "5" => Packet::Event(event(rest, attachments)?),
        "3" | "6" => Packet::Ack,
        _ => return Err(Error::malformed("Not a Socket.IO packet of protocol v5")),
    };
    Ok(packet)
}

fn event(text: &str, attachments: u32) -> Result<Event> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (id, list) = text.split_at(digits);
    let ack = match id {
        "" => None,
        id => {
            let id = id.parse().ok().filter(|id| *id <= MAX_ACK);
            Some(id.ok_or_else(|| Error::malformed("An ack id is a whole number below 2^53"))?)
        }
    };
    let wrong = || Error::malformed("An EVENT packet is a JSON list that begins with its name");
    let Value::Array(list) = json(list)? else { return Err(wrong()) };
    let mut list = list.into_iter();
    let Some(Value::String(name)) = list.next() else { return Err(wrong()) };
    Ok(Event { ack, name, data: list.next().unwrap_or_default(), attachments })
}

fn attachments(rest: &mut &str) -> Result<u32> {
    let wrong = || Error::malformed("A binary packet begins with its number of attachments");
    let (count, after) = rest.split_once('-').ok_or_else(wrong)?;
    let count = count.parse().ok().filter(|count| *count <= MAX_ATTACHMENTS).ok_or_else(wrong)?;
    *rest = after;
    Ok(count)
}

/// The namespace, without the query that old clients add.
fn namespace(rest: &mut &str) -> Result<String> {
    if !rest.starts_with('/') {
        return Ok(MAIN.to_owned());
    }
    let (name, after) = rest.split_once(',').unwrap_or((*rest, ""));
    let name = name.split('?').next().unwrap_or_default();
    if name.len() > MAX_NAMESPACE {
        return Err(Error::malformed("Invalid namespace"));
    }
    *rest = after;
    Ok(name.to_owned())
}

fn json(text: &str) -> Result<Value> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text)
        .map_err(|error| Error::malformed(format!("The packet is not JSON: {error}")))
}

fn take<'a>(rest: &mut &'a str, count: usize) -> Option<&'a str> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

/// Lets a client into the namespace.
pub(in crate::dialects) fn connected(sid: &str) -> String {
    format!(r#"0{{"sid":"{sid}"}}"#)
}

/// Keeps a client out of a namespace.
pub(in crate::dialects) fn refused(namespace: &str, message: &str, code: u16) -> String {
    #[derive(Serialize)]
    struct Refusal<'a> {
        message: &'a str,
        data: Code,
    }
    #[derive(Serialize)]
    struct Code {
        code: u16,
    }
    let place = if namespace == MAIN { String::new() } else { format!("{namespace},") };
    format!("4{place}{}", text(&Refusal { message, data: Code { code } }))
}

/// Ends a client's stay in the namespace: it does not come back by itself.
pub(in crate::dialects) const DISCONNECT: &str = "1";

/// An event to a client.
pub(in crate::dialects) fn event_text(name: &str, data: &impl Serialize) -> String {
    format!("2[{},{}]", text(&name), text(data))
}

/// The answer to an event that wants one.
pub(in crate::dialects) fn ack(id: u64, data: &impl Serialize) -> String {
    format!("3{id}[{}]", text(data))
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event_of(text: &str) -> Event {
        match parse(text) {
            Ok(Packet::Event(event)) => event,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn packets_of_the_protocols_page_parse() {
        let connect =
            |namespace: &str, auth| Packet::Connect { namespace: namespace.to_owned(), auth };
        assert_eq!(parse("0").expect("legal"), connect("/", Value::Null));
        assert_eq!(parse(r#"0{"token":"t"}"#).expect("legal"), connect("/", json!({"token":"t"})));
        assert_eq!(parse("0/admin,").expect("legal"), connect("/admin", Value::Null));
        assert_eq!(parse("0/admin?a=b").expect("legal"), connect("/admin", Value::Null));
        assert_eq!(parse("1").expect("legal"), Packet::Disconnect { namespace: "/".to_owned() });
        assert_eq!(parse(r#"312["x"]"#).expect("legal"), Packet::Ack);
        let typing = event_of(r#"2["typing",{"receiver_id":7}]"#);
        assert_eq!((typing.ack, typing.name.as_str()), (None, "typing"));
        assert_eq!(typing.data, json!({"receiver_id":7}));
        let sent = event_of(r#"212["send",1,2]"#);
        assert_eq!((sent.ack, sent.data), (Some(12), json!(1)));
        let binary = event_of(r#"51-3["file",{"_placeholder":true,"num":0}]"#);
        assert_eq!((binary.ack, binary.attachments), (Some(3), 1));
    }

    #[test]
    fn what_is_no_packet_is_an_error() {
        for bad in [
            "",
            "x",
            "7",
            "2",
            "2[]",
            "2[1]",
            "2{}",
            "2[\"a\"",
            "1{}",
            "2/admin,[\"a\"]",
            "5[\"a\"]",
            "5999-[\"a\"]",
            "299999999999999999999[\"a\"]",
            "é",
            "0{",
            "5é-[]",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_sent_is_what_the_client_parses() {
        assert_eq!(connected("x"), r#"0{"sid":"x"}"#);
        assert_eq!(refused("/a", "No", 401), r#"4/a,{"message":"No","data":{"code":401}}"#);
        assert_eq!(event_text("a", &json!({"b":1})), r#"2["a",{"b":1}]"#);
        assert_eq!(ack(3, &json!({"success":true})), r#"33[{"success":true}]"#);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".*") {
            let _ = parse(&text);
        }

        #[test]
        fn packets_in_disguise_never_panic(
            text in "[0-9]{0,3}-?(/[a-z?]{0,4},?)?[0-9]{0,22}[\\[{\"a-z:,1\\]}]{0,12}",
        ) {
            let _ = parse(&text);
        }

        #[test]
        fn an_event_comes_back_as_it_went(
            name in "[a-z_:]{1,20}", ack in proptest::option::of(0..MAX_ACK), word in ".*",
        ) {
            let id = ack.map(|id| id.to_string()).unwrap_or_default();
            let text = format!("2{id}{}", json!([name, { "word": word }]));
            let event = event_of(&text);
            prop_assert_eq!((event.ack, event.name, event.data), (ack, name, json!({ "word": word })));
        }
    }
}
