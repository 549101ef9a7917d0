//! The specification: what each dialect's clients get of each kind of event, and by what each kind can be caused.

use super::{
    shapes::{Shape, conversations, direct, longpoll, native, rooms, shown},
    world::{Kind, Place},
};

/// A client's side of a dialect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Via {
    /// The dialect's socket.
    Socket,
    /// A loop of `poll/messages`, or of `messages/poll/`.
    Messages,
    /// A loop of `poll/updates`.
    Updates,
    /// What has to be asked for: `rooms/`, `typing/status`, `presence/status`.
    Status,
}

/// The dialects, in the order of the table's columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    Native,
    Longpoll,
    Rooms,
    Conversations,
    Direct,
}

pub(super) const DIALECTS: [Dialect; 5] =
    [Dialect::Native, Dialect::Longpoll, Dialect::Rooms, Dialect::Conversations, Dialect::Direct];

impl Dialect {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Longpoll => "longpoll",
            Self::Rooms => "rooms",
            Self::Conversations => "conversations",
            Self::Direct => "direct",
        }
    }

    /// Whether its ids are integers.
    pub(super) fn integers(self) -> bool {
        matches!(self, Self::Longpoll | Self::Rooms)
    }

    /// Whether it knows of a thread at all.
    pub(super) fn knows(self, place: Place) -> bool {
        self != Self::Direct || place != Place::Group
    }
}

/// What a dialect says of a kind of event.
pub(super) enum Cell {
    /// In these words, for the README; the shapes, each exactly once, by where they come.
    Told(&'static str, &'static [(Via, Shape)]),
    /// Not at all, and why.
    Never(&'static str),
}

use Cell::{Never, Told};
use Via::{Messages, Socket, Status, Updates};

const NO_EDITS: Cell = Never("a poll gives what is new");
const NO_PRESENCE: Cell = Never("the guide has none");
const NO_RECEIPT: Cell = Never("the guide has no receipts");
const NO_CHANGES: Cell = Never("the guide has no edits");
const TWO: Cell = Never("a direct thread has its two people");
const LISTED: Cell = Never("listed with the conversation");

/// The table.
pub(super) const SPEC: &[(Kind, [Cell; 5])] = &[
    (
        Kind::Message,
        [
            Told("`new_message`", &[(Socket, native::message)]),
            Told(
                "`poll/messages`, `poll/updates`",
                &[(Messages, longpoll::message), (Updates, longpoll::news)],
            ),
            Told(
                "`message`, the poll, `last_message`",
                &[(Socket, rooms::message), (Messages, rooms::message), (Status, rooms::last)],
            ),
            Told(
                "`new_message`, `conversation:updated`",
                &[(Socket, conversations::message), (Socket, conversations::last)],
            ),
            Told(
                "`new_message`, `new_message_notification`",
                &[(Socket, direct::message), (Socket, direct::notification)],
            ),
        ],
    ),
    (
        Kind::Edit,
        [
            Told("`message_updated`", &[(Socket, native::edit)]),
            NO_EDITS,
            Told("`last_message`", &[(Status, rooms::last)]),
            Told("`conversation:updated`", &[(Socket, conversations::last)]),
            NO_CHANGES,
        ],
    ),
    (
        Kind::Delete,
        [
            Told("`message_deleted`", &[(Socket, native::delete)]),
            Told("`poll/updates`, when it was unread", &[(Updates, longpoll::unread)]),
            Told("`last_message`", &[(Status, rooms::last)]),
            Told("`conversation:updated`", &[(Socket, conversations::last)]),
            NO_CHANGES,
        ],
    ),
    (
        Kind::Read,
        [
            Told("`messages_read`", &[(Socket, native::read)]),
            Never("`is_read`, when it is fetched again"),
            Told("`is_read` of `last_message`, when all have", &[(Status, rooms::read)]),
            Told("`message:read`", &[(Socket, conversations::read)]),
            Told("`messages_read`", &[(Socket, direct::read)]),
        ],
    ),
    (
        Kind::OwnRead,
        [
            Told("`messages_read`", &[(Socket, native::read)]),
            Told("`poll/updates`", &[(Updates, longpoll::unread)]),
            Told("`unread_count`", &[(Status, rooms::unread)]),
            Told(
                "`message:read`, `conversation:updated`",
                &[(Socket, conversations::read), (Socket, conversations::unread)],
            ),
            Told("`messages_read`", &[(Socket, direct::read)]),
        ],
    ),
    (
        Kind::Delivered,
        [
            Told("`message_delivered`", &[(Socket, native::delivered)]),
            NO_RECEIPT,
            NO_RECEIPT,
            NO_RECEIPT,
            Told("`message_delivered`", &[(Socket, direct::delivered)]),
        ],
    ),
    (
        Kind::TypingStart,
        [
            Told("`typing`", &[(Socket, native::typing)]),
            Told("`typing/status`", &[(Status, shown::typing)]),
            Told("`typing`, `typing_user`", &[(Socket, rooms::typing), (Status, shown::typing)]),
            Told("`typing:status`", &[(Socket, conversations::typing)]),
            Told("`user_typing`", &[(Socket, direct::typing)]),
        ],
    ),
    (
        Kind::TypingStop,
        [
            Told("`typing`", &[(Socket, native::stopped)]),
            Told("`typing/status`", &[(Status, shown::stopped)]),
            Told("`typing`, `typing_user`", &[(Socket, rooms::stopped), (Status, shown::stopped)]),
            Told("`typing:status`", &[(Socket, conversations::stopped)]),
            Told("`user_stopped_typing`", &[(Socket, direct::stopped)]),
        ],
    ),
    (
        Kind::PresenceOn,
        [
            Told("`presence`", &[(Socket, native::online)]),
            Told("`presence/status`", &[(Status, shown::online)]),
            NO_PRESENCE,
            NO_PRESENCE,
            Told("`user_online`", &[(Socket, direct::online)]),
        ],
    ),
    (
        Kind::PresenceOff,
        [
            Told("`presence`", &[(Socket, native::offline)]),
            Told("`presence/status`", &[(Status, shown::offline)]),
            NO_PRESENCE,
            NO_PRESENCE,
            Told("`user_offline`", &[(Socket, direct::offline)]),
        ],
    ),
    (
        Kind::MemberAdded,
        [
            Told("`thread_joined`", &[(Socket, native::joined)]),
            Never("listed with the threads"),
            Told("`participants`", &[(Status, shown::joined)]),
            LISTED,
            TWO,
        ],
    ),
    (
        Kind::MemberRemoved,
        [
            Told("`thread_left`", &[(Socket, native::left)]),
            Never("listed with the threads"),
            Told("`participants`", &[(Status, shown::left)]),
            LISTED,
            TWO,
        ],
    ),
];

/// What a dialect says of a kind.
pub(super) fn cell(kind: Kind, dialect: Dialect) -> &'static Cell {
    let row = SPEC.iter().find(|(one, _)| *one == kind).expect("a row for each kind");
    &row.1[DIALECTS.iter().position(|one| *one == dialect).expect("a column for each dialect")]
}

