//! A topic: what changes are about and what subscriptions hold, such as `thread:42`.

use std::{fmt, sync::Arc};

use crate::error::{Error, Result};

/// The longest topic, in bytes: `table:` and two quoted names of 63 characters of up to four bytes fit.
pub const MAX_BYTES: usize = 640;

/// A name of the form `kind:rest`, cheap to clone and only ever legal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Parses a topic: a kind of lower-case letters, a colon, then at least one character, none of them a control character.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::malformed(
                "A topic is `kind:name`, such as thread:42, user:7 or table:public.todos",
            )
        };
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        let legal = !kind.is_empty()
            && !name.is_empty()
            && text.len() <= MAX_BYTES
            && kind.bytes().all(|byte| byte.is_ascii_lowercase())
            && !name.chars().any(char::is_control);
        if legal { Ok(Self(text.into())) } else { Err(wrong()) }
    }

    /// The topic of a thread's messages, members and typing.
    pub fn thread(id: i64) -> Self {
        Self(format!("thread:{id}").into())
    }

    /// The topic of what concerns one user.
    pub fn user(id: i64) -> Self {
        Self(format!("user:{id}").into())
    }

    /// The topic of a token's revocation; `None` for an id that no topic can hold.
    pub fn token(jti: &str) -> Option<Self> {
        Self::parse(&format!("token:{jti}")).ok()
    }

    /// The thread's id where this is a thread's topic.
    pub fn thread_id(&self) -> Option<i64> {
        self.0.strip_prefix("thread:")?.parse().ok()
    }

    /// The topic as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_legal_topics_parse() {
        for good in ["thread:42", "table:public.todos", "channel:room1", "table:\"My Schema\".t"] {
            assert_eq!(Topic::parse(good).expect("legal").as_str(), good);
        }
        for bad in ["", "thread", ":1", "thread:", "Thread:1", "thread:a\nb", &"x".repeat(700)] {
            assert!(Topic::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_the_identity_on_legal_topics(text in ".*") {
            if let Ok(topic) = Topic::parse(&text) {
                prop_assert_eq!(topic.as_str(), text);
            }
        }
    }
}
