//! A channel's token: a fresh one on the way, one that ends, and what it makes of the rights.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{
    bearer::{self, Bearer, Denied},
    channel::{Channel, Desk, Rights},
    codec::{Payload, Push},
    private,
    work::What,
};
use crate::{auth::Refusal, session::expiry, topic::Topic};

/// While another question is open, or the database is away.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Fresh {
    #[serde(default)]
    access_token: Option<String>,
}

impl Channel {
    /// Takes a fresh token; the same one, or one that is no user's, changes nothing.
    pub(super) fn token(&mut self, push: &Push, desk: &mut Desk<'_>) {
        let Payload::Json(payload) = &push.payload else { return };
        let fresh: Option<Fresh> = serde_json::from_str(payload.get()).ok();
        let Some(token) = fresh.and_then(|fresh| fresh.access_token) else { return };
        if bearer::is_opaque(&token) || self.bearer.is(&token) {
            return;
        }
        self.wait();
        let (services, headers) = desk.parts();
        let (name, private) = (self.name().to_owned(), self.join.private);
        let presence = self.rights.see.is_some();
        desk.works.start(self, async move {
            let renewed = async {
                let bearer =
                    Bearer::verify(&services, &token).await.map_err(|denied| denied.words())?;
                let rights = if private {
                    let read = private::read(&services, &bearer, &name, &headers, presence).await;
                    read.map_err(|error| private::words(&error, &name))?
                } else {
                    Rights::ALL
                };
                Ok((bearer, rights))
            };
            What::Renewed(renewed.await)
        });
    }

    /// Where it is told that the token was revoked.
    pub(super) fn revocation(&self) -> Option<Topic> {
        self.bearer.claims.revocation.clone()
    }

    /// Asks once more whether the token was revoked: from when it was asked first until now nobody listened.
    pub(super) fn look_again(&self, desk: &Desk<'_>) {
        if self.bearer.claims.jti.is_none() {
            return;
        }
        let (services, bearer) = (desk.services.clone(), self.bearer.clone());
        desk.works.start(self, async move {
            loop {
                match bearer.stands(&services).await {
                    Ok(()) => return What::Stands,
                    Err(Denied::Away) => sleep(AGAIN).await,
                    Err(denied) => return What::Revoked(denied.words()),
                }
            }
        });
    }

    /// Looks at the token, and at the rights in a private channel, when it is time to.
    pub(super) fn check(&mut self, desk: &mut Desk<'_>) {
        let now = jiff::Timestamp::now().as_second();
        let ended = now - self.bearer.claims.exp;
        if ended >= 0 {
            self.over = Some(Denied::Token(Refusal::Expired(ended)).words());
            return;
        }
        if self.is_asking() {
            self.check_at = Instant::now() + AGAIN;
            return;
        }
        self.next_check();
        if !self.join.private {
            return;
        }
        self.wait();
        let (services, headers) = desk.parts();
        let bearer = self.bearer.clone();
        let (name, presence) = (self.name().to_owned(), self.rights.see.is_some());
        desk.works.start(self, async move {
            match private::read(&services, &bearer, &name, &headers, presence).await {
                Ok(rights) => What::Renewed(Ok((bearer, rights))),
                // The database is away for a moment; what was allowed stays so until it can be asked.
                Err(error) if error.is_ours() => What::Checked,
                Err(error) => What::Renewed(Err(private::words(&error, &name))),
            }
        });
    }

    /// Goes on with a fresh token.
    pub(super) fn renewed(
        &mut self,
        renewed: Result<(Bearer, Rights), String>,
        desk: &mut Desk<'_>,
    ) {
        match renewed {
            Ok((_, rights)) if !rights.hear && rights.see != Some(true) => {
                let name = self.name();
                self.over = Some(format!(
                    "You no longer have permission to read from this Channel topic: {name}"
                ));
            }
            Ok((bearer, rights)) => {
                // What may be written is asked again when it matters.
                self.rights = rights;
                let fresh = !self.bearer.is_same(&bearer);
                self.bearer = bearer;
                self.next_check();
                if let Some(renewed) = self.renewed.as_ref().filter(|_| fresh) {
                    let _ = renewed.send(self.bearer.clone());
                }
            }
            Err(words) => self.over = Some(words),
        }
        self.go_on(desk);
    }

    /// Sets when the token, and what its bearer may do, are looked at again.
    pub(super) fn next_check(&mut self) {
        self.check_at =
            expiry(self.bearer.claims.exp).min(Instant::now() + self.recheck.max(AGAIN));
    }
}
