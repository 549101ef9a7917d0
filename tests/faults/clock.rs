//! Clocks that are set: that of Postgres forward and back, under traffic, with the bridge or Postgres killed; the bridge's own.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::{connect_async, tungstenite::Error};

use super::{LONG_NODES, NODES, play, report::Report};
use crate::{
    faults::{PAIR, messages, say},
    harness::app::{self, Socket, token_with},
    history::{
        Size, Totals,
        ground::{Clock, Ground, Terrain},
        trouble::Fault::{
            BridgeClock, ClockBack, ClockBackAndBridge, ClockBackAndRestart, ClockForthAndBack,
            ClockForward, ClockForwardAndPostgres,
        },
    },
};

const HOUR: i64 = 3_600;

/// Clients of all dialects while clocks are set.
const CLOCKS: Size = Size {
    sockets: 12,
    streams: 2,
    changes: 400,
    trouble: &[
        (ClockForward, 1),
        (ClockBack, 2),
        (ClockForthAndBack, 1),
        (ClockBackAndBridge, 1),
        (ClockBackAndRestart, 1),
        (ClockForwardAndPostgres, 1),
        (BridgeClock, 1),
    ],
    within: Duration::from_millis(2_500),
    terrain: Terrain::Clocks,
    ..NODES
};

const LONG_CLOCKS: Size = Size {
    sockets: 40,
    changes: 4_000,
    trouble: &[
        (ClockForward, 3),
        (ClockBack, 8),
        (ClockForthAndBack, 4),
        (ClockBackAndBridge, 3),
        (ClockBackAndRestart, 2),
        (ClockForwardAndPostgres, 2),
        (BridgeClock, 6),
    ],
    within: Duration::from_secs(30),
    terrain: Terrain::Clocks,
    ..LONG_NODES
};

pub(super) async fn schedules(report: &mut Report, seed: u64, long: bool) {
    if !Clock::can_be_made() {
        return report.skip("clocks set", "that takes Linux and a C compiler");
    }
    play(report, seed, "clocks set", if long { &LONG_CLOCKS } else { &CLOCKS }).await;
    bridge(report).await;
}

/// What the bridge's own clock decides: whether a token is good. Whose is stays in and gets everything.
async fn bridge(report: &mut Report) {
    let ground = Ground::start_on(Terrain::Clocks, PAIR, &[], &[]).await;
    let clock = ground.clock.as_ref().expect("a clock of its own");
    let now = app::now();
    let of = |claims: serde_json::Value| {
        let mut payload = json!({ "sub": "1", "exp": now + 600 });
        payload
            .as_object_mut()
            .expect("an object")
            .extend(claims.as_object().expect("one").clone());
        token_with(&payload)
    };
    let (plain, begun) = (of(json!({})), of(json!({ "nbf": now })));
    let lasting = of(json!({ "exp": now + 7_200 }));
    let url = format!("ws://{}/ws?token={lasting}", ground.bridge.address);
    let mut live = Socket(connect_async(url).await.expect("a socket").0);
    live.until("connection_established").await;
    let mut written = 0;
    for (set, plain_is_good, begun_is_good) in [
        (0, true, true),
        (HOUR, false, false),
        (-HOUR, true, true),
        (-HOUR, true, false),
        (HOUR, true, true),
    ] {
        clock.step(set);
        assert_eq!(admitted(&ground, &plain).await, plain_is_good, "{set}");
        assert_eq!(admitted(&ground, &begun).await, begun_is_good, "{set}");
        assert_eq!(ground.bridge.ready().await, Some(200), "{set}");
        written += 1;
        ground.sql(&say(format!("word {written}"))).await;
        assert_eq!(messages(&mut live, 1).await.0, [format!("word {written}")]);
    }
    let totals = Totals { changes: written, clients: 11, deliveries: written, ..Totals::default() };
    report.add("the bridge's clock an hour off", totals, 4, "bridge clock 4");
}

/// Whether somebody is let in with a token; else it is for the token.
async fn admitted(ground: &Ground, token: &str) -> bool {
    match connect_async(format!("ws://{}/ws?token={token}", ground.bridge.address)).await {
        Ok(_) => true,
        Err(Error::Http(answer)) => {
            let body = answer.body().as_deref().unwrap_or_default();
            assert_eq!(answer.status().as_u16(), 401, "{}", String::from_utf8_lossy(body));
            false
        }
        Err(error) => panic!("{error}"),
    }
}
