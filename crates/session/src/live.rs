//! What the guard answers.

use std::fmt;

use portcullis_core::Timestamp;

use crate::state::Row;
use crate::{Demand, Factor, RefreshToken, SessionId};

/// A session that was alive at the instant asked about; made by [`crate::Sessions`] alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Live {
    session: SessionId,
    row: Row,
}

impl Live {
    pub(crate) fn new(session: SessionId, row: Row) -> Self {
        Self { session, row }
    }

    /// Its name.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Whose it is: the id the application gave.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.row.user
    }

    /// What the user showed in it, each method once, at its latest.
    #[must_use]
    pub fn factors(&self) -> &[Factor] {
        &self.row.factors
    }

    /// Whether the user has shown what `demand` asks for; at no instant before the last refresh.
    #[must_use]
    pub fn meets(&self, demand: &Demand, now: Timestamp) -> bool {
        demand.is_met_by(&self.row.factors, self.row.present(now))
    }

    /// The epoch of the credential it was started with; one that has moved on since (a changed
    /// password) is the application's sign to revoke.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.row.epoch
    }

    /// When it was started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.row.created
    }

    /// When its refresh token was last replaced, or given first.
    #[must_use]
    pub fn refreshed_at(&self) -> Timestamp {
        self.row.rotated
    }

    /// When it ends if it is neither refreshed nor touched.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.row.idle
    }

    /// When it ends whatever happens.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.row.absolute
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// A session just started.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Started {
    /// Its name, for the access token's `sid` and the audit record.
    pub session: SessionId,
    /// The first refresh token.
    pub refresh_token: RefreshToken,
    /// Until when the refresh token can be used.
    pub refresh_expires_at: Timestamp,
    /// The sessions of the same user that had to make room, for the audit record.
    pub evicted: Vec<SessionId>,
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("session", &self.session)
            .field("refresh_expires_at", &self.refresh_expires_at)
            .field("evicted", &self.evicted)
            .finish_non_exhaustive()
    }
}

/// A refreshed session.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refreshed {
    /// Its name.
    pub session: SessionId,
    /// Whose it is.
    pub user: String,
    /// What the user showed in it; a refresh shows nothing new.
    pub factors: Vec<Factor>,
    /// The epoch of the credential it was started with. The application compares it with the
    /// credential's present one before it gives out another access token.
    pub epoch: u64,
    /// The token that replaces the one shown.
    pub refresh_token: RefreshToken,
    /// Until when the new token can be used; never later than the session's absolute end.
    pub refresh_expires_at: Timestamp,
    /// Whether this same token was given before: the one shown was its parent, still within the
    /// grace. A lost answer, a second tab, or a thief beside the owner: worth an audit record.
    pub repeated: bool,
}

impl fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshed")
            .field("session", &self.session)
            .field("refresh_expires_at", &self.refresh_expires_at)
            .field("repeated", &self.repeated)
            .finish_non_exhaustive()
    }
}
