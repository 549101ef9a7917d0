//! Answers to events, in the shape that both dialects share: `{…}` or `{"error", "code"}`, by ack, else as `error`.

use serde::Serialize;
use serde_json::Value;

use super::packet::{self, Event, MAIN, Packet};
use crate::{
    dialects::door,
    error::{Error, Kind, Result},
    session::{Frame, Incoming},
};

/// An error as an ack has it.
#[derive(Serialize)]
struct Failed<'a> {
    error: &'a str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// An error that nobody asked to be told of by ack.
#[derive(Serialize)]
struct Failure<'a> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// The body of an error over HTTP, which is that of an ack.
pub(in crate::dialects) fn body(error: &Error) -> String {
    serde_json::to_string(&failed(error)).unwrap_or_default()
}

fn failed(error: &Error) -> Failed<'_> {
    let code = door::status(error.kind).as_u16();
    Failed { error: &error.message, code, retry_after_ms: error.retry_after_ms }
}

/// The packet that tells of an error: the ack where one is wanted.
pub(in crate::dialects) fn refusal(event: &Event, error: &Error) -> String {
    match event.ack {
        Some(id) => packet::ack(id, &failed(error)),
        None => failure(error, Some(&event.name)),
    }
}

/// Tells of a packet that could not be read.
pub(in crate::dialects) fn astray(error: &Error) -> String {
    failure(error, None)
}

fn failure(error: &Error, event: Option<&str>) -> String {
    let code = door::status(error.kind).as_u16();
    let shown = event.map(shortened);
    let failure = Failure {
        code,
        message: &error.message,
        event: shown.as_deref(),
        retry_after_ms: error.retry_after_ms,
    };
    packet::event_text("error", &failure)
}

/// Reads a frame: an event to act on, or nothing. What is wrong with it is answered here.
pub(in crate::dialects) fn heard(frame: &Incoming, out: &mut Vec<Frame>) -> Result<Option<Event>> {
    let heard = match frame {
        Incoming::Text(text) => packet::parse(text),
        _ => Err(Error::malformed("Binary frames are not known here")),
    };
    let error = match heard {
        Ok(Packet::Event(event)) if event.attachments == 0 => return Ok(Some(event)),
        Ok(Packet::Event(event)) => {
            let error = Error::malformed("Binary data is not accepted here; send JSON");
            out.push(Frame::plain(refusal(&event, &error)));
            return Err(error);
        }
        Ok(Packet::Connect { namespace, .. }) if namespace != MAIN => {
            out.push(Frame::plain(no_namespace(&namespace)));
            return Ok(None);
        }
        Ok(Packet::Connect { .. }) => Error::malformed("Connected already"),
        Ok(Packet::Ack | Packet::Disconnect { .. }) => return Ok(None),
        Err(error) => error,
    };
    out.push(Frame::plain(astray(&error)));
    Err(error)
}

/// The answer to a namespace that is not there.
pub(super) fn no_namespace(namespace: &str) -> String {
    packet::refused(namespace, "Invalid namespace", door::status(Kind::Missing).as_u16())
}

/// Answers an event: with what came of it where that is wanted, with what was wrong always.
pub(in crate::dialects) fn answer(
    event: &Event,
    outcome: Result<Value>,
    out: &mut Vec<Frame>,
) -> Result<()> {
    match outcome {
        Ok(data) => {
            out.extend(event.ack.map(|id| Frame::plain(packet::ack(id, &data))));
            Ok(())
        }
        Err(error) => {
            error.log("answering a Socket.IO event");
            out.push(Frame::plain(refusal(event, &error)));
            Err(error)
        }
    }
}

/// Tells a client that what it knows can no longer be continued.
pub(in crate::dialects) fn resync() -> String {
    let failure = Failure {
        code: door::status(Kind::Conflict).as_u16(),
        message: "Changes were missed that are no longer known; fetch your conversations afresh",
        event: None,
        retry_after_ms: None,
    };
    packet::event_text("resync_required", &failure)
}

/// An event that the dialect does not know.
pub(in crate::dialects) fn unknown_event(name: &str, known: &str) -> Error {
    Error::malformed(format!("Unknown event \"{}\"; known are {known}", shortened(name)))
}

fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}
