//! How often a caller may ask.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, request, response};
use portcullis_core::{AnyStore, Reason, Scope, Timestamp};
use portcullis_ip_list::{ClientAddress, RateKey, rate_key};
use portcullis_rate_limit::{Decision, EndpointClass, Limiter, LimiterPolicy, Quota, StoreLimiter};

use crate::{Gate, Pass, Refusal};

type KeyOf = dyn Fn(&request::Parts) -> Option<Vec<u8>> + Send + Sync;

/// Whose requests are counted together.
#[derive(Clone)]
pub enum LimitKey {
    /// Those of one client address, an IPv6 one by its /64. Needs an [`crate::AddressGate`] before.
    ClientAddress,
    /// Those for which the function gives the same bytes; `None` is a bad request.
    Of(Arc<KeyOf>),
}

impl LimitKey {
    fn of(&self, head: &request::Parts) -> Result<KeyBytes, Reason> {
        match self {
            Self::ClientAddress => {
                // Without an address gate before it this gate was put together wrongly.
                let client = head
                    .extensions
                    .get::<ClientAddress>()
                    .ok_or(Reason::Internal)?;
                Ok(KeyBytes::Address(rate_key(client.ip())))
            }
            Self::Of(key) => key(head).map(KeyBytes::Own).ok_or(Reason::BadRequest),
        }
    }
}

/// What a request is counted by.
enum KeyBytes {
    Address(RateKey),
    Own(Vec<u8>),
}

impl KeyBytes {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Address(key) => key.as_bytes(),
            Self::Own(key) => key,
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

/// Admits as many requests of a key as its quotas, and says so in `RateLimit` headers; refuses with
/// 429 and a `Retry-After` that, obeyed by the only caller of its key, is admitted.
///
/// Several limits of one request belong into one gate ([`LimitGate::and`]): they are charged in order,
/// and given back when a later one refuses.
#[derive(Clone, Debug)]
pub struct LimitGate {
    first: Limit,
    others: Vec<Limit>,
}

#[derive(Clone, Debug)]
struct Limit {
    name: Scope,
    /// What its quota is, as the header says it.
    policy: Option<HeaderValue>,
    home: Home,
    key: LimitKey,
}

#[derive(Clone, Debug)]
enum Home {
    Process(Arc<Limiter>),
    Store(Arc<StoreLimiter<AnyStore>>),
}

impl LimitGate {
    /// The class's quota for each client address, counted in this process, under the class's name.
    ///
    /// Clones count together: give each set of routes that share a quota a clone of one gate.
    ///
    /// ```
    /// use portcullis_rate_limit::EndpointClass;
    /// use portcullis_tower::{AddressGate, LimitGate, Stack};
    ///
    /// let logins = LimitGate::class(EndpointClass::Authentication);
    /// let gate = Stack::new(AddressGate::direct()).limit(logins);
    /// assert_eq!(gate.to_string(), "addresses: everyone; 10 in 60 s by client address");
    /// ```
    #[must_use]
    pub fn class(class: EndpointClass) -> Self {
        let name = match class {
            EndpointClass::Authentication => AUTHENTICATION,
            EndpointClass::Validation => VALIDATION,
            EndpointClass::UserManagement => USER_MANAGEMENT,
            _ => CLASS,
        };
        let limiter = Limiter::new(class.quota(), LimiterPolicy::default());
        Self::in_process(name, Arc::new(limiter))
    }

    /// Counts in this process, synchronously. `name` stands in the headers.
    #[must_use]
    pub fn in_process(name: Scope, limiter: Arc<Limiter>) -> Self {
        Self::of(name, Home::Process(limiter))
    }

    /// Counts in a store, for every process that shares it. A store that fails refuses with 503.
    #[must_use]
    pub fn on_store(name: Scope, limiter: Arc<StoreLimiter<AnyStore>>) -> Self {
        Self::of(name, Home::Store(limiter))
    }

    fn of(name: Scope, home: Home) -> Self {
        let policy = home.quota().policy_field(name);
        let first = Limit {
            name,
            policy: HeaderValue::try_from(policy).ok(),
            home,
            key: LimitKey::ClientAddress,
        };
        Self {
            first,
            others: Vec::new(),
        }
    }

    /// Counts by `key` instead of the client's address, in every limit of this gate so far.
    #[must_use]
    pub fn by(mut self, key: LimitKey) -> Self {
        for limit in &mut self.others {
            limit.key = key.clone();
        }
        self.first.key = key;
        self
    }

