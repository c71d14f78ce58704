//! How often a caller may ask.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, request, response};
use portcullis_core::{AnyStore, Reason, Scope, Timestamp};
use portcullis_ip_list::{ClientAddress, rate_key};
use portcullis_rate_limit::{Decision, Limiter, Quota, StoreLimiter};

use crate::{Gate, Pass, Refusal};

type KeyOf = dyn Fn(&request::Parts) -> Option<Vec<u8>> + Send + Sync;

/// Whose requests are counted together.
#[derive(Clone)]
pub enum LimitKey {
    /// Those of one client address, an IPv6 one by its /64. Needs an [`crate::AddressGate`] before.
    ClientAddress,
    /// Those for which the function gives the same bytes; `None` refuses the request.
    Of(Arc<KeyOf>),
}

impl LimitKey {
    fn of(&self, head: &request::Parts) -> Option<Vec<u8>> {
        match self {
            Self::ClientAddress => {
                let client = head.extensions.get::<ClientAddress>()?;
                Some(rate_key(client.ip()).as_bytes().to_vec())
            }
            Self::Of(key) => key(head),
        }
    }
}

impl fmt::Debug for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientAddress => "ClientAddress",
            Self::Of(_) => "Of(..)",
        })
    }
}

/// Admits as many requests of a key as its quota, and says so in `RateLimit` headers; refuses with
/// 429 and a `Retry-After` that, obeyed, is admitted.
#[derive(Clone, Debug)]
pub struct LimitGate {
    name: Scope,
    home: Home,
    key: LimitKey,
}

#[derive(Clone, Debug)]
enum Home {
    Process(Arc<Limiter>),
    Store(Arc<StoreLimiter<AnyStore>>),
}

impl LimitGate {
    /// Counts in this process, synchronously. `name` stands in the headers.
    #[must_use]
    pub fn in_process(name: Scope, limiter: Arc<Limiter>) -> Self {
        Self {
            name,
            home: Home::Process(limiter),
            key: LimitKey::ClientAddress,
        }
    }

    /// Counts in a store, for every process that shares it. A store that fails refuses with 503.
    #[must_use]
    pub fn on_store(name: Scope, limiter: Arc<StoreLimiter<AnyStore>>) -> Self {
        Self {
            name,
            home: Home::Store(limiter),
            key: LimitKey::ClientAddress,
        }
    }

    /// Counts by `key` instead of the client's address.
    #[must_use]
    pub fn by(mut self, key: LimitKey) -> Self {
        self.key = key;
        self
    }

    fn quota(&self) -> &Quota {
        match &self.home {
            Home::Process(limiter) => limiter.quota(),
            Home::Store(limiter) => limiter.quota(),
        }
    }
}

impl Gate for LimitGate {
    type Pass = LimitPass;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<LimitPass, Refusal> {
        let key = self.key.of(head).ok_or(Reason::Internal)?;
        let decision = match &self.home {
            Home::Process(limiter) => limiter.check(&key, now),
            Home::Store(limiter) => limiter
                .admit(&key, 1, now)
                .await
                .map_err(|error| Refusal::new(error.reason()))?,
        };
        let headers = LimitPass::new(self.name, self.quota(), &decision);
        let refusal = match decision {
            Decision::Admitted { .. } => return Ok(headers),
            Decision::Limited { retry_after } => {
                Refusal::new(Reason::RateLimited).retry_after(retry_after)
            }
            // One unit is never more than a quota holds.
            Decision::Oversized => Refusal::new(Reason::RateLimited),
        };
        let add = |refusal: Refusal, (name, value)| refusal.header(name, value);
        Err(headers.0.into_iter().fold(refusal, add))
    }
}

/// Adds `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers) to the response.
#[derive(Clone, Debug)]
pub struct LimitPass(Vec<(HeaderName, HeaderValue)>);

impl LimitPass {
    fn new(name: Scope, quota: &Quota, decision: &Decision) -> Self {
        let texts = [
            (RATELIMIT_POLICY, quota.policy_field(name)),
            (RATELIMIT, decision.field(name)),
        ];
        let value = |(name, text)| Some((name, HeaderValue::try_from(text).ok()?));
        Self(texts.into_iter().filter_map(value).collect())
    }
}

impl Pass for LimitPass {
    fn settle(&mut self, head: &mut response::Parts) {
        for (name, value) in self.0.drain(..) {
            head.headers.append(name, value);
        }
    }
}

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
