//! How the bridge itself is set up: who may connect, who may look, how many.

use std::net::IpAddr;

use super::check::Check;
use crate::config::Config;

/// Files beside clients' connections and the pool: listeners, logs, the program itself.
const OTHER_FILES: u64 = 64;

pub(super) fn checks(config: &Config) -> Vec<Check> {
    let mut checks = vec![origins(&config.allowed_origins), admin(config.admin_host)];
    let wanted = config.limits.max_connections.saturating_add(config.database.pool_size);
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    if let Some((soft, hard)) = open_files() {
        checks.push(files(soft, hard, wanted));
    }
    checks
}

fn origins(allowed: &[String]) -> Check {
    let any = allowed.iter().any(|origin| origin == "*");
    Check::new(
        "allowed origins",
        !any,
        if any { "any website".to_owned() } else { allowed.join(", ") },
        "export ROWCAST_ALLOWED_ORIGINS=https://app.example.com # where your pages are",
    )
}

fn admin(host: IpAddr) -> Check {
    let private = match host {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    Check::new("admin address", private, host.to_string(), "export ROWCAST_ADMIN_HOST=127.0.0.1")
}

fn files(soft: u64, hard: u64, wanted: u64) -> Check {
    let remedy = if hard >= wanted {
        format!("ulimit -S -n {wanted} # in a systemd unit: LimitNOFILE={wanted}")
    } else {
        let fewer = hard.min(soft.max(hard)).saturating_sub(2 * OTHER_FILES).max(1);
        format!(
            "export ROWCAST_MAX_CONNECTIONS={fewer} # or as root: LimitNOFILE={wanted} in the unit\n\
             ulimit -S -n {hard}"
        )
    };
    Check::new(
        "open files",
        soft >= wanted,
        format!("{soft} may be open, {wanted} are wanted"),
        remedy,
    )
}

/// The soft and the hard limit, where the system tells.
fn open_files() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find(|line| line.starts_with("Max open files"))?;
    let number = |word: &str| if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() };
    let mut words = line.trim_start_matches("Max open files").split_whitespace();
    Some((number(words.next()?)?, number(words.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn an_admin_address_is_private_or_complained_of() {
        for (host, fine) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("fd00::1", true),
            ("::1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("203.0.113.7", false),
        ] {
            let check = admin(host.parse().expect("an address"));
            assert_eq!(check.state == State::Ok, fine, "{host}");
        }
    }
}
