//! A member of a channel: what the policies of `realtime.messages` let the role hear, as in the `supabase` dialect.

use serde_json::{Value, json};

use super::{LAGGED, MAILBOX, RESYNC, Said, gap, hidden};
use crate::{
    app::admin::shown,
    claims::Claims,
    error::Result,
    session::{
        Follower, Next, Services,
        permit::{Rights, Subject},
        starting,
    },
    signal::{Said as Spoken, Signal},
    topic::Topic,
};

/// Why a broadcast does not come.
const NO_POLICY: &str =
    "no policy on realtime.messages lets this role with these claims hear the channel";

pub(super) struct Channel {
    follower: Follower,
    rights: Rights,
}

impl Channel {
    /// Joins `channel:private:NAME` or `channel:public:NAME`; `channel:NAME` is the private one.
    pub(super) async fn join(
        services: &Services,
        topic: &Topic,
        claims: &Claims,
    ) -> Result<(Self, Value)> {
        let full = topic.as_str();
        let name = full.strip_prefix("channel:").unwrap_or_default();
        let (is_private, name) = match (name.strip_prefix("public:"), name.strip_prefix("private:"))
        {
            (Some(name), _) => (false, name),
            (_, Some(name)) => (true, name),
            (None, None) => (true, name),
        };
        let kind = if is_private { "private" } else { "public" };
        let place = Topic::parse(&format!("channel:{kind}:{name}"))?;
        let who = Subject::new(claims);
        let rights = match is_private {
            true => services.permit.may_read(&who, name, "{}", true).await?,
            false if services.settings.now().supabase.private_only => Rights::default(),
            false => Rights { broadcast: true, presence: true },
        };
        let (hub, pool) = (&services.hub, services.pool.clone());
        let follower = Follower::open(hub, pool, MAILBOX, std::slice::from_ref(&place));
        let words = json!({
            "topic": place.as_str(),
            "role": who.role(),
            "hears": rights.broadcast,
            "presence": rights.presence,
            "why": if rights.broadcast { None } else { Some(NO_POLICY) },
        });
        Ok((Self { follower: follower.ok_or_else(starting)?, rights }, words))
    }

    /// Waits for what comes and says of each whether the member gets it.
    pub(super) async fn next(&mut self, out: &mut Vec<Said>) -> Result<()> {
        let mut came = Vec::new();
        self.follower.next(&mut came).await?;
        for next in came {
            match next {
                Next::Change(delivery, _) if self.rights.broadcast => {
                    out.push(("shown", shown::whole(&delivery.change)));
                }
                Next::Change(delivery, _) => out.push(hidden(&delivery.change, NO_POLICY)),
                Next::Signal(signal) => out.extend(self.said(&signal)),
                Next::Lagged => out.push(gap(LAGGED)),
                Next::Resync => out.push(gap(RESYNC)),
                Next::Heed(_) => {}
            }
        }
        Ok(())
    }

    fn said(&self, signal: &Signal) -> Option<Said> {
        let (hears, event, text) = match signal {
            Signal::Broadcast(broadcast) => {
                let text = match &broadcast.said {
                    Spoken::Json(text) | Spoken::Message(text) => {
                        text.chars().take(2_000).collect()
                    }
                    Spoken::Bytes(bytes) => format!("{} bytes", bytes.len()),
                };
                (self.rights.broadcast, broadcast.event.clone(), text)
            }
            Signal::Moves(moves) => {
                let text = format!("joined {}, left {}", moves.joins, moves.leaves);
                (self.rights.presence, "presence".to_owned(), text.chars().take(2_000).collect())
            }
            Signal::Typing { .. } | Signal::Presence { .. } => return None,
        };
        let said = match hears {
            true => json!({ "event": event, "text": text }),
            false => json!({ "event": event, "why": NO_POLICY }),
        };
        Some(("signal", said.to_string()))
    }
}
