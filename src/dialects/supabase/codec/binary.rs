//! Binary frames of version 2.0.0: every length is one byte, the payload is the rest.

use bytes::Bytes;

use super::{super::persist::Persist, Payload, Push, Ref, UserPayload, UserPush};
use crate::error::{Error, Result};

/// A push from the client with bytes.
const PUSH: u8 = 0;
/// A broadcast from the client.
const USER_PUSH: u8 = 3;
/// A broadcast to the client.
const USER_BROADCAST: u8 = 4;

/// How the payload of a broadcast is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Anything.
    Bytes = 0,
    /// JSON text.
    Json = 1,
}

/// Reads a frame from a client.
pub(super) fn parse(frame: &Bytes) -> Result<Push> {
    let mut rest = Reader(frame);
    match rest.byte()? {
        PUSH => {
            let lengths = rest.lengths::<4>()?;
            let [join_ref, reference, topic, event] = rest.texts(lengths)?;
            Ok(Push {
                join_ref: Ref::from_text(join_ref),
                reference: Ref::from_text(reference),
                topic: topic.to_owned(),
                event: event.to_owned(),
                payload: Payload::Bytes,
            })
        }
        USER_PUSH => {
            let lengths = rest.lengths::<5>()?;
            let encoding = rest.byte()?;
            let [join_ref, reference, topic, event, metadata] = rest.texts(lengths)?;
            let payload = match encoding {
                0 => UserPayload::Bytes(frame.slice_ref(rest.0)),
                1 => UserPayload::Json(
                    serde_json::from_slice(rest.0).map_err(|_| wrong("the payload is no JSON"))?,
                ),
                _ => return Err(wrong("an encoding is 0 or 1")),
            };
            Ok(Push {
                join_ref: Ref::from_text(join_ref),
                reference: Ref::from_text(reference),
                topic: topic.to_owned(),
                event: "broadcast".to_owned(),
                payload: Payload::User(UserPush {
                    event: event.to_owned(),
                    payload,
                    persist: Persist::of_metadata(metadata),
                }),
            })
        }
        _ => Err(wrong("clients send the kinds 0 and 3")),
    }
}

/// A broadcast to a client; none where a name is longer than a byte can say.
pub(super) fn user_broadcast(
    topic: &str,
    event: &str,
    metadata: &str,
    encoding: Encoding,
    payload: &[u8],
) -> Option<Bytes> {
    let texts = [topic, event, metadata];
    let mut frame =
        Vec::with_capacity(5 + texts.iter().map(|text| text.len()).sum::<usize>() + payload.len());
    frame.push(USER_BROADCAST);
    for text in texts {
        frame.push(u8::try_from(text.len()).ok()?);
    }
    frame.push(encoding as u8);
    for text in texts {
        frame.extend_from_slice(text.as_bytes());
    }
    frame.extend_from_slice(payload);
    Some(frame.into())
}

/// What is still unread.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.0.split_first().ok_or_else(|| wrong("it is cut off"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn lengths<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (lengths, rest) =
            self.0.split_first_chunk::<N>().ok_or_else(|| wrong("it is cut off"))?;
        self.0 = rest;
        Ok(*lengths)
    }

    fn texts<const N: usize>(&mut self, lengths: [u8; N]) -> Result<[&'a str; N]> {
        let mut texts = [""; N];
        for (text, length) in texts.iter_mut().zip(lengths) {
            let (bytes, rest) =
                self.0.split_at_checked(length.into()).ok_or_else(|| wrong("it is cut off"))?;
            *text = std::str::from_utf8(bytes).map_err(|_| wrong("a name is no UTF-8"))?;
            self.0 = rest;
        }
        Ok(texts)
    }
}

fn wrong(why: &'static str) -> Error {
    Error::malformed(why)
}
