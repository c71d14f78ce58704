//! Every route, behind the gates it needs.

mod account;
pub(crate) mod admin;
pub(crate) mod audit;
mod clients;
mod factor;
mod front;
mod machine;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post, put};
use http::HeaderMap;
use portcullis::core::{Scope, SystemClock};
use portcullis::ip_list::AddressList;
use portcullis::jwt::UserClaims;
use portcullis::rate_limit::{Limiter, LimiterPolicy, PolicyError, Quota};
use portcullis::session::Demand;
use portcullis::tower::{
    AddressGate, BearerGate, GuardedRoutes, LimitGate, ObserveLayer, Open, RecordLayer,
    RecordPolicy, Routes, SecurityHeadersLayer, Stack, StepUpGate,
};

use crate::answer::No;
use crate::app::App;
use crate::caller::AccountGate;
use crate::log;
use crate::opening::Fault;
use crate::pages::{self, Doors, Limited, instead_of_text, no_such_page};
use crate::proxy::{OnlyProxies, only_proxies};
use crate::settings::Settings;
use crate::site;
use crate::users::Users;

/// The service's routes.
///
/// Every route stands behind the address gate and a limit; all but the front, login and refresh behind
/// a token of a living session and an account in good standing. What is no route tells nothing.
///
/// # Errors
/// What is wrong with the limits, or with the address for pages; a route that has no policy.
pub(crate) fn router(app: Arc<App>) -> Result<GuardedRoutes, Fault> {
    let gates = Gates::new(&app)?;
    let site = site::site(&app.settings)?;
    let proxies = OnlyProxies::of(&app.settings)?;
    let record = RecordLayer::new(app.log.clone(), RecordPolicy::default(), CLOCK)?;
    tokio::spawn(log::unrecorded(record.clone()));
    let elsewhere = Open::because("tells nothing but that it is no route");
    let routes = routes()
        .merge(gates.front())
        .merge(gates.tokens())
        .merge(gates.account())
        .merge(gates.admin())
        .merge(gates.clients())
        .merge(machine::routes(&app, gates.limited(&gates.limits.clients))?)
        .merge(pages::pages(&app, &site, &gates.doors())?)
        .elsewhere_by(any(nowhere), any(async || No::METHOD), elsewhere)
        .with_state(app)
        .finish()?;
    Ok(routes
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(proxies, only_proxies))
        .layer(SecurityHeadersLayer::new(&site))
        .layer(record)
        .layer(ObserveLayer::new(CLOCK))
        .layer(middleware::from_fn_with_state(CLOCK, log::requests)))
}

/// No routes yet.
pub(crate) fn routes() -> Routes<Arc<App>> {
    Routes::new(CLOCK)
}

/// What is no route, for browsers and for everybody else.
async fn nowhere(headers: HeaderMap) -> Response {
    match instead_of_text(&headers) {
        Some(_) => no_such_page(),
        None => No::unknown("There is no such path; GET / lists the calls.").into_response(),
    }
}

/// What the routes stand behind.
struct Gates {
    address: AddressGate,
    limits: Limits,
    token: BearerGate<UserClaims>,
    users: Users,
    step_up: Demand,
}

impl Gates {
    fn new(app: &App) -> Result<Self, Fault> {
        let (verifier, sessions) = (Arc::clone(&app.verifier), Arc::clone(&app.sessions));
        Ok(Self {
            // Without proxies the peer is the client. All are welcome.
            address: AddressGate::new(
                site::trusted_proxies(&app.settings)?,
                AddressList::everyone(),
            ),
            limits: Limits::new(&app.settings)?,
            token: BearerGate::of_sessions(verifier, sessions),
            users: app.users.clone(),
            step_up: app.step_up_demand(),
        })
    }

    fn limited(&self, limit: &LimitGate) -> Limited {
        Stack::new(self.address.clone()).limit(limit.clone())
    }

    /// The pages stand behind the same limits.
    fn doors(&self) -> Doors {
        Doors {
            front: self.limited(&self.limits.front),
            authentication: self.limited(&self.limits.authentication),
            validation: self.limited(&self.limits.validation),
            user_management: self.limited(&self.limits.user_management),
        }
    }

    /// What tells nothing of anybody.
    fn front(&self) -> Routes<Arc<App>> {
        routes()
            .pending("/", get(front::front))
            .pending("/healthz", get(front::health))
            .cover(self.limited(&self.limits.front))
    }

    /// What gives tokens, and what looks at them.
    fn tokens(&self) -> Routes<Arc<App>> {
        let login = routes()
            .pending("/v1/login", post(sign_in::login))
            .pending("/v1/login/second-factor", post(sign_in::second_factor))
            .cover(self.limited(&self.limits.authentication));
        let refresh = routes()
            .pending("/v1/refresh", post(sign_in::refresh))
            .cover(self.limited(&self.limits.validation));
        let account = AccountGate::any(self.users.clone());
        let proven = self
            .limited(&self.limits.validation)
            .token(self.token.clone());
        let validate = routes()
            .pending("/v1/validate", post(sign_in::validate))
            .cover(proven.check(account));
        login.merge(refresh).merge(validate)
    }

    /// What an account does for itself, before a due change of its password, too.
    fn account(&self) -> Routes<Arc<App>> {
        let anyone = AccountGate::any(self.users.clone());
        let proven = |limit, account: AccountGate| {
            let token = self.limited(limit).token(self.token.clone());
            token.check(account)
        };
        let due = anyone.before_password_change();
        let password = routes()
            .pending("/v1/password", post(account::change_password))
            .cover(proven(&self.limits.authentication, due.clone()));
        let mine = routes()
            .pending("/v1/me", get(account::me))
            .pending("/v1/sessions", get(account::sessions))
            .pending("/v1/logout", post(sign_in::logout))
            .pending("/v1/logout-everywhere", post(sign_in::logout_everywhere))
            .cover(proven(&self.limits.validation, due));
        mine.merge(password).merge(self.second_factor())
    }

