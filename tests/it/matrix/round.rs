//! One round: windows over what the screens gather, waiting for what must come, markers, and the verdict.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::Value;

use super::{
    hands::Hands,
    screens::{self, Screen, is_own},
    table::{Cell, Dialect, Origin, Via, cell},
    wire::Log,
    world::{self, EVE, Fact, GRACE, Kind, MARY, Person, Place},
};

/// Where things happen.
pub(super) const PLACES: [Place; 2] = [Place::Group, Place::Direct];

/// The running bridge, its people, and what has been found wrong so far.
pub(super) struct Round {
    pub(super) hands: Hands,
    reader: Vec<Screen>,
    outsider: Vec<Screen>,
    from: Vec<usize>,
    words: usize,
    wrong: Vec<String>,
}

impl Round {
    pub(super) async fn new() -> Self {
        let app = Arc::new(world::start().await);
        let hands = Hands::new(&app).await;
        let reader = screens::open(&app, GRACE, &PLACES).await;
        let outsider = screens::open(&app, EVE, &[Place::Elsewhere]).await;
        let mut round =
            Self { hands, reader, outsider, from: Vec::new(), words: 0, wrong: Vec::new() };
        join_all(round.outsider.iter().map(|screen| screen.intrude(&PLACES))).await;
        // When everybody has had a message, the polls are under way.
        round.begin();
        round.mark().await;
        round
    }

    /// A word that nobody has said yet.
    pub(super) fn word(&mut self) -> String {
        self.words += 1;
        format!("word {} of the matrix", self.words)
    }

    /// Where every screen stands.
    pub(super) fn places(&self) -> Vec<usize> {
        self.all().map(|screen| screen.log.len()).collect()
    }

    /// Opens the window that is looked at in the end.
    pub(super) fn begin(&mut self) {
        self.from = self.places();
    }

    /// Opens it at an earlier place.
    pub(super) fn begin_at(&mut self, places: Vec<usize>) {
        self.from = places;
    }

    fn all(&self) -> impl Iterator<Item = &Screen> {
        self.reader.iter().chain(&self.outsider)
    }

    /// What somebody said by SQL, when the reader's screens have it: the message and its words.
    pub(super) async fn said(&mut self, who: Person, place: Place) -> ((i64, String), String) {
        let word = self.word();
        self.begin();
        self.hands.say(who, place, &word, Origin::Sql).await;
        let have = |screen: &&Screen| {
            screen.concerns(place) && !(who == GRACE && screen.via == Via::Updates)
        };
        let reader = self.reader.iter().zip(&self.from).filter(|(screen, _)| have(screen));
        self.mentioned(reader, &word, "a message to begin with").await;
        let sql = format!("select id, uuid::text from chat.messages where content = '{word}'");
        (self.hands.row(&sql).await, word)
    }

    /// Waits until a thread that was opened with somebody, and its first words, are on all screens that are of no other.
    pub(super) async fn opened(&self, with: Person, word: &str) {
        let screens = || self.reader.iter().zip(&self.from).filter(|(one, _)| one.place.is_none());
        let shown = screens().filter(|(screen, _)| screen.shows_messages());
        self.mentioned(shown, word, "the first message of a new thread").await;
        for (screen, from) in screens().filter(|(screen, _)| screen.dialect == Dialect::Native) {
            let joined =
                |item: &&Value| item["type"] == "thread_joined" && item["user_id"] == with.uuid();
            let items = screen.log.since(*from);
            assert_eq!(items.iter().filter(joined).count(), 1, "{items:?}");
        }
    }

    /// What grace has yet to read.
    pub(super) async fn unread(&self, place: Place) -> i64 {
        let (reader, thread) = (GRACE.0, place.id());
        let sql = format!(
            "select unread, '' from chat.unread_counts where user_id = {reader} and thread_id = {thread}"
        );
        self.hands.row(&sql).await.0
    }

    /// Waits until every screen that must tell of a fact does.
    pub(super) async fn told(&mut self, fact: &Fact, origin: Origin) {
        let missing = missing(&self.reader, &self.from, fact, origin).await;
        self.wrong.extend(missing);
    }

    /// Writes a message into every thread, and waits until everybody has it.
    pub(super) async fn mark(&mut self) {
        let word = self.word();
        let mary = MARY.0.to_string();
        let by = [(Place::Group, "null"), (Place::Direct, "null"), (Place::Elsewhere, &mary)];
        let rows = by.map(|(place, who)| format!("({}, {who}, '{word}')", place.id())).join(", ");
        let insert = "insert into chat.messages (thread_id, sender_id, content) values";
        self.hands.sql(&format!("{insert} {rows}")).await;
        let all = self.all().zip(&self.from);
        let all = all.filter(|(screen, _)| screen.shows_messages());
        self.mentioned(all, &word, "a marker").await;
    }

