//! Every reason to end a session: its code, its text, and whether the client should come back.

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The client said goodbye or is gone.
    ClientLeft,
    /// The token is not or no longer good.
    Unauthenticated,
    /// The user was deactivated.
    Deactivated,
    /// The user is no longer in the one thread that the socket is for.
    Removed,
    /// The client did not read what it was sent.
    TooSlow,
    /// An operator ended the session.
    Dismissed,
    /// The client went on after being told of a limit.
    RateLimited,
    /// The server is going away.
    GoingAway,
    /// The same, where clients know the code of a restart.
    Restart,
    /// A socket for channels that has been without one for long.
    NoChannel,
    /// What came is no WebSocket frame.
    NoFrame,
    /// Text that is not UTF-8.
    NoText,
    /// Too many bad frames in a row.
    BadFrames,
    /// A frame was larger than the limit.
    TooBig,
    /// A fault of ours.
    Internal,
}

impl Reason {
    /// The WebSocket close code (RFC 6455 §7.4; 4000 and above are ours).
    pub fn code(self) -> u16 {
        match self {
            Self::ClientLeft | Self::NoChannel => 1000,
            Self::GoingAway => 1001,
            Self::NoFrame => 1002,
            Self::NoText => 1007,
            Self::BadFrames => 1008,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::Unauthenticated => 4401,
            Self::Deactivated | Self::Removed => 4403,
            Self::TooSlow => 4408,
            Self::Dismissed => 4410,
            Self::RateLimited => 4429,
        }
    }

    /// What the client is told, 123 bytes at most.
    pub fn text(self) -> &'static str {
        match self {
            Self::ClientLeft => "bye",
            Self::GoingAway => "server going away; reconnect and resume from your cursor",
            Self::Restart => "server requested disconnect; reconnect",
            Self::NoChannel => "no channel was joined for a long time",
            Self::NoFrame => "that was no WebSocket frame",
            Self::NoText => "text frames are UTF-8",
            Self::BadFrames => "too many bad frames",
            Self::TooBig => "frame too big",
            Self::Internal => {
                "something went wrong on our side; reconnect and resume from your cursor"
            }
            Self::Unauthenticated => "not or no longer authenticated; get a fresh token",
            Self::Deactivated => "account deactivated",
            Self::Removed => "no longer a participant",
            Self::TooSlow => "too slow; reconnect and resume from your cursor",
            Self::Dismissed => "ended by an operator; reconnect and resume from your cursor",
            Self::RateLimited => "rate limit",
        }
    }

    /// Whether coming back with the same token makes sense.
    pub fn retry(self) -> bool {
        !matches!(self, Self::Unauthenticated | Self::Deactivated | Self::Removed)
    }

    /// The word for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::GoingAway => "going_away",
            Self::Restart => "restart",
            Self::NoChannel => "no_channel",
            Self::NoFrame => "no_frame",
            Self::NoText => "no_text",
            Self::BadFrames => "bad_frames",
            Self::TooBig => "too_big",
            Self::Internal => "internal",
            Self::Unauthenticated => "unauthenticated",
            Self::Deactivated => "deactivated",
            Self::Removed => "removed",
            Self::TooSlow => "too_slow",
            Self::Dismissed => "dismissed",
            Self::RateLimited => "rate_limited",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_fits_a_close_frame() {
        let all = [
            Reason::ClientLeft,
            Reason::Unauthenticated,
            Reason::Deactivated,
            Reason::Removed,
            Reason::TooSlow,
            Reason::Dismissed,
            Reason::RateLimited,
            Reason::GoingAway,
            Reason::Restart,
            Reason::NoChannel,
            Reason::NoFrame,
            Reason::NoText,
            Reason::BadFrames,
            Reason::TooBig,
            Reason::Internal,
        ];
        assert!(all.iter().all(|reason| reason.text().len() <= 123));
        assert!(!Reason::Deactivated.retry() && Reason::TooSlow.retry());
    }
}
