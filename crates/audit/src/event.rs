//! What happened, to whom, from where: data of bounded length, never format.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use portcullis_core::{Reason, Timestamp};

use crate::text::clean;
use crate::{Action, record, state};

/// One thing that happened, before it has a place in the log.
///
/// Each text is cut to its field's length ([`Field::max_bytes`]) with a mark at its end, and known
/// shapes of secrets (JWTs, refresh tokens, bearer credentials) are replaced, when it is set: an
/// event always fits into a record. There is no field for a password, a token or a code.
///
/// ```
/// use portcullis_audit::{Action, Event, Field};
/// use portcullis_core::{Reason, Timestamp};
///
/// let event = Event::new(Action::FailedLogin, Timestamp::from_unix_secs(1_700_000_000))
///     .user("alice")
///     .address("203.0.113.9".parse()?, "peer")
///     .user_agent("curl/8.5 Bearer abc.def")
///     .reason(Reason::PasswordWrong);
/// assert_eq!(event.text(Field::UserAgent), Some("curl/8.5 Bearer [redacted]"));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    pub(crate) action: Action,
    pub(crate) at: Timestamp,
    pub(crate) address: Option<Address>,
    pub(crate) reason: Option<Cow<'static, str>>,
    pub(crate) texts: [Option<Box<str>>; Field::ALL.len()],
}

/// An address and how it was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    pub(crate) source: Cow<'static, str>,
}

/// A field whose text a caller may have chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Field {
    /// Who: the user's id, or the name that was tried.
    User,
    /// The client's `User-Agent`.
    UserAgent,
    /// The client application.
    ClientSystem,
    /// Where the address is, approximately.
    GeoLocation,
    /// The session's id.
    Session,
    /// The request's id.
    RequestId,
    /// Whom or what an administrator's act was about.
    Target,
}

impl Event {
    /// The bytes of the longest record: every field of its longest text, and what holds the record in its
    /// chain. Beside records, each segment of a log has a header of its own.
    pub const MAX_RECORD_BYTES: usize = record::FRAME_LEN + state::MAX_LEN;

    /// An event of `action` at the instant `at` of the request.
    #[must_use]
    pub fn new(action: Action, at: Timestamp) -> Self {
        Self {
            action,
            at,
            address: None,
            reason: None,
            texts: Default::default(),
        }
    }

    /// Who: the user's id, or the name that was tried.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.with(Field::User, user)
    }

    /// The client's address, and where it came from: `peer`, `forwarded` or `supplied`. An address
    /// of version 4 in the form of version 6 is written as what it is.
    #[must_use]
    pub fn address(mut self, ip: IpAddr, source: &'static str) -> Self {
        let source = if is_name(source) { source } else { "unknown" };
        self.address = Some(Address {
            ip: ip.to_canonical(),
            source: Cow::Borrowed(source),
        });
        self
    }

    /// The client's `User-Agent`.
    #[must_use]
    pub fn user_agent(self, user_agent: &str) -> Self {
        self.with(Field::UserAgent, user_agent)
    }

    /// The client application.
    #[must_use]
    pub fn client_system(self, client_system: &str) -> Self {
        self.with(Field::ClientSystem, client_system)
    }

    /// Where the address is, approximately.
    #[must_use]
    pub fn geo_location(self, geo_location: &str) -> Self {
        self.with(Field::GeoLocation, geo_location)
    }

    /// Why it was refused, or what it was let go without.
    #[must_use]
    pub fn reason(mut self, reason: Reason) -> Self {
        self.reason = Some(Cow::Borrowed(reason.as_str()));
        self
    }

    /// The session's id.
    #[must_use]
    pub fn session(self, session: &str) -> Self {
        self.with(Field::Session, session)
    }

    /// The request's id.
    #[must_use]
    pub fn request_id(self, request_id: &str) -> Self {
        self.with(Field::RequestId, request_id)
    }

    /// Whom or what an administrator's act was about.
    #[must_use]
    pub fn target(self, target: &str) -> Self {
        self.with(Field::Target, target)
    }

    /// What happened.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// When, by the clock of whoever made the event.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The client's address.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.as_ref().map(|address| address.ip)
    }

    /// Where the address came from.
    #[must_use]
    pub fn address_source(&self) -> Option<&str> {
        self.address.as_ref().map(|address| &*address.source)
    }

    /// The name of the [`Reason`]; a text, for the log outlives the list of reasons.
    #[must_use]
    pub fn reason_name(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The text of `field`, as it was kept; unescaped, so never to be printed as it is.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&str> {
        self.texts.get(field.place())?.as_deref()
    }

    fn with(mut self, field: Field, text: &str) -> Self {
        if let Some(place) = self.texts.get_mut(field.place()) {
            *place = Some(clean(text, field.max_bytes()));
        }
        self
    }
}

