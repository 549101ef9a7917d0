//! The stage: six people, a group of three, a direct thread of two, and a thread of the outsider's own.

use std::fmt;

use serde_json::{Value, json};

use crate::harness::app::{App, now, token_with};

/// Who writes.
pub(super) const ADA: Person = Person(1);
/// Who looks, in every dialect at once.
pub(super) const GRACE: Person = Person(2);
/// The third member of the group, who comes and goes.
pub(super) const LINUS: Person = Person(3);
/// Who looks in every dialect, too, and may see nothing of it.
pub(super) const EVE: Person = Person(4);
/// Whom eve shares a thread with.
pub(super) const MARY: Person = Person(5);
/// Who is taken into the group and thrown out again.
pub(super) const NILS: Person = Person(6);

const STAGE: &str = "
    insert into chat.users (uuid, username, full_name)
    values ('00000000-0000-4000-8000-000000000005', 'mary', 'Mary Test'),
        ('00000000-0000-4000-8000-000000000006', 'nils', 'Nils Test');
    select chat.direct_thread(1, 2), chat.direct_thread(4, 5);
    update chat.threads set uuid = '00000000-0000-4000-8000-0000000000a3' where direct_key = '1:2';
    update chat.threads set uuid = '00000000-0000-4000-8000-0000000000a4' where direct_key = '4:5';";

/// A user, by the integer id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Person(pub(super) i64);

impl Person {
    pub(super) fn uuid(self) -> String {
        format!("00000000-0000-4000-8000-00000000000{}", self.0)
    }

    /// A token of theirs; another one for each `jti`.
    pub(super) fn token(self, jti: &str) -> String {
        token_with(&json!({ "sub": self.uuid(), "exp": now() + 3_600, "iat": now(), "jti": jti }))
    }

    /// The other one of their direct thread.
    pub(super) fn partner(self) -> Self {
        match self {
            ADA => GRACE,
            GRACE => ADA,
            EVE => MARY,
            _ => EVE,
        }
    }
}

/// A thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Ada, grace and linus.
    Group,
    /// Ada and grace, with their direct thread.
    Direct,
    /// Eve and mary, with theirs: where an outsider hears that the time is up.
    Elsewhere,
}

impl Place {
    pub(super) fn id(self) -> i64 {
        match self {
            Self::Group => 1,
            Self::Direct => 3,
            Self::Elsewhere => 4,
        }
    }

    pub(super) fn uuid(self) -> String {
        format!("00000000-0000-4000-8000-0000000000a{}", self.id())
    }
}

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Message,
    Edit,
    Delete,
    Read,
    OwnRead,
    Delivered,
    TypingStart,
    TypingStop,
    PresenceOn,
    PresenceOff,
    MemberAdded,
    MemberRemoved,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "message",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Read => "read",
            Self::OwnRead => "read, on the reader's other devices",
            Self::Delivered => "delivered",
            Self::TypingStart => "typing start",
            Self::TypingStop => "typing stop",
            Self::PresenceOn => "presence on",
            Self::PresenceOff => "presence off",
            Self::MemberAdded => "member added",
            Self::MemberRemoved => "member removed",
        })
    }
}

/// One thing that happened, as the database has it.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) who: Person,
    /// The message that it is about, where one is.
    pub(super) message: (i64, String),
    /// Its words; of a deletion: those of the message before it, which is the last one now.
    pub(super) content: String,
    /// What grace has yet to read there afterwards.
    pub(super) unread: i64,
}

impl Fact {
    pub(super) fn new(kind: Kind, place: Place, who: Person) -> Self {
        Self { kind, place, who, message: (0, String::new()), content: String::new(), unread: 0 }
    }
}

/// What a client was told, as far as its shape tells it.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) thread: Option<Value>,
    pub(super) who: Option<Value>,
    pub(super) message: Option<Value>,
    pub(super) content: Option<Value>,
    pub(super) unread: Option<Value>,
}

impl Said {
    /// Whether all that was told is true of a fact, with ids in the dialect's own form.
    pub(super) fn fits(&self, fact: &Fact, integers: bool) -> bool {
        let id = |int: i64, uuid: &str| if integers { json!(int) } else { json!(uuid) };
        let same = |told: &Option<Value>, is: Value| told.as_ref().is_none_or(|told| *told == is);
        same(&self.thread, id(fact.place.id(), &fact.place.uuid()))
            && same(&self.who, id(fact.who.0, &fact.who.uuid()))
            && same(&self.message, id(fact.message.0, &fact.message.1))
            && same(&self.content, json!(fact.content))
            && same(&self.unread, json!(fact.unread))
    }
}

/// Starts the bridge on the stage; limits are not what is tested here.
pub(super) async fn start() -> App {
    let app = App::start_with(&[
        "--rate-rest=10000/10000",
        "--rate-messages=10000/10000",
        "--rate-typing=10000/10000",
        "--rate-joins=10000/10000",
    ])
    .await;
    app.sql(STAGE).await;
    app
}
