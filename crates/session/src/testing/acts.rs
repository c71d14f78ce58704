//! A session from its start to its end, beside a plain note of what was handed out.

use std::time::Duration;

use portcullis_core::{Next, Secret, Timestamp};

use crate::decide::{self, Granted};
use crate::policy::GRACE_REPEATS;
use crate::state::{Record, Row};
use crate::token::{Keyed, Presented};
use crate::{Error, Factor, Method, Revocation, SessionId, SessionPolicy};

/// The body of the fuzz target `session_acts`: each three bytes are an act, which token it shows, counted
/// back from the newest, and how long to wait before it.
///
/// A token has one successor; it is given again within the grace and only so often; an older token ends
/// the family; an ended session stays ended, and one past either end is over; a token that nobody made
/// changes nothing.
///
/// # Panics
/// When one of those does not hold.
pub fn fuzz_session_acts(data: &[u8]) {
    let Some(mut client) = Client::new() else {
        return;
    };
    for [act, which, wait] in data.as_chunks().0 {
        let wait = WAITS.get(usize::from(wait % 16)).copied();
        client.now = client.now.saturating_add(wait.unwrap_or_default());
        client.stands();
        match act % 8 {
            0..=2 => client.refresh(u64::from(which % 4)),
            3 => client.touch(),
            4 => client.forge(*which),
            5 => client.add_factor(),
            6 => client.inspect(),
            _ if which % 4 == 0 => client.revoke(),
            _ => client.refresh(0),
        }
        client.stands();
    }
}

struct Client {
    policy: SessionPolicy,
    keyed: Keyed,
    now: Timestamp,
    held: Option<(Vec<u8>, Timestamp)>,
    first: Row,
    newest: u64,
    rotated: Timestamp,
    repeats: u8,
    /// The latest instant at which it may still be alive.
    idle: Timestamp,
    ended: bool,
}

impl Client {
    fn new() -> Option<Self> {
        let policy = SessionPolicy::default()
            .absolute(Duration::from_secs(3_600))
            .idle(IDLE)
            .grace(GRACE);
        let now = Timestamp::from_unix_secs(1_700_000_000);
        let factor = Factor::new(Method::Password, now);
        let first = decide::first("alice", [9; 16], &[factor], 0, &policy, now);
        let (begun, next) = decide::begin(None, &first, now);
        assert_eq!(begun, Ok(()));
        let mut client = Self {
            keyed: Keyed::new(&Secret::from(vec![7; 32]))?,
            policy,
            now,
            held: None,
            newest: 0,
            rotated: now,
            repeats: 0,
            idle: first.idle,
            first,
            ended: false,
        };
        client.take(next);
        Some(client)
    }

    fn alive(&self) -> bool {
        !self.ended && self.now < self.idle
    }

    /// Whether it lives is what was done to it.
    fn stands(&mut self) {
        let (live, next) = decide::live(self.bytes(), SESSION, self.now);
        assert_eq!(next, Next::Keep);
        assert_eq!(live.is_ok(), self.alive());
        if let Ok(row) = live {
            assert_eq!((row.counter, row.idle), (self.newest, self.idle));
            let first = &self.first;
            assert_eq!((&row.user, row.absolute), (&first.user, first.absolute));
        }
        // As a store does.
        self.held = self.held.take().filter(|(_, ends)| self.now < *ends);
    }

    fn refresh(&mut self, back: u64) {
        let Some(counter) = self.newest.checked_sub(back) else {
            return;
        };
        let Some(shown) = self.token(counter) else {
            return;
        };
        let alive = self.alive();
        let (answer, next) =
            decide::refresh(self.bytes(), &shown, &self.keyed, &self.policy, self.now);
        let unchanged = next == Next::Keep;
        self.take(next);
        match answer {
            Ok(Granted { row, repeated }) => {
                assert!(alive);
                assert_eq!(Some(row.counter), counter.checked_add(1));
                if repeated {
                    let since = self.now.saturating_since(self.rotated);
                    self.repeats = self.repeats.saturating_add(1);
                    assert!(back == 1 && since < GRACE && self.repeats <= GRACE_REPEATS);
                } else {
                    assert_eq!(back, 0, "a token has two successors");
                    (self.newest, self.rotated, self.repeats) = (row.counter, self.now, 0);
                    let idle = self.now.saturating_add(IDLE);
                    self.idle = idle.min(self.first.absolute);
                }
            }
            Err(Error::Reused { .. }) => {
                assert!(alive && back > 0);
                let since = self.now.saturating_since(self.rotated);
                let lost = back == 1 && since < GRACE && self.repeats < GRACE_REPEATS;
                assert!(!lost, "a client whose answer was lost is signed out");
                self.ended = true;
            }
            Err(_) => assert!(!alive && (unchanged || self.held.is_none())),
        }
    }

