//! Client applications: machines that call with keys of their own, from addresses registered for them.
//!
//! | File | What it is about |
//! |---|---|
//! | `mod` | the clients themselves: name, tier, addresses |
//! | `owned`, `secret`, `public_key` | what they sign with: shared secrets, sealed at rest, and registered public keys |
//! | `machines` | all kinds of keys, by one name |
//! | `acts` | what administrators do to clients and their keys |
//! | `caller`, `bearer`, `signed` | who calls, proved by a token or by a signature |
//! | `limit` | how often, by tier |

pub(crate) mod acts;
pub(crate) mod bearer;
pub(crate) mod caller;
pub(crate) mod key;
pub(crate) mod limit;
pub(crate) mod machines;
pub(crate) mod owned;
pub(crate) mod public_key;
pub(crate) mod secret;
pub(crate) mod settings;
pub(crate) mod signed;

use std::net::IpAddr;

use portcullis::core::{AnyStore, Index, IndexError, Scope, Timestamp};
use portcullis::ip_list::{AddressList, ListError, Verdict};
use serde::{Deserialize, Serialize};

use crate::records::{RecordError, Records};

/// How often a client may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tier {
    Standard,
    Premium,
}

impl Tier {
    pub(crate) const ALL: [Self; 2] = [Self::Standard, Self::Premium];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Premium => "premium",
        }
    }
}

/// A client application at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client {
    /// Its name, and its id everywhere.
    pub(crate) id: String,
    pub(crate) tier: Tier,
    /// The networks it may call from; without any it calls from nowhere.
    pub(crate) networks: Vec<String>,
    /// Whether it may call.
    pub(crate) enabled: bool,
    /// When it was registered, in nanoseconds since the Unix epoch.
    pub(crate) created_at: u64,
}

impl Client {
    /// Whether it may call from there. Networks that do not parse admit nobody.
    pub(crate) fn may_call_from(&self, address: IpAddr) -> bool {
        let list = AddressList::only(&self.networks);
        list.is_ok_and(|list| list.check(address) == Verdict::Admitted)
    }
}

/// A client's name: 1 to 64 of `a-z 0-9 -`, a letter first.
pub(crate) fn client_name(text: &str) -> Result<&str, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase());
    if !begins || text.len() > NAME_BYTES || !text.bytes().all(plain) {
        return Err("A client's name is 1 to 64 of a-z, 0-9 and -, and begins with a letter.");
    }
    Ok(text)
}

/// The networks, each in the form it is listed by.
///
/// # Errors
/// What is wrong with them, for a person.
pub(crate) fn networks<T: AsRef<str>>(lines: &[T]) -> Result<Vec<String>, String> {
    if lines.len() > NETWORKS {
        return Err(format!("A client calls from {NETWORKS} networks at most."));
    }
    let list = AddressList::only(lines);
    list.map_err(|error| match error {
        ListError::Entry { at, error } => {
            format!("Network {}: {error}.", at.saturating_add(1))
        }
        error => format!("The networks: {error}."),
    })?;
    Ok(lines.iter().map(|line| line.as_ref().to_owned()).collect())
}

/// All clients, in the store.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    store: AnyStore,
    records: Records<Client>,
}

impl Clients {
    /// The clients kept in `store`.
    pub(crate) fn new(store: AnyStore) -> Self {
        let records = Records::new(store.clone(), CLIENT, "There is no such client.");
        Self { store, records }
    }

    /// Registers a client. The list learns the name first: a record outside the list would be lost.
    pub(crate) async fn create(&self, client: &Client, now: Timestamp) -> Result<(), RecordError> {
        NAMES
            .insert(&self.store, b"", client.id.as_bytes(), now)
            .await?;
        self.records.create(&client.id, client, now).await
    }

    /// The client of that name.
    pub(crate) async fn get(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Client>, RecordError> {
        self.records.get(id, now).await
    }

    /// Every client, sorted by name.
    pub(crate) async fn list(&self, now: Timestamp) -> Result<Vec<Client>, RecordError> {
        let mut clients = Vec::new();
        for id in listed(&NAMES, &self.store, b"", now).await? {
            // A name whose record was never written is a registration that did not finish.
            clients.extend(self.get(&id, now).await?);
        }
        Ok(clients)
    }

    /// Changes a client as one act.
    pub(crate) async fn change(
        &self,
        id: &str,
        now: Timestamp,
        change: impl Fn(&mut Client) + Send + 'static,
    ) -> Result<Client, RecordError> {
        let change = move |client: &mut Client| {
            change(client);
            Ok(())
        };
        self.records.change(id, now, change).await
    }
}

/// An owner's members of an index, as texts.
pub(crate) async fn listed(
    index: &Index,
    store: &AnyStore,
    owner: &[u8],
    now: Timestamp,
) -> Result<Vec<String>, RecordError> {
    let members = index.members(store, owner, now).await;
    let members = members.map_err(|error: IndexError| RecordError::Index(error))?;
    let text = |member| String::from_utf8(member).map_err(|_| RecordError::Corrupt);
    members.into_iter().map(text).collect()
}

const CLIENT: Scope = Scope::new("client");
/// Up to 4 × 500 clients.
const NAMES: Index = Index::new(Scope::new("client-names"), 4, 500);
const NAME_BYTES: usize = 64;
const NETWORKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn client(networks: &[&str]) -> Client {
        Client {
            id: "billing".into(),
            tier: Tier::Standard,
            networks: networks.iter().map(|network| (*network).into()).collect(),
            enabled: true,
            created_at: 0,
        }
    }

    #[test]
    fn a_client_without_networks_or_with_a_broken_one_calls_from_nowhere() {
        let here: IpAddr = [127, 0, 0, 1].into();
        assert!(client(&["127.0.0.0/8"]).may_call_from(here));
        for networks in [
            &[][..],
            &["127.0.0.1/8"],
            &["127.0.0.0/8", "all"],
            &["10.0.0.0/8"],
        ] {
            assert!(!client(networks).may_call_from(here), "{networks:?}");
        }
    }

    #[test]
    fn names_that_could_be_a_path_or_another_clients_are_refused() {
        for name in [
            "",
            "Billing",
            "1st",
            "-a",
            "a/b",
            "a b",
            "é",
            "..",
            &"a".repeat(65),
        ] {
            assert!(client_name(name).is_err(), "{name}");
        }
        assert_eq!(client_name("billing-2"), Ok("billing-2"));
    }

    #[test]
    fn a_broken_network_is_refused_by_its_place() {
        let refused = networks(&["10.0.0.0/8", "10.0.0.1/8"]).unwrap_err();
        assert!(refused.starts_with("Network 2: "), "{refused}");
        assert!(networks(&["::1/128"; 65]).is_err());
    }
}
