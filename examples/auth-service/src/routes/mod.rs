//! Every route, behind the gates it needs.

mod account;
mod admin;
mod audit;
mod front;
mod sign_in;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use axum::{Router, middleware};
use portcullis::core::{Scope, SystemClock};
use portcullis::ip_list::{AddressList, TrustedProxies};
use portcullis::jwt::UserClaims;
use portcullis::rate_limit::{Limiter, LimiterPolicy, PolicyError, Quota};
use portcullis::tower::{
    AddressGate, ArrivalLayer, BearerGate, Both, LimitGate, RecordLayer, RecordPolicy, Stack,
    ThenLimit,
};

use crate::answer::No;
use crate::app::App;
use crate::caller::AccountGate;
use crate::log;
use crate::settings::Settings;
use crate::users::Users;

/// The service's routes.
///
/// Every route stands behind the address gate and a limit; all but the front, login and refresh behind
/// a token of a living session and an account in good standing. What is no route tells nothing.
pub(crate) fn router(app: Arc<App>) -> Result<Router, PolicyError> {
    let gates = Gates::new(&app)?;
    let record = RecordLayer::new(app.log.clone(), RecordPolicy::default(), CLOCK)?;
    Ok(Router::new()
        .merge(gates.front())
        .merge(gates.tokens())
        .merge(gates.account())
        .merge(gates.admin())
        .fallback(async || No::unknown("There is no such path; GET / lists the calls."))
        .method_not_allowed_fallback(async || No::METHOD)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(record)
        .layer(middleware::from_fn_with_state(CLOCK, log::requests))
        .layer(ArrivalLayer::new(CLOCK))
        .with_state(app))
}

/// What the routes stand behind.
struct Gates {
    address: AddressGate,
    limits: Limits,
    token: BearerGate<UserClaims>,
    users: Users,
}

/// The address, then a limit.
type Limited = Stack<ThenLimit, Both<AddressGate, LimitGate>>;

impl Gates {
    fn new(app: &App) -> Result<Self, PolicyError> {
        let (verifier, sessions) = (Arc::clone(&app.verifier), Arc::clone(&app.sessions));
        Ok(Self {
            // The service listens on loopback and knows no proxy: the peer is the client, and all
            // are welcome.
            address: AddressGate::new(TrustedProxies::none(), AddressList::everyone()),
            limits: Limits::new(&app.settings)?,
            token: BearerGate::of_sessions(verifier, sessions),
            users: app.users.clone(),
        })
    }

    fn limited(&self, limit: &LimitGate) -> Limited {
        Stack::new(self.address.clone()).limit(limit.clone())
    }

    /// What tells nothing of anybody.
    fn front(&self) -> Router<Arc<App>> {
        Router::new()
            .route("/", get(front::front))
            .route("/healthz", get(front::health))
            .route_layer(self.limited(&self.limits.front).layer(CLOCK))
    }

    /// What gives tokens, and what looks at them.
    fn tokens(&self) -> Router<Arc<App>> {
        let login = Router::new()
            .route("/v1/login", post(sign_in::login))
            .route_layer(self.limited(&self.limits.authentication).layer(CLOCK));
        let refresh = Router::new()
            .route("/v1/refresh", post(sign_in::refresh))
            .route_layer(self.limited(&self.limits.validation).layer(CLOCK));
        let account = AccountGate::any(self.users.clone());
        let proven = self
            .limited(&self.limits.validation)
            .token(self.token.clone());
        let validate = Router::new()
            .route("/v1/validate", post(sign_in::validate))
            .route_layer(proven.check(account).layer(CLOCK));
        login.merge(refresh).merge(validate)
    }

    /// What an account does for itself, before a due change of its password, too.
    fn account(&self) -> Router<Arc<App>> {
        let account = AccountGate::any(self.users.clone()).before_password_change();
        let proven = |limit| {
            self.limited(limit)
                .token(self.token.clone())
                .check(account.clone())
        };
        let password = Router::new()
            .route("/v1/password", post(account::change_password))
            .route_layer(proven(&self.limits.authentication).layer(CLOCK));
        Router::new()
            .route("/v1/me", get(account::me))
            .route("/v1/logout", post(sign_in::logout))
            .route_layer(proven(&self.limits.validation).layer(CLOCK))
            .merge(password)
    }

    fn admin(&self) -> Router<Arc<App>> {
        let proven = self
            .limited(&self.limits.user_management)
            .token(self.token.clone());
        let admin = proven.check(AccountGate::admin(self.users.clone()));
        Router::new()
            .route("/v1/users", get(admin::users).post(admin::create_user))
            .route("/v1/users/{name}/disable", post(admin::disable_user))
            .route("/v1/users/{name}/enable", post(admin::enable_user))
            .route("/v1/users/{name}/reset", post(admin::reset_user))
            .route("/v1/lockouts", get(admin::lockouts))
            .route("/v1/lockouts/{name}", delete(admin::unlock))
            .route("/v1/audit", get(audit::records))
            .route("/v1/audit/verify", get(audit::verify))
            .route_layer(admin.layer(CLOCK))
    }
}

/// One limiter a class of endpoint, shared by its routes.
struct Limits {
    /// As many as validations, and counted apart: a monitor must not use up a client's calls.
    front: LimitGate,
    authentication: LimitGate,
    validation: LimitGate,
    user_management: LimitGate,
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
