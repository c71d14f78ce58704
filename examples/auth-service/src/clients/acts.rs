//! What an administrator does to client applications and their keys; for the calls and the pages alike.
//!
//! Each act is in the audit log before it is done: one that failed after is over-reported, none goes
//! unseen.

use std::sync::Arc;
use std::time::Duration;

use portcullis::api_key::{self, ApiKeys, KeyInfo, NewKey, Standing};
use portcullis::audit::Action;
use portcullis::core::{AnyStore, Reason, Sealer, Secret, Timestamp};
use portcullis::hmac_signing::{ReplayGuard, ReplayPolicy};
use portcullis::jwt::{
    self, AssertionPolicy, Assertions, HmacKey, KeySet, RsaPublicKey, Signer, Verifier,
};

use super::key::{self, Kind, ListedKey, State};
use super::public_key::{self, PublicKeys};
use super::secret::{Form, SecretError, SigningSecrets};
use super::settings::{ClientSettings, WARNING_DAYS};
use super::{Client, Clients, Tier, client_name, networks};
use crate::answer::No;
use crate::app::App;
use crate::keys::RootKey;
use crate::opening::Fault;
use crate::origin::Origin;

/// What is kept of client applications, and what their tokens are made and read with.
pub(crate) struct Machines {
    pub(crate) clients: Clients,
    pub(crate) api_keys: ApiKeys<AnyStore>,
    pub(crate) secrets: SigningSecrets,
    pub(crate) public_keys: PublicKeys,
    pub(crate) assertions: Assertions,
    pub(crate) signer: Signer,
    pub(crate) verifier: Verifier,
    pub(crate) replays: Arc<ReplayGuard<AnyStore>>,
    pub(crate) settings: ClientSettings,
}

/// What a client is to be given a key by.
pub(crate) enum Wanted {
    ApiKey { scopes: Vec<String> },
    SigningSecret { form: Form },
    PublicKey { issuer: String, pem: String },
}

/// A key that was made: how it is listed, and what is shown once.
pub(crate) struct MadeKey {
    pub(crate) listed: ListedKey,
    pub(crate) secret: Option<Secret>,
}

impl Machines {
    /// What is kept in `store`, under keys made from the root key.
    pub(crate) fn new(
        settings: &ClientSettings,
        root: &RootKey,
        store: &AnyStore,
    ) -> Result<Self, Fault> {
        let policy = api_key::Policy::accepting(&[settings.api_key_environment])?
            .max_age_days(settings.key_max_age_days)?
            .warn_days(WARNING_DAYS.min(settings.key_max_age_days))?
            .grace(settings.grace())?;
        let sealer = Sealer::new(1, &root.derive("client secrets"))?;
        let keys = KeySet::new(HmacKey::new("1", root.derive("client tokens"))?);
        // An audience of its own: a user's token opens nothing of a client's, nor the other way round.
        let tokens =
            jwt::Policy::access("http://localhost", "auth-service clients")?.leeway_secs(0)?;
        let assertions = AssertionPolicy::new(&settings.audience)?;
        Ok(Self {
            clients: Clients::new(store.clone()),
            api_keys: ApiKeys::new(store.clone(), policy)?,
            secrets: SigningSecrets::new(store.clone(), sealer),
            public_keys: PublicKeys::new(store.clone()),
            assertions: Assertions::new(assertions),
            signer: Signer::new(&keys, tokens.clone()),
            verifier: Verifier::new(&keys, tokens),
            replays: Arc::new(ReplayGuard::new(store.clone(), ReplayPolicy::default())),
            settings: settings.clone(),
        })
    }

    fn max_age(&self) -> Duration {
        self.settings.max_age()
    }

    /// Grace and greatest age.
    fn spans(&self) -> (Duration, Duration) {
        (self.settings.grace(), self.max_age())
    }

    /// The client of that name, or that there is none.
    pub(crate) async fn client(&self, id: &str, now: Timestamp) -> Result<Client, No> {
        let found = self.clients.get(id, now).await?;
        found.ok_or(No::unknown("There is no such client."))
    }

