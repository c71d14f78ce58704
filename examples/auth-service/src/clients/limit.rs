//! How often a client may call, by its tier.

use std::fmt;
use std::sync::Arc;

use axum::extract::MatchedPath;
use http::request;
use portcullis::core::{Reason, Scope, Timestamp};
use portcullis::rate_limit::{Limiter, LimiterPolicy, PolicyError, Quota, tuple_key};
use portcullis::tower::{Gate, LimitGate, LimitKey, LimitPass, Refusal};

use super::Tier;
use super::caller::ClientCaller;
use super::settings::ClientSettings;

/// Counts the calls of each client to each endpoint, once it is proved who calls: nobody uses up another's.
#[derive(Clone, Debug)]
pub(crate) struct ClientLimitGate {
    standard: LimitGate,
    premium: LimitGate,
}

impl ClientLimitGate {
    /// The limits that the settings say.
    pub(crate) fn new(settings: &ClientSettings) -> Result<Self, PolicyError> {
        let gate = |name, per_second| {
            let quota = Quota::per_second(per_second)?;
            let limiter = Arc::new(Limiter::new(quota, LimiterPolicy::default()));
            let key = LimitKey::Of(Arc::new(key));
            Ok(LimitGate::in_process(Scope::new(name), limiter).by(key))
        };
        Ok(Self {
            standard: gate("standard", settings.standard_per_second)?,
            premium: gate("premium", settings.premium_per_second)?,
        })
    }
}

fn key(head: &request::Parts) -> Option<Vec<u8>> {
    let caller = head.extensions.get::<ClientCaller>()?;
    let route = head.extensions.get::<MatchedPath>()?;
    let parts = [route.as_str().as_bytes(), caller.client.id.as_bytes()];
    Some(tuple_key(&parts))
}

impl Gate for ClientLimitGate {
    type Pass = LimitPass;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<LimitPass, Refusal> {
        let caller = head.extensions.get::<ClientCaller>();
        // Without a proof before it this was put together wrongly.
        let limit = match caller.ok_or(Reason::Internal)?.client.tier {
            Tier::Standard => &self.standard,
            Tier::Premium => &self.premium,
        };
        limit.admit(head, now).await
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a limit by client and route")
    }
}
