//! The pages: the same acts as the calls, for people with a browser. Plain HTML; no script anywhere.
//!
//! | Pages | Behind |
//! |---|---|
//! | `/sign-in`, `/sign-in/code`, `/sign-in/recovery` | the address, a limit, the cookie layer |
//! | `/password`, `/account…`, `/step-up`, `/sign-out…` | also an account; before what is due of it, where it is done there |
//! | `/admin…`, `/admin/clients…` | also the role; for acts a code of the authenticator in hand, not long ago |

mod account;
mod admin;
mod assets;
mod client_view;
mod clients;
mod events;
mod factor;
mod form;
mod front;
mod key_rows;
mod keys;
mod new_key;
mod next;
mod once;
mod page;
mod password;
mod refusal;
mod sign_in;
mod step_up;
#[cfg(test)]
mod tests;
mod view;
mod words;

use std::fmt;
use std::sync::Arc;

use axum::middleware;
use axum::routing::{get, post};
use http::request;
use portcullis::core::{Reason, Timestamp};
use portcullis::session::Live;
use portcullis::tower::{
    AddressGate, Admitted, Both, CookieError, CookieSessionLayer, Gate, Gated, Layered, LimitGate,
    Policy, Refusal, Routes, Site, Stack, StepUpGate, ThenLimit,
};

pub(crate) use front::instead_of_text;
pub(crate) use refusal::no_such_page;
pub(crate) use words::{sentence, visible};

use crate::app::App;
use crate::caller::AccountGate;
use crate::routes::routes;

/// The address, then a limit.
pub(crate) type Limited = Stack<ThenLimit, Both<AddressGate, LimitGate>>;

/// What every page stands behind, by the class of the endpoint: the very limits that the calls have.
pub(crate) struct Doors {
    pub(crate) front: Limited,
    pub(crate) authentication: Limited,
    pub(crate) validation: Limited,
    pub(crate) user_management: Limited,
}

/// The pages' routes.
///
/// # Errors
/// [`CookieError::NotLoopback`] where the service's address is not a known port of this machine: without
/// TLS nothing else is a site.
pub(crate) fn pages(
    app: &Arc<App>,
    site: &Site,
    doors: &Doors,
) -> Result<Routes<Arc<App>>, CookieError> {
    let sessions = Arc::clone(&app.sessions);
    let cookies = CookieSessionLayer::new(sessions, &app.cookie_key, site.clone())?;
    let pages = Pages {
        cookies: cookies.form_limit_bytes(FORM_BYTES),
        account: AccountGate::any(app.users.clone()),
        admin: AccountGate::admin(app.users.clone()),
        step_up: StepUpGate::require(app.step_up_demand()),
    };
    let assets = routes()
        .pending("/style.css", get(assets::style))
        .pending("/icon.svg", get(assets::icon))
        .cover((as_pages(), doors.front.clone()));
    Ok(assets
        .merge(pages.sign_in(doors))
        .merge(pages.account(doors))
        .merge(pages.second_factor(doors))
        .merge(pages.admin(doors))
        .merge(pages.clients(doors)))
}

/// Around all that may refuse.
fn as_pages() -> impl Policy {
    Layered::by(middleware::from_fn(refusal::as_pages), "as a page")
}

/// What the pages stand behind beyond the doors.
struct Pages {
    cookies: CookieSessionLayer,
    account: AccountGate,
    admin: AccountGate,
    step_up: StepUpGate,
}

impl Pages {
    /// For anybody: the door, then the cookie.
    fn open(&self, door: &Limited) -> impl Policy + use<> {
        (as_pages(), door.clone(), self.cookies.clone())
    }

    /// For whoever is signed in, and `account` admits.
    fn signed_in(&self, account: AccountGate, door: &Limited) -> impl Policy + use<> {
        let signed_in = (Gated::by(SignedInGate), Gated::by(account));
        (self.open(door), signed_in)
    }

    /// For administrators, with a code of the authenticator not long ago.
    fn stepped_up(&self, door: &Limited) -> impl Policy + use<> {
        let admin = self.signed_in(self.admin.clone(), door);
        (admin, Gated::by(self.step_up))
    }

