//! What is kept of client applications and their keys, whatever kind they are of.

use std::sync::Arc;
use std::time::Duration;

use portcullis::api_key::{self, ApiKeys, KeyInfo, NewKey, Standing};
use portcullis::core::{AnyStore, Reason, Sealer, Secret, Timestamp};
use portcullis::hmac_signing::{ReplayGuard, ReplayPolicy};
use portcullis::jwt::{
    self, AssertionPolicy, Assertions, HmacKey, KeySet, RsaPublicKey, Signer, Verifier,
};

use super::key::{Kind, ListedKey, State};
use super::public_key::PublicKeys;
use super::secret::{Form, SecretError, SigningSecrets};
use super::settings::{ClientSettings, WARNING_DAYS};
use super::{Client, Clients};
use crate::answer::No;
use crate::keys::RootKey;
use crate::opening::Fault;

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
        let secrets = self.secrets.keys.list(client, now).await?;
        keys.extend(secrets.iter().map(|held| held.listed(self.max_age(), now)));
        let public = self.public_keys.keys.list(client, now).await?;
        let shown = |held| PublicKeys::listed(held, self.max_age(), now);
        keys.extend(public.iter().map(shown));
        keys.sort_by_key(|key| {
            let over = matches!(key.state, State::Revoked | State::Expired);
            (over, std::cmp::Reverse(key.made_at))
        });
        Ok(keys)
    }

    /// Whether the client has that key, counting or not; no other key is read for it.
    pub(super) async fn refuse_no_key(
        &self,
        client: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<(), No> {
        let owner = match Kind::of(id) {
            Kind::ApiKey => self
                .api_keys
                .owner(api_key_id(id)?, now)
                .await
                .map_err(no)?,
            Kind::SigningSecret => self
                .secrets
                .keys
                .get(id, now)
                .await?
                .map(|held| held.client),
            Kind::PublicKey => self
                .public_keys
                .keys
                .get(id, now)
                .await?
                .map(|held| held.client),
        };
        if owner.as_deref() == Some(client) {
            return Ok(());
        }
        Err(No::unknown("There is no such key."))
    }

    /// Whether there is anything of that key to forget: the key, or its place on the list, where a forgetting or
    /// a creation was cut off.
    pub(super) async fn refuse_nothing_left(
        &self,
        client: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<(), No> {
        let left = match Kind::of(id) {
            // Its crate frees such a place by itself.
            Kind::ApiKey => false,
            Kind::SigningSecret => self.secrets.keys.is_left((client, id), now).await?,
            Kind::PublicKey => self.public_keys.keys.is_left((client, id), now).await?,
        };
        if left {
            return Ok(());
        }
        self.refuse_no_key(client, id, now).await
    }

    pub(super) async fn make(
        &self,
        client: &str,
        label: &str,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<MadeKey, No> {
        match wanted {
            Wanted::ApiKey { scopes } => {
                let new = self.new_api_key(label, &scopes)?;
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
                    listed: PublicKeys::listed(&held, self.max_age(), now),
                    secret: None,
                })
            }
        }
    }

    pub(super) fn new_api_key(&self, label: &str, scopes: &[String]) -> Result<NewKey, No> {
        let new = NewKey::new(label, self.settings.api_key_environment).map_err(no)?;
        let with = |new: NewKey, scope: &String| new.scope(scope).map_err(no);
        scopes.iter().try_fold(new, with)
    }

    pub(super) async fn rotate(
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
                    listed: PublicKeys::listed(&held, self.max_age(), now),
                    secret: None,
                })
            }
            (kind, pem) => Err(refuse_other_material(kind, pem)
                .err()
                .unwrap_or(Reason::Internal.into())),
        }
    }

    pub(super) async fn end_grace(&self, client: &str, id: &str, now: Timestamp) -> Result<(), No> {
        match Kind::of(id) {
            Kind::ApiKey => {
                let ended = self.api_keys.end_grace(client, api_key_id(id)?, now).await;
                ended.map(drop).map_err(no)
            }
            Kind::SigningSecret => {
                self.secrets.keys.end_grace((client, id), now).await?;
                Ok(())
            }
            Kind::PublicKey => {
                self.public_keys.keys.end_grace((client, id), now).await?;
                Ok(())
            }
        }
    }

    pub(super) async fn forget(&self, client: &str, id: &str, now: Timestamp) -> Result<(), No> {
        let (key, age) = ((client, id), self.max_age());
        match Kind::of(id) {
            Kind::ApiKey => {
                let forgotten = self.api_keys.forget(client, api_key_id(id)?, now).await;
                forgotten.map_err(no)
            }
            Kind::SigningSecret => Ok(self.secrets.keys.forget(key, age, now).await?),
            Kind::PublicKey => Ok(self.public_keys.keys.forget(key, age, now).await?),
        }
    }

    pub(super) async fn revoke(&self, client: &str, id: &str, now: Timestamp) -> Result<(), No> {
        match Kind::of(id) {
            Kind::ApiKey => {
                let revoked = self.api_keys.revoke(client, api_key_id(id)?, now).await;
                revoked.map(drop).map_err(no)
            }
            Kind::SigningSecret => {
                self.secrets.keys.revoke((client, id), now).await?;
                Ok(())
            }
            Kind::PublicKey => {
                self.public_keys.keys.revoke((client, id), now).await?;
                Ok(())
            }
        }
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

/// A public key is the client's own to make, and every other key the service's.
pub(super) fn refuse_other_material(kind: Kind, pem: Option<&str>) -> Result<(), No> {
    match (kind, pem) {
        (Kind::PublicKey, Some(pem)) => parse(pem).map(drop),
        (Kind::PublicKey, None) => Err(No::content(
            "A public key is replaced by a new one: send it as PEM.",
        )),
        (_, Some(_)) => Err(No::content(
            "The service makes this key itself: send no PEM.",
        )),
        (_, None) => Ok(()),
    }
}

fn api_key_id(id: &str) -> Result<api_key::KeyId, No> {
    id.parse().map_err(|_| No::unknown("There is no such key."))
}

pub(super) fn parse(pem: &str) -> Result<RsaPublicKey, No> {
    RsaPublicKey::from_pem(pem).map_err(|error| match error {
        jwt::Error::Key(why) => No::content(format!("The public key: {why}.")),
        _ => No::from(Reason::Internal),
    })
}

/// What a failed act on an API key says.
pub(super) fn no(error: api_key::Error) -> No {
    match error {
        api_key::Error::Unknown => No::unknown("There is no such key."),
        api_key::Error::TooManyKeys => No::FULL,
        error @ (api_key::Error::RotationUnderWay(_)
        | api_key::Error::Revoked
        | api_key::Error::StillCounts) => {
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