    /// Charges `other` after this one; when it refuses, this one is given back what it was charged.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.others.push(other.first);
        self.others.extend(other.others);
        self
    }
}

impl Gate for LimitGate {
    type Pass = LimitPass;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<LimitPass, Refusal> {
        let mut charged: Vec<(&Limit, KeyBytes)> = Vec::with_capacity(self.others.len());
        let mut headers = LimitPass(Vec::with_capacity(2));
        let limits = std::iter::once(&self.first).chain(&self.others);
        for (later, limit) in (0..=self.others.len()).rev().zip(limits) {
            let refusal = match limit.charge(head, now).await {
                Ok((key, decision)) => {
                    headers.add(limit, &decision);
                    match decision {
                        Decision::Admitted { .. } => {
                            // Behind the last one nobody is left to refuse.
                            if later > 0 {
                                charged.push((limit, key));
                            }
                            continue;
                        }
                        Decision::Limited { retry_after } => {
                            Refusal::new(Reason::RateLimited).retry_after(retry_after)
                        }
                        // One unit is never more than a quota holds.
                        Decision::Oversized => Refusal::new(Reason::RateLimited),
                    }
                }
                Err(refusal) => refusal,
            };
            for (limit, key) in charged {
                // Boxed: it is not often needed, and would be held by every request.
                Box::pin(limit.give_back(key.as_bytes(), now)).await;
            }
            let add = |refusal: Refusal, (name, value)| refusal.header(name, value);
            return Err(headers.0.into_iter().fold(refusal, add));
        }
        Ok(headers)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.describe(f)?;
        self.others.iter().try_for_each(|limit| {
            f.write_str(", and ")?;
            limit.describe(f)
        })
    }
}

impl Limit {
    async fn charge(
        &self,
        head: &request::Parts,
        now: Timestamp,
    ) -> Result<(KeyBytes, Decision), Refusal> {
        let key = self.key.of(head)?;
        let decision = match &self.home {
            Home::Process(limiter) => limiter.check(key.as_bytes(), now),
            Home::Store(limiter) => limiter
                .admit(key.as_bytes(), 1, now)
                .await
                .map_err(|error| Refusal::new(error.reason()))?,
        };
        Ok((key, decision))
    }

    /// A giving back that fails, or whose caller goes away, leaves the charge standing: that refuses
    /// too much and never too little.
    async fn give_back(&self, key: &[u8], now: Timestamp) {
        match &self.home {
            Home::Process(limiter) => limiter.refund(key, 1, now, now),
            Home::Store(limiter) => {
                let _ = limiter.refund(key, 1, now, now).await;
            }
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quota = self.home.quota();
        write!(f, "{} in ", quota.count())?;
        match (quota.period().as_secs(), quota.period().subsec_nanos()) {
            (secs, 0) => write!(f, "{secs} s")?,
            _ => write!(f, "{:?}", quota.period())?,
        }
        f.write_str(match &self.key {
            LimitKey::ClientAddress => " by client address",
            LimitKey::Of(_) => " by a key of the service's own",
        })
    }
}

impl Home {
    fn quota(&self) -> &Quota {
        match self {
            Self::Process(limiter) => limiter.quota(),
            Self::Store(limiter) => limiter.quota(),
        }
    }
}

/// Adds `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers) to the response, or
/// to the refusal of a later gate: that request was counted too.
#[derive(Clone, Debug)]
pub struct LimitPass(Vec<(HeaderName, HeaderValue)>);

impl LimitPass {
    fn add(&mut self, limit: &Limit, decision: &Decision) {
        let left = HeaderValue::try_from(decision.field(limit.name)).ok();
        let values = [(RATELIMIT_POLICY, limit.policy.clone()), (RATELIMIT, left)];
        let told = |(name, value): (HeaderName, Option<HeaderValue>)| Some((name, value?));
        self.0.extend(values.into_iter().filter_map(told));
    }
}

impl Pass for LimitPass {
    fn settle(&mut self, head: &mut response::Parts) {
        for (name, value) in self.0.drain(..) {
            head.headers.append(name, value);
        }
    }
}

const AUTHENTICATION: Scope = Scope::new("authentication");
const VALIDATION: Scope = Scope::new("validation");
const USER_MANAGEMENT: Scope = Scope::new("user-management");
const CLASS: Scope = Scope::new("class");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