    /// All keys of a client, those that count first, the newest first.
    pub(crate) async fn keys(&self, client: &str, now: Timestamp) -> Result<Vec<ListedKey>, No> {
        let mut keys = Vec::new();
        let listed = self.api_keys.list(client, now).await;
        keys.extend(listed.map_err(no)?.iter().map(|info| of_api_key(info, now)));
        let secrets = self.secrets.list(client, now).await?;
        keys.extend(secrets.iter().map(|held| held.listed(self.max_age(), now)));
        let public = self.public_keys.list(client, now).await?;
        let shown = |held| self.public_keys.listed(held, self.max_age(), now);
        keys.extend(public.iter().map(shown));
        keys.sort_by_key(|key| {
            let over = matches!(key.state, State::Revoked | State::Expired);
            (over, std::cmp::Reverse(key.made_at))
        });
        Ok(keys)
    }

    async fn make(
        &self,
        client: &str,
        label: &str,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<MadeKey, No> {
        match wanted {
            Wanted::ApiKey { scopes } => {
                let mut new = NewKey::new(label, self.settings.api_key_environment).map_err(no)?;
                for scope in &scopes {
                    new = new.scope(scope).map_err(no)?;
                }
                let made = self.api_keys.create(client, new, now).await;
                made.map(|made| of_made(&made, now)).map_err(no)
            }
            Wanted::SigningSecret { form } => {
                let made = self.secrets.create((client, form, label), now).await;
                let (held, secret) = made.map_err(no_secret)?;
                Ok(MadeKey {
                    listed: held.listed(self.max_age(), now),
                    secret: Some(secret),
                })
            }
            Wanted::PublicKey { issuer, pem } => {
                let key = parse(&pem)?;
                let of = (client, issuer.as_str(), label);
                let held = self.public_keys.create(of, &key, now).await?;
                Ok(MadeKey {
                    listed: self.public_keys.listed(&held, self.max_age(), now),
                    secret: None,
                })
            }
        }
    }

    async fn rotate(
        &self,
        client: &str,
        id: &str,
        pem: Option<&str>,
        now: Timestamp,
    ) -> Result<MadeKey, No> {
        match (Kind::of(id), pem) {
            (Kind::ApiKey, None) => {
                let made = self.api_keys.rotate(client, api_key_id(id)?, now).await;
                made.map(|made| of_made(&made, now)).map_err(no)
            }
            (Kind::SigningSecret, None) => {
                let rotated = self.secrets.rotate((client, id), self.spans(), now).await;
                let (held, secret) = rotated.map_err(no_secret)?;
                Ok(MadeKey {
                    listed: held.listed(self.max_age(), now),
                    secret: Some(secret),
                })
            }
            (Kind::PublicKey, Some(pem)) => {
                let (key, spans) = (parse(pem)?, self.spans());
                let held = self
                    .public_keys
                    .rotate((client, id), &key, spans, now)
                    .await?;
                Ok(MadeKey {
                    listed: self.public_keys.listed(&held, self.max_age(), now),
                    secret: None,
                })
            }
            (Kind::PublicKey, None) => Err(No::content(
                "A public key is replaced by a new one: send it as PEM.",
            )),
            (_, Some(_)) => Err(No::content(
                "The service makes this key itself: send no PEM.",
            )),
        }
    }

    async fn end_grace(&self, client: &str, id: &str, now: Timestamp) -> Result<(), No> {
        match Kind::of(id) {
            Kind::ApiKey => {
                let ended = self.api_keys.end_grace(client, api_key_id(id)?, now).await;
                ended.map(drop).map_err(no)
            }
            Kind::SigningSecret => {
                self.secrets.end_grace((client, id), now).await?;
                Ok(())
            }
            Kind::PublicKey => {
                self.public_keys.end_grace((client, id), now).await?;
                Ok(())
            }
        }
    }

    async fn revoke(&self, client: &str, id: &str, now: Timestamp) -> Result<(), No> {
        match Kind::of(id) {
            Kind::ApiKey => {
                let revoked = self.api_keys.revoke(client, api_key_id(id)?, now).await;
                revoked.map(drop).map_err(no)
            }
            Kind::SigningSecret => {
                self.secrets.revoke((client, id), now).await?;
                Ok(())
            }
            Kind::PublicKey => {
                self.public_keys.revoke((client, id), now).await?;
                Ok(())
            }
        }
    }
}

impl App {
    /// Registers a client, which calls from those networks alone.
    pub(crate) async fn register_client(
        &self,
        by: &str,
        (id, tier, lines): (&str, Tier, &[String]),
        origin: &Origin,
    ) -> Result<Client, No> {
        let now = origin.now;
        let client = Client {
            id: client_name(id).map_err(No::content)?.to_owned(),
            tier,
            networks: networks(lines).map_err(No::content)?,
            enabled: true,
            created_at: now.as_unix_nanos(),
        };
        if self.machines.clients.get(id, now).await?.is_some() {
            return Err(No::TAKEN);
        }
        let event = origin.event(Action::ClientRegistered).user(by);
        self.record(event.client_system(id)).await?;
        self.machines.clients.create(&client, now).await?;
        Ok(client)
    }

