//! What an administrator does to client applications and their keys; for the calls and the pages alike.
//!
//! Each act is in the audit log before it is done: one that failed after is over-reported, none goes
//! unseen. A key that the service makes is there by its id before it is shown, and revoked if it cannot be.

use std::sync::Arc;
use std::time::Duration;

use portcullis::audit::Action;

use super::key::{self, Kind};
use super::machines::{MadeKey, Wanted, no, parse, refuse_other_material};
use super::settings::DAY_SECS;
use super::{Client, Tier, client_name, networks, public_key};
use crate::answer::No;
use crate::app::App;
use crate::origin::Origin;

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

    /// Gives a client a key; what is secret of it is in the answer and nowhere else. Goes on to its end if the
    /// caller hangs up: a key is listed, kept and recorded, or none of it.
    pub(crate) async fn create_key(
        self: &Arc<Self>,
        by: &str,
        (client, label): (&str, &str),
        wanted: Wanted,
        origin: &Origin,
    ) -> Result<MadeKey, No> {
        let (app, by, origin) = (Arc::clone(self), by.to_owned(), origin.clone());
        let (client, label) = (client.to_owned(), label.to_owned());
        let made = async move {
            let key = (client.as_str(), label.as_str());
            app.created_key(&by, key, wanted, &origin).await
        };
        self.to_its_end(made).await
    }

    async fn created_key(
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

    /// Takes a key that counts no more off the list, where there is room for so many. Goes on to its end if the
    /// caller hangs up.
    pub(crate) async fn forget_key(
        self: &Arc<Self>,
        by: &str,
        (client, id): (&str, &str),
        origin: &Origin,
    ) -> Result<(), No> {
        let (app, by, origin) = (Arc::clone(self), by.to_owned(), origin.clone());
        let (client, id) = (client.to_owned(), id.to_owned());
        let forgotten = async move {
            let (machines, now) = (&app.machines, origin.now);
            machines.refuse_nothing_left(&client, &id, now).await?;
            let event = origin.event(Action::KeyForgotten).user(&by);
            app.record(event.client_system(&client).target(&id)).await?;
            machines.forget(&client, &id, now).await
        };
        self.to_its_end(forgotten).await
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
        let span = Duration::from_secs(u64::from(days).saturating_mul(DAY_SECS));
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

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::audit::{Event, Field};
    use portcullis::core::Timestamp;

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