impl Field {
    /// Every field there is, in the order of the record.
    pub const ALL: &[Self] = &[
        Self::User,
        Self::UserAgent,
        Self::ClientSystem,
        Self::GeoLocation,
        Self::Session,
        Self::RequestId,
        Self::Target,
    ];

    /// The field's name in exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::UserAgent => "user_agent",
            Self::ClientSystem => "client_system",
            Self::GeoLocation => "geo_location",
            Self::Session => "session",
            Self::RequestId => "request_id",
            Self::Target => "target",
        }
    }

    /// How many bytes of UTF-8 are kept, the mark of a cut included. Browsers' agents reach 300 bytes,
    /// an e-mail address 254 (RFC 5321 §4.5.3.1).
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::UserAgent => 512,
            Self::User | Self::Target => 256,
            Self::ClientSystem | Self::GeoLocation | Self::Session | Self::RequestId => 128,
        }
    }

    /// The sum of all.
    pub(crate) const MAX_BYTES_IN_ALL: usize = {
        let (mut all, mut fields) = (0, Self::ALL);
        while let [field, rest @ ..] = fields {
            all += field.max_bytes();
            fields = rest;
        }
        all
    };

    pub(crate) const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Debug for Event {
    /// Says which fields are set, not what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<_> = Field::ALL
            .iter()
            .filter(|field| self.text(**field).is_some())
            .map(|field| field.as_str())
            .collect();
        f.debug_struct("Event")
            .field("action", &self.action)
            .field("at", &self.at)
            .field("reason", &self.reason)
            .field("fields", &set)
            .finish_non_exhaustive()
    }
}

/// Names that code gives, not callers: 1 to 64 of lower-case ASCII, digits and underscores.
pub(crate) fn is_name(text: &str) -> bool {
    let of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(of_a_name)
}

/// Bytes of the longest of them.
pub(crate) const MAX_NAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    #[test]
    fn every_field_is_cut_to_its_length_and_redacted() {
        let hostile = format!("prt1_secret {}", "x".repeat(100_000));
        let event = Event::new(Action::Login, NOW)
            .user(&hostile)
            .user_agent(&hostile)
            .client_system(&hostile)
            .geo_location(&hostile)
            .session(&hostile)
            .request_id(&hostile)
            .target(&hostile);
        for field in Field::ALL {
            let text = event.text(*field).unwrap();
            assert!(text.len() <= field.max_bytes(), "{field:?}");
            assert!(
                !text.contains("secret") && text.ends_with("…[cut]"),
                "{field:?}"
            );
        }
    }

    #[test]
    fn debug_shows_no_text_that_a_caller_chose() {
        let event = Event::new(Action::Login, NOW)
            .user("mallory")
            .target("victim");
        let text = format!("{event:?}");
        assert!(
            !text.contains("mallory") && !text.contains("victim"),
            "{text}"
        );
        assert!(text.contains("user_id"));
    }

    #[test]
    fn a_mapped_address_is_the_address_of_version_4() {
        let event =
            Event::new(Action::Login, NOW).address("::ffff:192.0.2.1".parse().unwrap(), "Peer!");
        assert_eq!(event.ip(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(event.address_source(), Some("unknown"));
    }

    #[test]
    fn each_field_has_its_own_place() {
        for (place, field) in Field::ALL.iter().enumerate() {
            assert_eq!(field.place(), place);
        }
    }
}
