//! What was said to get in, and what is known of who said it.

use std::fmt;
use std::net::IpAddr;

use portcullis_audit::{Action, Event};
use portcullis_core::{Secret, Timestamp};
use portcullis_totp_mfa::{Code, Kind};

use crate::CaptchaOutcome;

/// A name, a password, and where they came from.
///
/// ```
/// use portcullis_core::Secret;
/// use portcullis_sign_in::{Attempt, Origin};
///
/// let origin = Origin::new()
///     .address("192.0.2.1".parse()?, "peer")
///     .user_agent("curl/8");
/// let attempt = Attempt::new("alice", Secret::from(b"correct horse".as_slice())).origin(origin);
/// assert_eq!(format!("{attempt:?}"), "Attempt(..)");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone)]
pub struct Attempt {
    pub(crate) name: String,
    pub(crate) password: Secret,
    pub(crate) captcha: Option<CaptchaOutcome>,
    origin: Origin,
}

/// A code of a second factor as it was typed, and where it came from.
///
/// ```
/// use portcullis_sign_in::Shown;
///
/// assert_eq!(format!("{:?}", Shown::new("123456")), "Shown(..)");
/// ```
pub struct Shown {
    pub(crate) code: Option<Code>,
    pub(crate) origin: Origin,
}

/// Where an attempt came from, for the audit log. What is not known is left out.
#[derive(Clone, Default)]
pub struct Origin {
    address: Option<(IpAddr, &'static str)>,
    user_agent: String,
    client_system: String,
    request_id: String,
}

impl Attempt {
    /// An attempt of `name` with `password`, from nowhere in particular. A name too long to be one
    /// is kept as far as the audit log would.
    #[must_use]
    pub fn new(name: &str, password: Secret) -> Self {
        Self {
            name: bounded(name),
            password,
            captcha: None,
            origin: Origin::default(),
        }
    }

    /// Where it came from.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// What came of the captcha. Looked at where the policy asks for one
    /// ([`crate::SignInPolicy::captcha`]), and nowhere else.
    #[must_use]
    pub const fn captcha(mut self, outcome: CaptchaOutcome) -> Self {
        self.captcha = Some(outcome);
        self
    }

    pub(crate) fn came_from(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn into_parts(self) -> (String, Secret, Origin) {
        (self.name, self.password, self.origin)
    }
}

impl Shown {
    /// What was typed, from nowhere in particular. A text that is no code at all is kept as one that
    /// fits nothing: it is refused as a wrong one is.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            code: Code::parse(text).ok(),
            origin: Origin::default(),
        }
    }

    /// Where it came from.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Whether it has the form of a recovery code, right or wrong.
    #[must_use]
    pub fn is_recovery_code(&self) -> bool {
        let kind = self.code.as_ref().map(Code::kind);
        kind == Some(Kind::RecoveryCode)
    }
}

impl Origin {
    /// From nowhere in particular.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The client's address, and where it came from: `peer`, `forwarded` or `supplied`.
    #[must_use]
    pub fn address(mut self, ip: IpAddr, source: &'static str) -> Self {
        self.address = Some((ip, source));
        self
    }

    /// The client's `User-Agent`.
    #[must_use]
    pub fn user_agent(mut self, user_agent: &str) -> Self {
        self.user_agent = bounded(user_agent);
        self
    }

    /// The client application.
    #[must_use]
    pub fn client_system(mut self, client_system: &str) -> Self {
        self.client_system = bounded(client_system);
        self
    }

    /// The request's id.
    #[must_use]
    pub fn request_id(mut self, request_id: &str) -> Self {
        self.request_id = bounded(request_id);
        self
    }

    /// An event of this origin.
    pub(crate) fn event(&self, action: Action, at: Timestamp) -> Event {
        let mut event = Event::new(action, at);
        if let Some((ip, source)) = self.address {
            event = event.address(ip, source);
        }
        if !self.user_agent.is_empty() {
            event = event.user_agent(&self.user_agent);
        }
        if !self.client_system.is_empty() {
            event = event.client_system(&self.client_system);
        }
        if !self.request_id.is_empty() {
            event = event.request_id(&self.request_id);
        }
        event
    }
}

/// At most this much of any text is carried along: more than a name or a field of the log can be.
fn bounded(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned()
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt(..)")
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

impl fmt::Debug for Origin {
    /// The address's source: the rest may be a person's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.address.map(|(_, source)| source);
        f.debug_struct("Origin")
            .field("source", &source)
            .finish_non_exhaustive()
    }
}

pub(crate) const TEXT_BYTES: usize = 2048;