    /// Says anew where a client may call from.
    pub(crate) async fn set_networks(
        &self,
        by: &str,
        (id, lines): (&str, &[String]),
        origin: &Origin,
    ) -> Result<Client, No> {
        let networks = networks(lines).map_err(No::content)?;
        self.machines.client(id, origin.now).await?;
        let event = origin.event(Action::AddressListChanged).user(by);
        let target = if networks.is_empty() {
            "nowhere".to_owned()
        } else {
            networks.join(" ")
        };
        self.record(event.client_system(id).target(&target)).await?;
        let change = move |client: &mut Client| client.networks.clone_from(&networks);
        Ok(self.machines.clients.change(id, origin.now, change).await?)
    }

    /// Puts a client into another tier.
    pub(crate) async fn set_tier(
        &self,
        by: &str,
        (id, tier): (&str, Tier),
        origin: &Origin,
    ) -> Result<Client, No> {
        let change = move |client: &mut Client| client.tier = tier;
        self.change_client(by, (id, tier.as_str()), change, origin)
            .await
    }

    /// Says whether a client may call.
    pub(crate) async fn set_client_enabled(
        &self,
        by: &str,
        (id, enabled): (&str, bool),
        origin: &Origin,
    ) -> Result<Client, No> {
        let target = if enabled { "enabled" } else { "disabled" };
        let change = move |client: &mut Client| client.enabled = enabled;
        self.change_client(by, (id, target), change, origin).await
    }

    async fn change_client(
        &self,
        by: &str,
        (id, target): (&str, &str),
        change: impl Fn(&mut Client) + Send + 'static,
        origin: &Origin,
    ) -> Result<Client, No> {
        self.machines.client(id, origin.now).await?;
        let event = origin.event(Action::ClientChanged).user(by);
        self.record(event.client_system(id).target(target)).await?;
        Ok(self.machines.clients.change(id, origin.now, change).await?)
    }

    /// Gives a client a key; what is secret of it is in the answer and nowhere else.
    pub(crate) async fn create_key(
        &self,
        by: &str,
        (client, label): (&str, &str),
        wanted: Wanted,
        origin: &Origin,
    ) -> Result<MadeKey, No> {
        self.machines.client(client, origin.now).await?;
        let label = key::label(label).map_err(No::content)?;
        let target = match &wanted {
            Wanted::ApiKey { .. } => format!("{} {label}", Kind::ApiKey.as_str()),
            Wanted::SigningSecret { .. } => format!("{} {label}", Kind::SigningSecret.as_str()),
            Wanted::PublicKey { issuer, pem } => {
                public_key::issuer(issuer).map_err(No::content)?;
                parse(pem)?;
                issuer.clone()
            }
        };
        let event = origin.event(Action::KeyCreated).user(by);
        self.record(event.client_system(client).target(&target))
            .await?;
        self.machines.make(client, label, wanted, origin.now).await
    }

    /// Puts a new key in the place of one that counts on through its grace. `pem` is the new public key,
    /// where it is one.
    pub(crate) async fn rotate_key(
        &self,
        by: &str,
        (client, id): (&str, &str),
        pem: Option<&str>,
        origin: &Origin,
    ) -> Result<MadeKey, No> {
        self.about_to_change(Action::KeyRotated, by, (client, id), origin)
            .await?;
        self.machines.rotate(client, id, pem, origin.now).await
    }

