//! `rowcast tail`: changes as they commit, a line each.

use std::{fmt::Write as _, io::IsTerminal, process::ExitCode, time::Duration};

use super::{place::Place, plain, say};
use crate::{
    change::{Change, Json, Op},
    cursor::{HistoryId, Mark, Position},
    db::{Pool, listen::Listener, types::Micros},
    error::Error,
    feed,
    lifecycle::Lifecycle,
    topic::Topic,
};

/// Nobody is given a cursor here.
const NOWHERE: HistoryId = HistoryId(0);
/// After changes, those that found the bell taken follow at once.
const SOON: Duration = Duration::from_millis(8);
/// Rings are throttled: one may have gone to somebody else's commit.
const FALLBACK: Duration = Duration::from_millis(250);
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(30);
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Topic, such as thread:42, user:7 or table:public.todos; all when not given.
    topic: Option<String>,

    /// Print each change as a JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (target, lifecycle) = (args.place.target()?, Lifecycle::new());
    let topics = args.topic.as_deref().map(Topic::parse).transpose()?.map(|topic| [topic]);
    let pool = Pool::new(&target, 1, DEADLINE, &lifecycle);
    let style = Style { json: args.json, colour: std::io::stdout().is_terminal() };
    let row = pool.query_one("select pg_current_snapshot(), rowcast.moment()", &[]).await?;
    let Micros(at) = row.try_get(1)?;
    let mut position = Position::at(Mark { snapshot: row.try_get(0)?, at });
    loop {
        let ended = async {
            let mut listener = Listener::open(&target, "rowcast", &lifecycle).await?;
            loop {
                let topics = topics.as_ref().map(<[Topic; 1]>::as_slice);
                let page = feed::replay(&pool, &position, NOWHERE, topics).await?;
                for delivery in &page.deliveries {
                    say(print(&delivery.change, style));
                }
                position = page.position;
                let wait = match (page.more, page.deliveries.is_empty()) {
                    (true, _) => continue,
                    (false, true) => FALLBACK,
                    (false, false) => SOON,
                };
                if let Ok(None) = tokio::time::timeout(wait, listener.next()).await {
                    return Err::<(), _>(Error::unavailable("the listening connection closed"));
                }
            }
        };
        if let Err(error) = ended.await {
            if !error.is_ours() {
                return Err(error.into());
            }
            error.log("following the log");
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    }
}

#[derive(Clone, Copy)]
struct Style {
    json: bool,
    colour: bool,
}

fn print(change: &Change, style: Style) -> String {
    let at = jiff::Timestamp::from_microsecond(change.at).unwrap_or_default();
    let op = change.op.as_str();
    let link = change.link.as_ref().map(ToString::to_string);
    if style.json {
        let json = |json: &Option<Json>| plain(json.as_ref().map_or("null", Json::as_str));
        let text = |text: &str| plain(&serde_json::Value::from(text).to_string());
        return format!(
            r#"{{"at":"{at}","xid":"{}","topic":{},"relation":{},"op":"{op}","key":{},"record":{},"old_record":{},"link":{}}}"#,
            change.xid,
            text(change.topic.as_str()),
            text(&change.relation),
            json(&change.key),
            json(&change.record),
            json(&change.old_record),
            link.map_or("null".to_owned(), |link| text(&link)),
        );
    }
    let paint = |code: &str, text: &str| {
        if style.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let colour = match change.op {
        Op::Insert => "32",
        Op::Update => "33",
        Op::Delete | Op::Truncate => "31",
    };
    let mut line = format!(
        "{} {} {} {}",
        paint("2", &at.strftime("%H:%M:%S%.3f").to_string()),
        paint(colour, &format!("{op:<8}")),
        paint("36", change.topic.as_str()),
        plain(&change.relation),
    );
    let shown = change.record.as_ref().or(change.old_record.as_ref()).or(change.key.as_ref());
    if let Some(shown) = shown {
        let _ = write!(line, " {}", plain(shown.as_str()));
    }
    if let Some(link) = link {
        let _ = write!(line, " {}", paint("35", &plain(&link)));
    }
    line
}
