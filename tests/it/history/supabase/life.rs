//! A subscriber's life: it connects, joins from where it stands, stays, goes or is cut off, and comes back.

use std::time::Duration;

use tokio::time::{Instant, interval, timeout_at};

use super::{
    super::{dice::Dice, io::in_time, sockets::Line},
    notebook::Notebook,
    wire::{Came, Wire},
};

/// A client of the library beats every 25 s; these do not live as long.
const BEAT: Duration = Duration::from_millis(700);
/// What a join is refused with while the database or the bridge is away. Anything else is a fault.
const PASSING: &str = "UnableToConnectToProject";

/// What a client is told whose mailbox was full.
const LAGGED: &str = "Too slow: some broadcasts were dropped";

/// Lives a client's life; returns what it applied.
pub(crate) async fn live(
    mut line: Line,
    tokens: [String; 2],
    mut notebook: Notebook,
    mut dice: Dice,
) -> Notebook {
    let mut gives_up = None;
    while !notebook.is_complete() {
        if line.is_over(&mut gives_up) {
            notebook.errors.push("the last messages did not come".to_owned());
            return notebook;
        }
        if visit(&mut line, &tokens, &mut notebook, &mut dice).await.is_err() {
            tokio::time::sleep(dice.millis(30, 150)).await;
        }
        if !*line.finishing.borrow() {
            let away = if dice.chance(20) { dice.millis(300, 2_500) } else { dice.millis(0, 60) };
            tokio::time::sleep(away).await;
        }
    }
    notebook
}

/// One connection's life.
async fn visit(
    line: &mut Line,
    [token, fresh]: &[String; 2],
    notebook: &mut Notebook,
    dice: &mut Dice,
) -> Result<(), String> {
    let mut wire = Wire::open(line, token).await?;
    let options = notebook.come();
    wire.join(token, notebook.asked(), options).await?;
    in_time(joined(&mut wire, notebook)).await?;
    let mut until = Instant::now() + dice.millis(50, line.longest);
    let mut beats = interval(BEAT);
    let (refreshes, politely) = (dice.chance(25), dice.chance(50));
    let mut unanswered = 0;
    while !notebook.is_complete() {
        let finishing = *line.finishing.borrow_and_update();
        if finishing {
            until = until.max(Instant::now() + line.patience);
        }
        let came = tokio::select! {
            came = timeout_at(until, wire.next()) => came,
            _ = beats.tick() => {
                wire.beat().await?;
                unanswered += 1;
                if refreshes && unanswered == 1 {
                    wire.refresh(fresh).await?;
                }
                // A connection that is dead without a word, as the library finds it out.
                if unanswered > 20 {
                    return Err("no heartbeat".to_owned());
                }
                continue;
            }
            _ = line.finishing.changed(), if !finishing => continue,
        };
        match came {
            Ok(came) => match came? {
                Came::Reply { .. } => unanswered = 0,
                came => take(came, notebook)?,
            },
            Err(_) => break,
        }
    }
    if politely {
        wire.leave().await;
    }
    Ok(())
}

/// Waits until the join is answered.
async fn joined(wire: &mut Wire, notebook: &mut Notebook) -> Result<(), String> {
    loop {
        match wire.next().await? {
            Came::Reply { event, status, .. } if event == "phx_join" && status == "ok" => {
                return Ok(());
            }
            Came::Reply { event, response, .. } if event == "phx_join" => {
                let reason = response["reason"].as_str().unwrap_or_default().to_owned();
                if !reason.starts_with(PASSING) {
                    notebook.errors.push(format!("refused: {reason}"));
                }
                return Err(reason);
            }
            came => take(came, notebook)?,
        }
    }
}

fn take(came: Came, notebook: &mut Notebook) -> Result<(), String> {
    match came {
        Came::Change(data) => notebook.change(data),
        // Of changes none are dropped: they are read from the log.
        Came::System { message, .. } if message == LAGGED => {}
        Came::System { status, message, .. } if status != "ok" => notebook.errors.push(message),
        Came::System { cursor: Some(cursor), .. } => notebook.stand(cursor),
        Came::Ended(event) => return Err(event),
        Came::System { .. } | Came::Reply { .. } | Came::Other => {}
    }
    Ok(())
}
