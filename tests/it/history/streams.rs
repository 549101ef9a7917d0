//! Clients on Server-Sent Events that come back by `Last-Event-ID`, as a browser does: ids only, nothing read from data.

use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::{dice::Dice, inbox::Inbox, sockets::Line};

/// Lives a client's life; returns what it got.
pub(crate) async fn live(mut line: Line, mut inbox: Inbox, mut dice: Dice) -> Inbox {
    let http = reqwest::Client::new();
    let mut last_id: Option<String> = None;
    let mut gives_up = None;
    while !inbox.is_complete() {
        if *line.finishing.borrow() {
            let end = *gives_up.get_or_insert_with(|| Instant::now() + line.patience);
            if Instant::now() >= end {
                inbox.errors.push("the last messages did not come".to_owned());
                return inbox;
            }
        }
        inbox.come();
        let stay = dice.millis(50, line.longest);
        let end = visit(&mut line, &http, &mut inbox, &mut last_id, stay).await;
        inbox.go(end);
        tokio::time::sleep(dice.millis(10, 200)).await;
    }
    inbox
}

async fn visit(
    line: &mut Line,
    http: &reqwest::Client,
    inbox: &mut Inbox,
    last_id: &mut Option<String>,
    stay: std::time::Duration,
) -> String {
    let url = format!("http://{}/api/chat/events", line.address);
    let mut request = http.get(url).bearer_auth(&line.token);
    if let Some(id) = last_id.as_deref() {
        request = request.header("last-event-id", id);
    }
    let response = match request.send().await {
        Ok(response) if response.status().is_success() => response,
        Ok(response) => return format!("refused with {}", response.status()),
        Err(error) => return format!("error: {error}"),
    };
    let mut body = response.bytes_stream();
    let mut buffer = Vec::new();
    let mut until = Instant::now() + stay;
    loop {
        let finishing = *line.finishing.borrow_and_update();
        if finishing {
            until = until.max(Instant::now() + line.patience);
        }
        let part = tokio::select! {
            part = timeout_at(until, body.next()) => part,
            _ = line.finishing.changed(), if !finishing => continue,
        };
        match part {
            Ok(Some(Ok(bytes))) => buffer.extend_from_slice(&bytes),
            Ok(Some(Err(error))) => return format!("error: {error}"),
            Ok(None) => return "ended".to_owned(),
            Err(_) => return "left".to_owned(),
        }
        while let Some(end) = buffer.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = buffer.drain(..end + 2).collect();
            let event = String::from_utf8(event).expect("UTF-8");
            for text in event.lines() {
                if let Some(data) = text.strip_prefix("data:") {
                    inbox.take(data.trim_start(), false);
                } else if let Some(id) = text.strip_prefix("id:") {
                    *last_id = Some(id.trim().to_owned());
                }
            }
        }
        if inbox.is_complete() {
            return "done".to_owned();
        }
    }
}