/// By what something can be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// Plain SQL, as any service may write it.
    Sql,
    /// The same, with the message's row deleted instead of marked.
    SqlRow,
    NativeRest,
    NativeSocket,
    Longpoll,
    RoomsRest,
    RoomsSocket,
    ConversationsRest,
    ConversationsSocket,
    DirectRest,
    DirectSocket,
}

use Origin::{
    ConversationsRest, ConversationsSocket, DirectRest, DirectSocket, Longpoll, NativeRest,
    NativeSocket, RoomsRest, RoomsSocket, Sql, SqlRow,
};

/// The second table: the origins of each kind. Typing and presence are said and not stored, so SQL only ends them; the
/// dialects have no word for editing, deleting and membership.
pub(super) fn origins(kind: Kind) -> &'static [Origin] {
    match kind {
        Kind::Message => &[
            Sql,
            NativeRest,
            NativeSocket,
            Longpoll,
            RoomsRest,
            RoomsSocket,
            ConversationsRest,
            ConversationsSocket,
            DirectRest,
            DirectSocket,
        ],
        Kind::Edit | Kind::MemberAdded | Kind::MemberRemoved => &[Sql],
        Kind::Delete => &[Sql, SqlRow],
        Kind::Read | Kind::OwnRead => &[
            Sql,
            NativeRest,
            NativeSocket,
            Longpoll,
            RoomsRest,
            ConversationsRest,
            ConversationsSocket,
            DirectRest,
            DirectSocket,
        ],
        Kind::Delivered => &[Sql, NativeSocket, DirectSocket],
        Kind::TypingStart => {
            &[NativeSocket, Longpoll, RoomsRest, RoomsSocket, ConversationsSocket, DirectSocket]
        }
        // SQL ends typing by a message of the typist's.
        Kind::TypingStop => &[
            Sql,
            NativeSocket,
            Longpoll,
            RoomsRest,
            RoomsSocket,
            ConversationsSocket,
            DirectSocket,
        ],
        // A request over REST is a sign of life.
        Kind::PresenceOn => {
            &[NativeSocket, Longpoll, RoomsRest, RoomsSocket, ConversationsSocket, DirectSocket]
        }
        // SQL ends presence by revoking the token.
        Kind::PresenceOff => {
            &[Sql, NativeSocket, Longpoll, RoomsSocket, ConversationsSocket, DirectSocket]
        }
    }
}

impl Origin {
    /// Whether it can write to a thread.
    pub(super) fn reaches(self, place: Place) -> bool {
        !matches!(self, DirectRest | DirectSocket) || place == Place::Direct
    }
}

/// The README's table.
pub(super) fn readme() -> Vec<String> {
    let names: Vec<_> = DIALECTS.iter().map(|dialect| format!(" `{}` |", dialect.name())).collect();
    let mut lines = vec![
        format!("| what happens |{}", names.concat()),
        format!("| --- |{}", " --- |".repeat(DIALECTS.len())),
    ];
    for (kind, cells) in SPEC {
        let words = cells.iter().map(|cell| match cell {
            Told(words, _) => format!(" {words} |"),
            Never(why) => format!(" – ({why}) |"),
        });
        lines.push(format!("| {kind} |{}", words.collect::<String>()));
    }
    lines
}
