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

use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Router, middleware};
use http::request;
use portcullis::core::{Reason, SystemClock, Timestamp};
use portcullis::session::Live;
use portcullis::tower::{
    AddressGate, Admitted, Both, CookieError, CookieSessionLayer, Gate, GateLayer, LimitGate,
    Refusal, Site, Stack, StepUpGate, ThenLimit,
};

pub(crate) use front::instead_of_text;
pub(crate) use refusal::no_such_page;
pub(crate) use words::{sentence, visible};

use crate::app::App;
use crate::caller::AccountGate;

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
) -> Result<Router<Arc<App>>, CookieError> {
    let sessions = Arc::clone(&app.sessions);
    let cookies = CookieSessionLayer::new(sessions, &app.cookie_key, site.clone())?;
    let pages = Pages {
        cookies: cookies.form_limit_bytes(FORM_BYTES),
        account: AccountGate::any(app.users.clone()),
        admin: AccountGate::admin(app.users.clone()),
        step_up: StepUpGate::require(app.step_up_demand()),
    };
    let assets = Router::new()
        .route("/style.css", get(assets::style))
        .route("/icon.svg", get(assets::icon))
        .route_layer(doors.front.clone().layer(CLOCK));
    Ok(assets
        .merge(pages.sign_in(doors))
        .merge(pages.account(doors))
        .merge(pages.second_factor(doors))
        .merge(pages.admin(doors))
        .merge(pages.clients(doors))
        .route_layer(middleware::from_fn(refusal::as_pages)))
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
    fn open(&self, routes: Router<Arc<App>>, door: &Limited) -> Router<Arc<App>> {
        routes
            .route_layer(self.cookies.clone())
            .route_layer(door.clone().layer(CLOCK))
    }

    /// For whoever is signed in, and `account` admits.
    fn signed_in(
        &self,
        routes: Router<Arc<App>>,
        account: AccountGate,
        door: &Limited,
    ) -> Router<Arc<App>> {
        let routes = routes
            .route_layer(GateLayer::new(account, CLOCK))
            .route_layer(GateLayer::new(SignedInGate, CLOCK));
        self.open(routes, door)
    }

    fn sign_in(&self, doors: &Doors) -> Router<Arc<App>> {
        let shown = Router::new()
            .route("/sign-in", get(sign_in::show))
            .route("/sign-in/recovery", post(sign_in::other_form));
        let taken = Router::new()
            .route("/sign-in", post(sign_in::sign_in))
            .route("/sign-in/code", post(sign_in::code));
        self.open(shown, &doors.front)
            .merge(self.open(taken, &doors.authentication))
    }

    fn account(&self, doors: &Doors) -> Router<Arc<App>> {
        let due = self.account.clone().before_password_change();
        let taken = Router::new().route("/password", post(password::change));
        let shown = Router::new()
            .route("/password", get(password::show))
            .route("/sign-out", post(sign_in::sign_out));
        let account = Router::new()
            .route("/account", get(account::show))
            .route("/sign-out-everywhere", post(sign_in::sign_out_everywhere));
        self.signed_in(taken, due.clone(), &doors.authentication)
            .merge(self.signed_in(shown, due, &doors.validation))
            .merge(self.signed_in(account, self.account.clone(), &doors.validation))
    }

    /// An administrator comes here first.
    fn second_factor(&self, doors: &Doors) -> Router<Arc<App>> {
        let account = self.account.clone().before_enrolment();
        let shown = Router::new()
            .route("/account/enrol", get(factor::show).post(factor::enrol))
            .route("/step-up", get(step_up::show));
        // What takes a code is paced as what takes a password is.
        let taken = Router::new()
            .route("/account/confirm", post(factor::confirm))
            .route("/account/recovery-codes", post(factor::regenerate))
            .route("/account/remove", post(factor::remove))
            .route("/step-up", post(step_up::step_up));
        self.signed_in(shown, account.clone(), &doors.validation)
            .merge(self.signed_in(taken, account, &doors.authentication))
    }

    fn admin(&self, doors: &Doors) -> Router<Arc<App>> {
        let acts = Router::new()
            .route("/admin/unlock", post(admin::unlock))
            .route_layer(GateLayer::new(self.step_up, CLOCK));
        let routes = Router::new()
            .route("/admin", get(admin::show))
            .route("/admin/audit", get(admin::audit))
            .merge(acts);
        self.signed_in(routes, self.admin.clone(), &doors.user_management)
    }

    /// The questions ask for the code as well: not only once they are answered.
    fn clients(&self, doors: &Doors) -> Router<Arc<App>> {
        let client = |rest: &str| format!("/admin/clients/{{client}}{rest}");
        let acts = Router::new()
            .route("/admin/clients", post(clients::register))
            .route(&client("/networks"), post(clients::set_networks))
            .route(&client("/tier"), post(clients::set_tier))
            .route(&client("/disable"), post(clients::disable))
            .route(&client("/enable"), post(clients::enable))
            .route(&client("/keys"), post(new_key::create))
            .route(&client("/keys/{key}/{act}"), get(keys::ask).post(keys::act))
            .route(
                &client("/revoke-unused"),
                get(keys::ask_unused).post(keys::revoke_unused),
            )
            .route_layer(GateLayer::new(self.step_up, CLOCK));
        let mut routes = Router::new()
            .route("/admin/clients", get(clients::list))
            .route(&client(""), get(clients::show));
        // Where a page stands that answers a form: its address, asked for again, is no fault of anybody's.
        for form in ["/networks", "/tier", "/disable", "/enable", "/keys"] {
            routes = routes.route(&client(form), get(clients::back));
        }
        let routes = routes.merge(acts);
        self.signed_in(routes, self.admin.clone(), &doors.user_management)
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
}

const CLOCK: SystemClock = SystemClock;
/// As much as any body here: many times what a form holds.
const FORM_BYTES: usize = 16 * 1024;