    fn sign_in(&self, doors: &Doors) -> Routes<Arc<App>> {
        let shown = routes()
            .pending("/sign-in", get(sign_in::show))
            .pending("/sign-in/recovery", post(sign_in::other_form));
        let taken = routes()
            .pending("/sign-in", post(sign_in::sign_in))
            .pending("/sign-in/code", post(sign_in::code));
        let shown = shown.cover(self.open(&doors.front));
        shown.merge(taken.cover(self.open(&doors.authentication)))
    }

    fn account(&self, doors: &Doors) -> Routes<Arc<App>> {
        let due = self.account.clone().before_password_change();
        let taken = routes().pending("/password", post(password::change));
        let shown = routes()
            .pending("/password", get(password::show))
            .pending("/sign-out", post(sign_in::sign_out));
        let account = routes()
            .pending("/account", get(account::show))
            .pending("/sign-out-everywhere", post(sign_in::sign_out_everywhere));
        let taken = taken.cover(self.signed_in(due.clone(), &doors.authentication));
        let shown = shown.cover(self.signed_in(due, &doors.validation));
        let account = account.cover(self.signed_in(self.account.clone(), &doors.validation));
        taken.merge(shown).merge(account)
    }

    /// An administrator comes here first.
    fn second_factor(&self, doors: &Doors) -> Routes<Arc<App>> {
        let account = self.account.clone().before_enrolment();
        let shown = routes()
            .pending("/account/enrol", get(factor::show).post(factor::enrol))
            .pending("/step-up", get(step_up::show));
        // What takes a code is paced as what takes a password is.
        let taken = routes()
            .pending("/account/confirm", post(factor::confirm))
            .pending("/account/recovery-codes", post(factor::regenerate))
            .pending("/account/remove", post(factor::remove))
            .pending("/step-up", post(step_up::step_up));
        let shown = shown.cover(self.signed_in(account.clone(), &doors.validation));
        shown.merge(taken.cover(self.signed_in(account, &doors.authentication)))
    }

    fn admin(&self, doors: &Doors) -> Routes<Arc<App>> {
        routes()
            .pending("/admin/unlock", post(admin::unlock))
            .cover(self.stepped_up(&doors.user_management))
            .pending("/admin", get(admin::show))
            .pending("/admin/audit", get(admin::audit))
            .cover(self.signed_in(self.admin.clone(), &doors.user_management))
    }

    /// The questions ask for the code as well: not only once they are answered.
    fn clients(&self, doors: &Doors) -> Routes<Arc<App>> {
        let client = |rest: &str| format!("/admin/clients/{{client}}{rest}");
        let acts = routes()
            .pending("/admin/clients", post(clients::register))
            .pending(&client("/networks"), post(clients::set_networks))
            .pending(&client("/tier"), post(clients::set_tier))
            .pending(&client("/disable"), post(clients::disable))
            .pending(&client("/enable"), post(clients::enable))
            .pending(&client("/keys"), post(new_key::create))
            .pending(&client("/keys/{key}/{act}"), get(keys::ask).post(keys::act))
            .pending(
                &client("/revoke-unused"),
                get(keys::ask_unused).post(keys::revoke_unused),
            )
            .cover(self.stepped_up(&doors.user_management));
        let mut routes = acts
            .pending("/admin/clients", get(clients::list))
            .pending(&client(""), get(clients::show));
        // Where a page stands that answers a form: its address, asked for again, is no fault of anybody's.
        for form in ["/networks", "/tier", "/disable", "/enable", "/keys"] {
            routes = routes.pending(&client(form), get(clients::back));
        }
        routes.cover(self.signed_in(self.admin.clone(), &doors.user_management))
    }
}

/// Admits whoever the cookie layer found a living session for.
#[derive(Clone, Copy, Debug)]
struct SignedInGate;

impl Gate for SignedInGate {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, _now: Timestamp) -> Result<Admitted, Refusal> {
        match head.extensions.get::<Live>() {
            Some(_) => Ok(Admitted),
            None => Err(Refusal::new(Reason::CredentialsMissing)),
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("signed in")
    }
}

/// As much as any body here: many times what a form holds.
const FORM_BYTES: usize = 16 * 1024;
