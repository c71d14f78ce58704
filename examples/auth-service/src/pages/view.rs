//! The pages as values: what each template is filled with.
//!
//! Nothing here is marked as safe HTML: whatever a person or a client wrote is escaped where it stands.

use askama::Template;

/// What stands around every page.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// For every form of the page; empty on a page without one.
    pub(crate) csrf: String,
    /// The style sheet's address, its version in it.
    pub(crate) style: &'static str,
    /// Who is signed in.
    pub(crate) person: Option<Person>,
    pub(crate) here: Here,
    pub(crate) wide: bool,
}

/// Who is signed in, as far as the header cares.
#[derive(Debug)]
pub(crate) struct Person {
    /// Whether nothing is due that must be done first.
    pub(crate) open: bool,
    pub(crate) admin: bool,
}

/// Which part of the site a page is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Here {
    Account,
    Admin,
    Clients,
    #[default]
    Elsewhere,
}

/// An instant, for machines and for people.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// RFC 3339.
    pub(crate) exact: String,
    pub(crate) words: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    pub(crate) frame: Frame,
    pub(crate) notice: Option<&'static str>,
    pub(crate) alert: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "code.html")]
pub(crate) struct CodePage {
    pub(crate) frame: Frame,
    pub(crate) challenge: String,
    pub(crate) alert: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "recovery.html")]
pub(crate) struct RecoveryPage {
    pub(crate) frame: Frame,
    pub(crate) challenge: String,
    pub(crate) alert: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "password.html")]
pub(crate) struct PasswordPage {
    pub(crate) frame: Frame,
    pub(crate) name: String,
    /// Whether nothing else is open until the password is changed.
    pub(crate) forced: bool,
    pub(crate) current_fault: Option<&'static str>,
    pub(crate) new_fault: Option<String>,
}

#[derive(Template)]
#[template(path = "account.html")]
pub(crate) struct AccountPage {
    pub(crate) frame: Frame,
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) factor: FactorState,
    pub(crate) sessions: Vec<SessionRow>,
    pub(crate) alert: Option<&'static str>,
}

/// How the second factor stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FactorState {
    pub(crate) enrolled: bool,
    pub(crate) blocked: bool,
    pub(crate) recovery_codes_left: u8,
}

#[derive(Debug)]
pub(crate) struct SessionRow {
    /// What was shown to start it.
    pub(crate) shown: &'static str,
    pub(crate) current: bool,
    pub(crate) started: Moment,
    pub(crate) used: Moment,
}

#[derive(Template)]
#[template(path = "enrol.html")]
pub(crate) struct EnrolPage {
    pub(crate) frame: Frame,
    pub(crate) notice: Option<&'static str>,
    pub(crate) alert: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "enrolling.html")]
pub(crate) struct EnrollingPage {
    pub(crate) frame: Frame,
    /// Shown once: not again after a wrong code.
    pub(crate) picture: Option<Picture>,
    pub(crate) alert: Option<&'static str>,
}

/// The secret of an enrolment in its three forms.
pub(crate) struct Picture {
    /// A `data:` address.
    pub(crate) png: String,
    /// How large it is shown, in pixels.
    pub(crate) side: u32,
    /// The `otpauth:` address.
    pub(crate) uri: String,
    /// In groups of four.
    pub(crate) secret: String,
}

#[derive(Template)]
#[template(path = "recovery_codes.html")]
pub(crate) struct RecoveryCodesPage<'a> {
    pub(crate) frame: Frame,
    pub(crate) notice: &'static str,
    pub(crate) codes: Vec<&'a str>,
}

#[derive(Template)]
#[template(path = "step_up.html")]
pub(crate) struct StepUpPage {
    pub(crate) frame: Frame,
    pub(crate) next: String,
    pub(crate) alert: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "admin.html")]
pub(crate) struct AdminPage {
    pub(crate) frame: Frame,
    pub(crate) notice: Option<&'static str>,
    pub(crate) locked: Vec<LockRow>,
    pub(crate) users: Vec<UserRow>,
    pub(crate) more_users: usize,
    pub(crate) audit: AuditPart,
    pub(crate) alert: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "audit_page.html")]
pub(crate) struct AuditPage {
    pub(crate) frame: Frame,
    pub(crate) audit: AuditPart,
    pub(crate) alert: Option<&'static str>,
}

#[derive(Debug)]
pub(crate) struct LockRow {
    /// As it is sent back.
    pub(crate) name: String,
    /// As it is read.
    pub(crate) shown: String,
    pub(crate) until: Moment,
}

#[derive(Debug)]
pub(crate) struct UserRow {
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) state: &'static str,
    /// Whether the state is the usual one.
    pub(crate) open: bool,
    pub(crate) second_factor: bool,
}

/// The filter, and the events that fit.
#[derive(Debug)]
pub(crate) struct AuditPart {
    pub(crate) user: String,
    pub(crate) actions: Vec<ActionChoice>,
    pub(crate) events: Vec<EventRow>,
}

#[derive(Debug)]
pub(crate) struct ActionChoice {
    pub(crate) name: &'static str,
    pub(crate) words: String,
    pub(crate) chosen: bool,
}

#[derive(Debug)]
pub(crate) struct EventRow {
    pub(crate) at: Moment,
    pub(crate) action: String,
    pub(crate) user: String,
    pub(crate) address: String,
    pub(crate) details: String,
    pub(crate) agent: String,
}

#[derive(Template)]
#[template(path = "refused.html")]
pub(crate) struct RefusedPage {
    pub(crate) frame: Frame,
    pub(crate) status: u16,
    pub(crate) title: String,
    pub(crate) detail: String,
    pub(crate) wait: Option<String>,
}
