//! Every kind of event by every origin in every dialect: who may see it gets it once, in the dialect's own shape.
//!
//! `table` is the specification. After each event a marker is written: once a client has that, it has all that came before.

mod hands;
mod round;
mod screens;
mod shapes;
mod table;
mod wire;
mod world;

use std::{fs, path::Path};

use self::{
    round::{PLACES, Round},
    table::{Cell, DIALECTS, Origin, SPEC, origins},
    world::{ADA, Fact, GRACE, Kind, LINUS, NILS, Place},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialect_tells_what_it_can_of_every_origin_once() {
    let mut round = Round::new().await;
    for place in PLACES {
        for kind in
            [Kind::Message, Kind::Edit, Kind::Delete, Kind::Read, Kind::OwnRead, Kind::Delivered]
        {
            for origin in origins(kind).iter().filter(|origin| origin.reaches(place)) {
                changed(&mut round, kind, place, *origin).await;
            }
        }
        for origin in origins(Kind::TypingStop).iter().filter(|origin| origin.reaches(place)) {
            typed(&mut round, place, *origin).await;
        }
    }
    for kind in [Kind::MemberAdded, Kind::MemberRemoved] {
        changed(&mut round, kind, Place::Group, Origin::Sql).await;
    }
    for origin in origins(Kind::PresenceOn) {
        came_and_went(&mut round, *origin, *origin).await;
    }
    came_and_went(&mut round, Origin::NativeSocket, Origin::Sql).await;
    round.verdict();
}

/// A change of rows, then the marker.
async fn changed(round: &mut Round, kind: Kind, place: Place, origin: Origin) {
    let mut fact = Fact::new(kind, place, if kind == Kind::OwnRead { GRACE } else { ADA });
    match kind {
        Kind::Edit => (fact.message, _) = round.said(ADA, place).await,
        Kind::Delete => {
            fact.content = round.said(ADA, place).await.1;
            (fact.message, _) = round.said(ADA, place).await;
            fact.unread = round.unread(place).await - 1;
        }
        Kind::Read | Kind::Delivered => {
            (fact.message, _) = round.said(GRACE, place).await;
            if kind == Kind::Read && place == Place::Group {
                round.hands.read(LINUS, place, Origin::Sql).await;
            }
        }
        Kind::OwnRead => (fact.message, _) = round.said(ADA, place).await,
        _ => {}
    }
    round.begin();
    let (id, thread) = (fact.message.0, place.id());
    match kind {
        Kind::Message => {
            fact.content = round.word();
            round.hands.say(ADA, place, &fact.content, origin).await;
        }
        Kind::Edit => {
            fact.content = round.word();
            let set = format!("set content = '{}'", fact.content);
            round.hands.sql(&format!("update chat.messages {set} where id = {id}")).await;
        }
        Kind::Delete if origin == Origin::SqlRow => {
            round.hands.sql(&format!("delete from chat.messages where id = {id}")).await;
        }
        Kind::Delete => {
            let set = "set deleted_at = now()";
            round.hands.sql(&format!("update chat.messages {set} where id = {id}")).await;
        }
        Kind::Delivered => round.hands.receive(ADA, place, &fact.message.1, origin).await,
        Kind::MemberAdded => {
            fact.who = NILS;
            let row = format!("(thread_id, user_id) values ({thread}, {})", NILS.0);
            round.hands.sql(&format!("insert into chat.members {row}")).await;
        }
        Kind::MemberRemoved => {
            fact.who = NILS;
            let gone = format!("thread_id = {thread} and user_id = {}", NILS.0);
            round.hands.sql(&format!("delete from chat.members where {gone}")).await;
        }
        _ => round.hands.read(fact.who, place, origin).await,
    }
    round.told(&fact, origin).await;
    round.mark().await;
    round.check(&fact, origin);
}

/// Typing and its end; the marker of each is the next of them.
async fn typed(round: &mut Round, place: Place, origin: Origin) {
    let begins_by = if origin == Origin::Sql { Origin::RoomsRest } else { origin };
    let start = Fact::new(Kind::TypingStart, place, ADA);
    let stop = Fact::new(Kind::TypingStop, place, ADA);
    round.begin();
    round.hands.typing(ADA, place, true, begins_by).await;
    round.told(&start, begins_by).await;
    let began = round.places();
    round.hands.typing(ADA, place, false, origin).await;
    round.told(&stop, origin).await;
    round.mark_typing().await;
    round.check(&start, begins_by);
    round.begin_at(began);
    round.hands.typing(ADA, place, true, Origin::RoomsRest).await;
    round.told(&start, Origin::RoomsRest).await;
    round.check(&stop, origin);
    round.begin();
    round.hands.typing(ADA, place, false, Origin::RoomsRest).await;
    round.told(&stop, Origin::RoomsRest).await;
}

/// Coming and going; the marker of each is the next of them.
async fn came_and_went(round: &mut Round, by: Origin, ends_by: Origin) {
    let on = Fact::new(Kind::PresenceOn, Place::Group, LINUS);
    let off = Fact::new(Kind::PresenceOff, Place::Group, LINUS);
    round.begin();
    let here = round.hands.arrive(by).await;
    round.told(&on, by).await;
    let began = round.places();
    round.hands.leave(ends_by, here).await;
    round.told(&off, ends_by).await;
    round.mark_presence().await;
    round.check(&on, by);
    if ends_by == Origin::Sql {
        round.hands.sql("delete from chat.revoked_tokens").await;
    }
    round.begin_at(began);
    let here = round.hands.arrive(Origin::NativeSocket).await;
    round.told(&on, Origin::NativeSocket).await;
    round.check(&off, ends_by);
    round.begin();
    round.hands.leave(Origin::NativeSocket, here).await;
    round.told(&off, Origin::NativeSocket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_one_dialect_opens_is_there_in_all() {
    let mut round = Round::new().await;
    round.begin();
    let word = round.word();
    round.hands.open_direct(NILS, GRACE, &word).await;
    round.opened(GRACE, &word).await;
    round.mark().await;
    round.check(&Fact::new(Kind::MemberAdded, Place::Direct, NILS), Origin::DirectSocket);
    round.verdict();
}

#[test]
fn the_readme_has_the_table() {
    let wanted = table::readme();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).expect("a README");
    let lines = readme.lines().skip_while(|line| *line != wanted[0]);
    let found: Vec<&str> = lines.take_while(|line| line.starts_with('|')).collect();
    let wanted_text = wanted.join("\n");
    assert!(found == wanted, "the README's table of events should be:\n\n{wanted_text}\n");
}

#[test]
fn every_kind_has_its_origins_and_every_cell_a_word() {
    for (kind, cells) in SPEC {
        assert!(!origins(*kind).is_empty(), "{kind} comes from nowhere");
        for (dialect, cell) in DIALECTS.iter().zip(cells) {
            let said = match cell {
                Cell::Told(words, shapes) => !words.is_empty() && !shapes.is_empty(),
                Cell::Never(why) => !why.is_empty(),
            };
            assert!(said, "{kind} in {dialect:?} has no word");
        }
    }
}
