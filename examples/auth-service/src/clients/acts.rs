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
        let shown = |held| PublicKeys::listed(held, self.max_age(), now);
        keys.extend(public.iter().map(shown));
        keys.sort_by_key(|key| {
            let over = matches!(key.state, State::Revoked | State::Expired);
            (over, std::cmp::Reverse(key.made_at))
        });
        Ok(keys)
    }

    /// Whether the client has that key, counting or not; no other key is read for it.
    async fn refuse_no_key(&self, client: &str, id: &str, now: Timestamp) -> Result<(), No> {
        let owner = match Kind::of(id) {
            Kind::ApiKey => self
                .api_keys
                .owner(api_key_id(id)?, now)
                .await
                .map_err(no)?,
            Kind::SigningSecret => self.secrets.get(id, now).await?.map(|held| held.client),
            Kind::PublicKey => self.public_keys.get(id, now).await?.map(|held| held.client),
        };
        if owner.as_deref() == Some(client) {
            return Ok(());
        }
        Err(No::unknown("There is no such key."))
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

    fn new_api_key(&self, label: &str, scopes: &[String]) -> Result<NewKey, No> {
        let new = NewKey::new(label, self.settings.api_key_environment).map_err(no)?;
        let with = |new: NewKey, scope: &String| new.scope(scope).map_err(no);
        scopes.iter().try_fold(new, with)
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
                    listed: PublicKeys::listed(&held, self.max_age(), now),
                    secret: None,
                })
            }
            (kind, pem) => Err(refuse_other_material(kind, pem)
                .err()
                .unwrap_or(Reason::Internal.into())),
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

    async fn forget(&self, client: &str, id: &str, now: Timestamp) -> Result<(), No> {
        let (key, age) = ((client, id), self.max_age());
        match Kind::of(id) {
            Kind::ApiKey => {
                let forgotten = self.api_keys.forget(client, api_key_id(id)?, now).await;
                forgotten.map_err(no)
            }
            Kind::SigningSecret => Ok(self.secrets.forget(key, age, now).await?),
            Kind::PublicKey => Ok(self.public_keys.forget(key, age, now).await?),
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
        // All of them: a list that was cut in the log would hide what stands at its end.
        for target in in_pieces(&networks) {
            let event = origin.event(Action::AddressListChanged).user(by);
            self.record(event.client_system(id).target(&target)).await?;
        }
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
        let event = |target: &str| {
            let event = origin.event(Action::KeyCreated).user(by);
            event.client_system(client).target(target)
        };
        match &wanted {
            Wanted::ApiKey { scopes } => self.machines.new_api_key(label, scopes).map(drop)?,
            Wanted::SigningSecret { .. } => {}
            Wanted::PublicKey { issuer, pem } => {
                public_key::issuer(issuer).map_err(No::content)?;
                parse(pem)?;
                // Whoever holds the private key may call at once.
                self.record(event(issuer)).await?;
                return self.machines.make(client, label, wanted, origin.now).await;
            }
        }
        // Recorded by its id before anybody holds it: what is not recorded is not shown, and revoked.
        let made = self
            .machines
            .make(client, label, wanted, origin.now)
            .await?;
        if let Err(no) = self.record(event(&made.listed.id)).await {
            self.machines
                .revoke(client, &made.listed.id, origin.now)
                .await?;
            return Err(no);
        }
        Ok(made)
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
        refuse_other_material(Kind::of(id), pem)?;
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
        let keys = self.machines.keys(client, origin.now).await?;
        let key = keys.iter().find(|key| key.id == id);
        let key = key.ok_or(No::unknown("There is no such key."))?;
        if key.previous_until.is_none_or(|until| until <= origin.now) {
            return Err(No::conflict("No key before it counts."));
        }
        let event = origin.event(Action::KeyRevoked).user(by);
        let target = format!("{id}: the one before");
        self.record(event.client_system(client).target(&target))
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

    /// Takes a key that counts no more off the list, where there is room for so many.
    pub(crate) async fn forget_key(
        &self,
        by: &str,
        (client, id): (&str, &str),
        origin: &Origin,
    ) -> Result<(), No> {
        self.about_to_change(Action::KeyForgotten, by, (client, id), origin)
            .await?;
        self.machines.forget(client, id, origin.now).await
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
        let revoked: Vec<String> = revoked.iter().map(ToString::to_string).collect();
        for id in &revoked {
            let event = origin.event(Action::KeyRevoked).user(by);
            self.record(event.client_system(client).target(id)).await?;
        }
        Ok(revoked)
    }

    /// Records what is about to be done to a key that is there.
    async fn about_to_change(
        &self,
        action: Action,
        by: &str,
        (client, id): (&str, &str),
        origin: &Origin,
    ) -> Result<(), No> {
        self.machines.refuse_no_key(client, id, origin.now).await?;
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

/// A public key is the client's own to make, and every other key the service's.
fn refuse_other_material(kind: Kind, pem: Option<&str>) -> Result<(), No> {
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

/// Networks in as many texts as fit into a field of an event each, numbered where they are several.
fn in_pieces(networks: &[String]) -> Vec<String> {
    if networks.is_empty() {
        return vec!["nowhere".to_owned()];
    }
    // A network has 43 characters at most.
    let pieces: Vec<String> = networks.chunks(5).map(|some| some.join(" ")).collect();
    match pieces.as_slice() {
        [_] => pieces,
        several => (1_usize..)
            .zip(several)
            .map(|(at, piece)| format!("{at}/{}: {piece}", several.len()))
            .collect(),
    }
}

fn api_key_id(id: &str) -> Result<api_key::KeyId, No> {
    id.parse().map_err(|_| No::unknown("There is no such key."))
}

fn parse(pem: &str) -> Result<RsaPublicKey, No> {
    RsaPublicKey::from_pem(pem).map_err(|error| match error {
        jwt::Error::Key(why) => No::content(format!("The public key: {why}.")),
        _ => No::from(Reason::Internal),
    })
}

/// What a failed act on an API key says.
fn no(error: api_key::Error) -> No {
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

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::audit::{Event, Field};

    #[test]
    fn no_network_of_a_long_list_is_cut_in_the_log() {
        let longest = "2001:db8:1111:2222:3333:4444:5555:6600/120";
        for count in [0, 1, 5, 6, 64] {
            let networks = vec![longest.to_owned(); count];
            let pieces = in_pieces(&networks);
            let logged = pieces.iter().map(|piece| {
                let now = Timestamp::from_unix_secs(1_700_000_000);
                let event = Event::new(Action::AddressListChanged, now).target(piece);
                event.text(Field::Target).unwrap().matches(longest).count()
            });
            assert_eq!(logged.sum::<usize>(), count);
        }
    }
}