    async fn mentioned<'a>(
        &self,
        screens: impl Iterator<Item = (&'a Screen, &'a usize)>,
        word: &str,
        what: &str,
    ) {
        let quoted = format!("\"{word}\"");
        join_all(screens.map(async |(screen, from)| {
            let came = screen.log.has(*from, |item| item.to_string().contains(&quoted)).await;
            let Screen { dialect, via, log, .. } = screen;
            assert!(came, "{what} is missing in {dialect:?} by {via:?}: {:?}", log.since(*from));
        }))
        .await;
    }

    /// The outsider's marker of typing: mary's, whom they may see.
    pub(super) async fn mark_typing(&mut self) {
        for (kind, is_typing) in [(Kind::TypingStart, true), (Kind::TypingStop, false)] {
            self.hands.typing(MARY, Place::Elsewhere, is_typing, Origin::RoomsRest).await;
            self.outsider_told(kind).await;
        }
    }

    /// The outsider's marker of presence: mary's, who is here because she has typed.
    pub(super) async fn mark_presence(&mut self) {
        for (kind, status) in [(Kind::PresenceOff, "offline"), (Kind::PresenceOn, "online")] {
            self.hands.presence(MARY, status).await;
            self.outsider_told(kind).await;
        }
    }

    async fn outsider_told(&mut self, kind: Kind) {
        let fact = Fact::new(kind, Place::Elsewhere, MARY);
        let from = &self.from[self.reader.len()..];
        let missing = missing(&self.outsider, from, &fact, Origin::RoomsRest).await;
        self.wrong.extend(missing);
    }

    /// The marker is there: everything before it must have been told once to those who may see it, and to nobody else.
    pub(super) fn check(&mut self, fact: &Fact, origin: Origin) {
        let mut wrong = Vec::new();
        for (screen, from) in self.reader.iter().zip(&self.from) {
            let items = screen.log.since(*from);
            let mut told = false;
            for shape in screen.shapes(fact) {
                told = true;
                let times = items.iter().filter(|item| screen.fits(shape, item, fact)).count();
                if times > 1 {
                    let what = format!("came {times} times");
                    wrong.push(screen.complaint(fact, origin, &what, *from));
                }
            }
            let mentions =
                |item: &Value| item.to_string().contains(&format!("\"{}\"", fact.content));
            if !told
                && !fact.content.is_empty()
                && items.iter().any(mentions)
                && fact.kind != Kind::Delete
            {
                wrong.push(screen.complaint(fact, origin, "came all the same", *from));
            }
            if items.iter().any(|item| !item["trouble"].is_null() || item["type"] == "error") {
                wrong.push(screen.complaint(fact, origin, "trouble", *from));
            }
        }
        for (screen, from) in self.outsider.iter().zip(&self.from[self.reader.len()..]) {
            if !screen.log.since(*from).iter().all(is_own) {
                wrong.push(screen.complaint(fact, origin, "an outsider got it", *from));
            }
        }
        self.wrong.extend(wrong);
    }

    /// Fails with all that was wrong.
    pub(super) fn verdict(&self) {
        let count = self.wrong.len();
        assert!(self.wrong.is_empty(), "{count} cells are wrong:\n\n{}\n", self.wrong.join("\n\n"));
    }
}

/// Waits for a fact on all screens that must tell of it; complains of those that do not.
async fn missing(screens: &[Screen], from: &[usize], fact: &Fact, origin: Origin) -> Vec<String> {
    let waits = screens.iter().zip(from).flat_map(|(screen, from)| {
        screen.shapes(fact).map(move |shape| async move {
            let fits = |item: &Value| screen.fits(shape, item, fact);
            let came = screen.log.has(*from, fits).await;
            (!came).then(|| screen.complaint(fact, origin, "nothing came", *from))
        })
    });
    join_all(waits).await.into_iter().flatten().collect()
}

impl Screen {
    /// Whether it shows what happens in a thread.
    fn concerns(&self, place: Place) -> bool {
        let here = self.place.is_none_or(|mine| mine == place);
        here && self.dialect.knows(place) && self.shows_messages()
    }

    fn shows_messages(&self) -> bool {
        self.via != Via::Status || self.dialect == Dialect::Rooms
    }

    /// The shapes by which it must tell of a fact.
    fn shapes<'a>(&'a self, fact: &Fact) -> impl Iterator<Item = super::shapes::Shape> + use<'a> {
        let here = self.place.is_none_or(|mine| mine == fact.place);
        let presence = matches!(fact.kind, Kind::PresenceOn | Kind::PresenceOff);
        let knows = here && (presence || self.dialect.knows(fact.place));
        let shapes = match cell(fact.kind, self.dialect) {
            Cell::Told(_, shapes) if knows => *shapes,
            _ => &[],
        };
        shapes.iter().filter(|(via, _)| *via == self.via).map(|(_, shape)| *shape)
    }

    fn fits(&self, shape: super::shapes::Shape, item: &Value, fact: &Fact) -> bool {
        shape(item).is_some_and(|said| said.fits(fact, self.dialect.integers()))
    }

    /// Names the cell, with what was gathered.
    fn complaint(&self, fact: &Fact, origin: Origin, what: &str, from: usize) -> String {
        let Fact { kind, place, .. } = fact;
        let (dialect, via) = (self.dialect.name(), self.via);
        let log: &Log = &self.log;
        let gathered: Vec<String> = log.since(from).iter().map(Value::to_string).collect();
        format!(
            "{kind} by {origin:?} in {place:?}, told by {dialect} ({via:?}): {what}; expected {fact:?}; gathered\n  {}",
            gathered.join("\n  ")
        )
    }
}
