//! What a session and a dialect work with: handles, all cheap to clone.

use std::time::Duration;

use super::{Limits, Permit, Register};
use crate::{
    auth::Verifier,
    chat::Chat,
    config::{Network, Rate, Supabase},
    db::Pool,
    hub::Hub,
    lifecycle::Lifecycle,
    live::Live,
};

/// The parts of a running bridge that clients' sides need.
#[derive(Clone)]
pub struct Services {
    /// Where changes come from.
    pub hub: Hub,
    /// Connections to the database.
    pub pool: Pool,
    /// The domain's functions.
    pub chat: Chat,
    /// Who may see what.
    pub permit: Permit,
    /// Who verifies tokens.
    pub verifier: Verifier,
    /// Who is connected.
    pub register: Register,
    /// What each user may do how often.
    pub limits: Limits,
    /// Who owns the tasks.
    pub lifecycle: Lifecycle,
    /// Values from the settings, which a reload replaces.
    pub settings: Live<Settings>,
}

/// The settings that sessions read.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Largest frame or body from a client, in bytes.
    pub max_frame: usize,
    /// Changes held for one client.
    pub mailbox: usize,
    /// How long one write may take.
    pub send_deadline: Duration,
    /// Idle time until a ping.
    pub ping_interval: Duration,
    /// Sessions of all clients together.
    pub max_connections: usize,
    /// Browser origins let in; `*` for any.
    pub allowed_origins: Vec<String>,
    /// Proxies that are believed.
    pub trusted_proxies: Vec<Network>,
    /// Handshakes of one address.
    pub rate_handshakes: Option<Rate>,
    /// Failed authentications of one address.
    pub rate_failures: Option<Rate>,
    /// Credits that a message of the `direct` dialect costs.
    pub direct_price: i64,
    /// What the `supabase` dialect reads.
    pub supabase: Supabase,
}

impl Settings {
    /// Whether a browser page of that origin may connect. No origin: not a browser.
    pub fn allows_origin(&self, origin: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        self.allowed_origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}