    fn touch(&mut self) {
        let (answer, next) = decide::touch(self.bytes(), SESSION, &self.policy, self.now);
        self.take(next);
        assert_eq!(answer.is_ok(), self.alive());
        if answer.is_ok() {
            let idle = self.now.saturating_add(IDLE).min(self.first.absolute);
            self.idle = self.idle.max(idle);
        }
    }

    /// Shows a token one bit of which is not the one that was made.
    fn forge(&self, which: u8) {
        let token = self.keyed.token(SESSION, self.newest, &self.first.nonce);
        let mut text = token.expose().as_bytes().to_vec();
        let place = usize::from(which).checked_rem(text.len()).unwrap_or(0);
        if let Some(byte) = text.get_mut(place) {
            *byte ^= 1;
        }
        let shown = String::from_utf8(text).ok();
        if let Some(shown) = shown.and_then(|text| Presented::parse(&text)) {
            let (answer, next) =
                decide::refresh(self.bytes(), &shown, &self.keyed, &self.policy, self.now);
            assert_eq!(answer.err(), Some(Error::NoSuchSession));
            assert_eq!(next, Next::Keep);
        }
    }

    fn add_factor(&mut self) {
        let factor = Factor::new(Method::Totp, self.now);
        let (answer, next) = decide::add_factor(self.bytes(), SESSION, factor, self.now);
        self.take(next);
        assert_eq!(answer.is_ok(), self.alive());
        assert!(answer.is_ok_and(|row| row.factors.contains(&factor)) || !self.alive());
    }

    /// What its member in the list points at: while it is alive it is not lost sight of.
    fn inspect(&self) {
        let (place, next) = decide::inspect(self.bytes(), self.rotated, &self.policy, self.now);
        let taken = matches!(place, decide::Place::Taken(_));
        assert_eq!(taken, self.alive());
        assert!(!taken || next == Next::Keep);
    }

    fn revoke(&mut self) {
        let (answer, next) = decide::revoke(self.bytes(), Revocation::SignedOut, self.now);
        self.take(next);
        let now = matches!(&answer, Ok(Some(ended)) if ended.now);
        assert_eq!(now, self.alive());
        self.ended |= now;
    }

    fn token(&self, counter: u64) -> Option<Presented> {
        let token = self.keyed.token(SESSION, counter, &self.first.nonce);
        Presented::parse(token.expose())
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.held.as_ref().map(|(bytes, _)| bytes.as_slice())
    }

    fn take(&mut self, next: Next) {
        match next {
            Next::Put { value, expires_at } => {
                assert!(Record::decode(value.as_bytes()).is_some());
                self.held = Some((value.as_bytes().to_vec(), expires_at));
            }
            Next::Remove => self.held = None,
            Next::Keep | Next::Settled => {}
        }
    }
}

const SESSION: SessionId = SessionId::from_bytes([3; 16]);
const IDLE: Duration = Duration::from_secs(600);
const GRACE: Duration = Duration::from_secs(10);
/// Short of each end, and at it.
const WAITS: [Duration; 16] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::ZERO,
    Duration::ZERO,
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_nanos(9_999_999_999),
    Duration::from_secs(10),
    Duration::from_secs(300),
    Duration::from_nanos(599_999_999_999),
    Duration::from_secs(600),
    Duration::from_secs(900),
    Duration::from_nanos(3_599_999_999_999),
    Duration::from_secs(3_600),
];
