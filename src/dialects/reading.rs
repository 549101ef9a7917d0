//! Reading a request's body and parameters, with errors that name what was wrong and what is accepted.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    dialects::door::{self, Ask},
    error::{Error, Result},
};

/// The body as an object; an absent one is empty where that is allowed.
pub fn object(ask: &Ask, may_be_absent: bool) -> Result<Value> {
    if ask.body.is_empty() && may_be_absent {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice::<Map<String, Value>>(&ask.body)
        .map(Value::Object)
        .map_err(|error| Error::malformed(format!("The body must be one JSON object: {error}")))
}

/// The parameter `limit`.
pub fn limit(ask: &Ask, (default, most): (i32, i32)) -> Result<i32> {
    let Some(text) = ask.parameter("limit") else { return Ok(default) };
    text.parse()
        .ok()
        .filter(|limit| (1..=most).contains(limit))
        .ok_or_else(|| Error::malformed(format!("`limit` must be a whole number from 1 to {most}")))
}

/// A parameter that is a time, in microseconds since 1970.
pub fn instant(ask: &Ask, name: &str) -> Result<Option<i64>> {
    let Some(text) = ask.parameter(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    door::instant(&text).map(Some).ok_or_else(|| {
        let message = format!("`{name}` is not an RFC 3339 time such as 2024-01-01T00:00:00Z");
        Error::malformed(message)
    })
}

/// A uuid or an integer id.
pub fn id(value: Option<&Value>, name: &str) -> Result<String> {
    match value {
        None | Some(Value::Null) => {
            let message = format!("`{name}` is missing; send a uuid or an integer id");
            Err(Error::malformed(message))
        }
        Some(Value::String(text)) => checked(text.trim(), name),
        Some(value) => checked(&value.to_string(), name),
    }
}

/// Text that must be a uuid or an integer id.
pub fn checked(text: &str, name: &str) -> Result<String> {
    let integer = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let uuid = text.len() == 36 && Uuid::parse_str(text).is_ok();
    if integer || uuid {
        return Ok(text.to_owned());
    }
    Err(Error::malformed(format!("`{name}` must be a uuid or an integer id")))
}

/// A string.
pub fn word(value: Option<&Value>, name: &str) -> Result<String> {
    match value {
        Some(Value::String(text)) => Ok(text.clone()),
        None | Some(Value::Null) => {
            Err(Error::malformed(format!("`{name}` is missing; it must be a string")))
        }
        Some(_) => Err(Error::malformed(format!("`{name}` must be a string"))),
    }
}

/// A message's type: a short word, `text` when it is not said.
pub fn message_type(value: Option<&Value>, name: &str) -> Result<String> {
    let Some(value) = value else { return Ok("text".to_owned()) };
    let legal = |word: &&str| {
        (1..=32).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-/.".contains(&byte))
    };
    value.as_str().filter(legal).map(str::to_owned).ok_or_else(|| {
        let message = format!(
            "`{name}` must be a word of 1 to 32 letters, digits, `_`, `-` or `/`, such as text"
        );
        Error::malformed(message)
    })
}
