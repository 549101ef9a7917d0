//! Guests: clients on a socket without a cursor that come, ask for what they missed, stay a while, go, and come back.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{diary::Diary, dice::Dice, sockets::Line};

/// What a dialect's client does in its own way.
pub(crate) trait Manner: Sized + Send {
    /// Comes in; what is written from here on will be told.
    fn enter(
        line: &Line,
        diary: &Diary,
        dice: &mut Dice,
    ) -> impl Future<Output = Result<Self, String>> + Send;
    /// Asks for what was missed, to the end of it.
    fn catch_up(
        &mut self,
        line: &Line,
        diary: &mut Diary,
    ) -> impl Future<Output = Result<(), String>> + Send;
    /// Waits for what is told next; cancelling it loses nothing.
    fn listen(&mut self, diary: &mut Diary) -> impl Future<Output = Result<(), String>> + Send;
    /// Says goodbye.
    fn leave(self) -> impl Future<Output = ()> + Send;
}

/// Lives a guest's life; returns what it heard.
pub(crate) async fn live<M: Manner>(mut line: Line, mut diary: Diary, mut dice: Dice) -> Diary {
    let mut gives_up = None;
    while !diary.is_complete() {
        if line.is_over(&mut gives_up) {
            diary.errors.push("the last messages did not come".to_owned());
            return diary;
        }
        diary.visits += 1;
        if visit::<M>(&mut line, &mut diary, &mut dice).await.is_err() {
            tokio::time::sleep(dice.millis(30, 150)).await;
        }
        if !*line.finishing.borrow() {
            let away = if dice.chance(20) { dice.millis(300, 2_500) } else { dice.millis(0, 60) };
            tokio::time::sleep(away).await;
        }
    }
    diary
}

/// One connection's life.
async fn visit<M: Manner>(
    line: &mut Line,
    diary: &mut Diary,
    dice: &mut Dice,
) -> Result<(), String> {
    let mut guest = M::enter(line, diary, dice).await?;
    // In place first, asked then: what the answer lacks will be told.
    guest.catch_up(line, diary).await?;
    let mut until = Instant::now() + dice.millis(50, line.longest);
    let politely = dice.chance(50);
    while !diary.is_complete() {
        let finishing = *line.finishing.borrow_and_update();
        if finishing {
            until = until.max(Instant::now() + line.patience);
        }
        tokio::select! {
            told = timeout_at(until, guest.listen(diary)) => match told {
                Ok(told) => told?,
                Err(_) => break,
            },
            _ = line.finishing.changed(), if !finishing => {}
        }
    }
    if politely {
        guest.leave().await;
    }
    Ok(())
}

/// Asks over HTTP; a refusal that is no fault of the database or the bridge being away is noted as an error.
pub(crate) async fn ask<T: serde::de::DeserializeOwned>(
    request: reqwest::RequestBuilder,
    diary: &mut Diary,
) -> Result<T, String> {
    let answer = request.timeout(Duration::from_secs(75)).send().await;
    let answer = answer.map_err(|error| error.to_string())?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| error.to_string())?;
    if !status.is_success() {
        if status.as_u16() < 500 {
            diary.errors.push(format!("{status}: {text}"));
        }
        return Err(status.to_string());
    }
    serde_json::from_str(&text).map_err(|error| {
        diary.errors.push(format!("{error}: {text}"));
        error.to_string()
    })
}