    /// What an account does with its second factor; an administrator comes here first.
    fn second_factor(&self) -> Routes<Arc<App>> {
        let account = AccountGate::any(self.users.clone()).before_enrolment();
        let proven = |limit| {
            let token = self.limited(limit).token(self.token.clone());
            token.check(account.clone())
        };
        let seen = routes()
            .pending("/v1/second-factor", get(factor::standing))
            .pending("/v1/second-factor/enrol", post(factor::enrol))
            .cover(proven(&self.limits.validation));
        // What takes a code is paced as what takes a password is.
        routes()
            .pending("/v1/step-up", post(factor::step_up))
            .pending("/v1/second-factor/confirm", post(factor::confirm))
            .pending("/v1/second-factor/recovery-codes", post(factor::regenerate))
            .pending("/v1/second-factor/remove", post(factor::remove))
            .cover(proven(&self.limits.authentication))
            .merge(seen)
    }

    /// What administrators do to client applications: what changes one or gives it a key asks for a code of
    /// the authenticator as well.
    fn clients(&self) -> Routes<Arc<App>> {
        let proven = self
            .limited(&self.limits.user_management)
            .token(self.token.clone());
        let admin = proven.check(AccountGate::admin(self.users.clone()));
        let stepped_up = admin.clone().check(StepUpGate::require(self.step_up));
        let seen = routes()
            .pending("/v1/clients", get(clients::clients))
            .pending("/v1/clients/{client}", get(clients::client))
            .cover(admin);
        let key = "/v1/clients/{client}/keys/{key}";
        routes()
            .pending("/v1/clients", post(clients::register))
            .pending("/v1/clients/{client}/networks", put(clients::set_networks))
            .pending("/v1/clients/{client}/tier", put(clients::set_tier))
            .pending("/v1/clients/{client}/disable", post(clients::disable))
            .pending("/v1/clients/{client}/enable", post(clients::enable))
            .pending("/v1/clients/{client}/keys", post(clients::create_key))
            .pending(
                "/v1/clients/{client}/revoke-unused",
                post(clients::revoke_unused),
            )
            .pending(key, delete(clients::revoke_key))
            .pending(&format!("{key}/rotate"), post(clients::rotate_key))
            .pending(&format!("{key}/end-grace"), post(clients::end_grace))
            .pending(&format!("{key}/forget"), post(clients::forget_key))
            .cover(stepped_up)
            .merge(seen)
    }

    /// What administrators do: what changes a user asks for a code of the authenticator as well.
    fn admin(&self) -> Routes<Arc<App>> {
        let proven = self
            .limited(&self.limits.user_management)
            .token(self.token.clone());
        let admin = proven.check(AccountGate::admin(self.users.clone()));
        let stepped_up = admin.clone().check(StepUpGate::require(self.step_up));
        let seen = routes()
            .pending("/v1/users", get(admin::users))
            .pending("/v1/lockouts", get(admin::lockouts))
            .pending("/v1/audit", get(audit::records))
            .pending("/v1/audit/verify", get(audit::verify))
            .cover(admin);
        routes()
            .pending("/v1/users", post(admin::create_user))
            .pending("/v1/lockouts/{name}", delete(admin::unlock))
            .pending("/v1/users/{name}/disable", post(admin::disable_user))
            .pending("/v1/users/{name}/enable", post(admin::enable_user))
            .pending("/v1/users/{name}/reset", post(admin::reset_user))
            .pending(
                "/v1/users/{name}/second-factor/reset",
                post(admin::reset_second_factor),
            )
            .cover(stepped_up)
            .merge(seen)
    }
}

/// One limiter a class of endpoint, shared by its routes.
struct Limits {
    /// As many as validations, and counted apart: a monitor must not use up a client's calls.
    front: LimitGate,
    authentication: LimitGate,
    validation: LimitGate,
    user_management: LimitGate,
    /// Of an address, before any key of a client application is looked at.
    clients: LimitGate,
}

impl Limits {
    fn new(settings: &Settings) -> Result<Self, PolicyError> {
        let window = settings.limit_window();
        let gate = |name: &'static str, quota| {
            let limiter = Limiter::new(quota, LimiterPolicy::default());
            LimitGate::in_process(Scope::new(name), Arc::new(limiter))
        };
        Ok(Self {
            front: gate("front", Quota::per(settings.validation_limit, window)?),
            authentication: gate(
                "authentication",
                strictly(settings.authentication_limit, window)?,
            ),
            clients: gate(
                "clients",
                Quota::per(settings.clients.client_limit, window)?,
            ),
            validation: gate("validation", Quota::per(settings.validation_limit, window)?),
            user_management: gate(
                "user-management",
                strictly(settings.user_management_limit, window)?,
            ),
        })
    }
}

/// Never more than `count` in any window; a larger count than a strict quota can hold is paced smoothly.
fn strictly(count: u32, window: Duration) -> Result<Quota, PolicyError> {
    let quota = Quota::per(count, window)?;
    if count <= 64 {
        quota.strict()
    } else {
        Ok(quota)
    }
}

const CLOCK: SystemClock = SystemClock;
/// Sixteen kibibytes: many times what any request here holds.
const BODY_BYTES: usize = 16 * 1024;