    /// Ends the grace of the key before the present one.
    pub(crate) async fn end_grace(
        &self,
        by: &str,
        (client, id): (&str, &str),
        origin: &Origin,
    ) -> Result<(), No> {
        self.about_to_change(Action::KeyRevoked, by, (client, id), origin)
            .await?;
        self.machines.end_grace(client, id, origin.now).await
    }

    /// Revokes a key: it is refused on the next request.
    pub(crate) async fn revoke_key(
        &self,
        by: &str,
        (client, id): (&str, &str),
        origin: &Origin,
    ) -> Result<(), No> {
        self.about_to_change(Action::KeyRevoked, by, (client, id), origin)
            .await?;
        self.machines.revoke(client, id, origin.now).await
    }

    /// Revokes the API keys that nobody used for that many days; their ids.
    pub(crate) async fn revoke_unused(
        &self,
        by: &str,
        (client, days): (&str, u32),
        origin: &Origin,
    ) -> Result<Vec<String>, No> {
        if days == 0 {
            return Err(No::content(
                "Name at least one day: a key made today is not unused.",
            ));
        }
        self.machines.client(client, origin.now).await?;
        let event = origin.event(Action::KeyRevoked).user(by);
        let target = format!("unused for {days} days");
        self.record(event.client_system(client).target(&target))
            .await?;
        let span = Duration::from_secs(u64::from(days).saturating_mul(super::settings::DAY_SECS));
        let revoked = self
            .machines
            .api_keys
            .revoke_unused(client, span, origin.now);
        let revoked = revoked.await.map_err(no)?;
        Ok(revoked.iter().map(ToString::to_string).collect())
    }

    /// Records what is about to be done to a key that is there.
    async fn about_to_change(
        &self,
        action: Action,
        by: &str,
        (client, id): (&str, &str),
        origin: &Origin,
    ) -> Result<(), No> {
        let keys = self.machines.keys(client, origin.now).await?;
        if !keys.iter().any(|key| key.id == id) {
            return Err(No::unknown("There is no such key."));
        }
        let event = origin.event(action).user(by);
        self.record(event.client_system(client).target(id)).await
    }
}

fn of_made(made: &api_key::Made, now: Timestamp) -> MadeKey {
    MadeKey {
        listed: of_api_key(&made.info, now),
        secret: Some(Secret::from(made.key.expose().as_bytes())),
    }
}

fn of_api_key(info: &KeyInfo, now: Timestamp) -> ListedKey {
    let scopes = info.scopes.join(" ");
    let detail = match (info.environment.as_str(), scopes.as_str()) {
        (environment, "") => environment.to_owned(),
        (environment, scopes) => format!("{environment}: {scopes}"),
    };
    ListedKey {
        id: info.id.to_string(),
        kind: Kind::ApiKey,
        label: info.label.clone(),
        detail,
        made_at: info.secret_made_at,
        expires_at: info.expires_at,
        previous_until: info.previous_until,
        last_used_at: info.last_used_at,
        revoked_at: info.revoked_at,
        state: match info.standing(now) {
            Standing::Active => State::Active,
            Standing::RotateBy(_) => State::RotateSoon,
            Standing::Revoked => State::Revoked,
            _ => State::Expired,
        },
    }
}

fn api_key_id(id: &str) -> Result<api_key::KeyId, No> {
    id.parse().map_err(|_| No::unknown("There is no such key."))
}

fn parse(pem: &str) -> Result<RsaPublicKey, No> {
    RsaPublicKey::from_pem(pem).map_err(|error| No::content(format!("The public key: {error}.")))
}

/// What a failed act on an API key says.
fn no(error: api_key::Error) -> No {
    match error {
        api_key::Error::Unknown => No::unknown("There is no such key."),
        error @ (api_key::Error::RotationUnderWay(_) | api_key::Error::Revoked) => {
            No::conflict(format!("{}.", crate::pages::sentence(&error.to_string())))
        }
        error => match error.reason() {
            Reason::BadRequest => No::content(format!("The key: {error}.")),
            reason => No::from(reason),
        },
    }
}

fn no_secret(error: SecretError) -> No {
    match error {
        SecretError::Record(error) => No::from(error),
        _ => No::from(Reason::Internal),
    }
}
