//! The users: records in the store, by their normalised name.

use portcullis::core::{AnyStore, Index, Scope, Secret, Timestamp, entropy};
use portcullis::lockout::AccountName;
use portcullis::sign_in::{Credential, Directory, DirectoryError};
use serde::{Deserialize, Serialize};

use crate::records::{RecordError, Records};

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Signs in and calls.
    User,
    /// Manages users, lockouts and the audit log.
    Admin,
}

impl Role {
    /// The role's name in tokens.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// A user at rest. The normalised name is the user's id everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    /// The normalised name.
    pub(crate) name: String,
    /// Where the user is written to.
    pub(crate) email: String,
    /// What the user may do.
    pub(crate) role: Role,
    /// The password's hash, as a PHC string.
    pub(crate) password_hash: String,
    /// Whether the user may sign in.
    pub(crate) enabled: bool,
    /// Whether the password must be changed before anything else.
    pub(crate) must_change_password: bool,
    /// Grows with every change of the credential; what was begun under an older one ends.
    pub(crate) epoch: u64,
    /// When the user was made, in nanoseconds since the Unix epoch.
    pub(crate) created_at: u64,
}

/// All users, in the store.
#[derive(Clone, Debug)]
pub(crate) struct Users {
    store: AnyStore,
    records: Records<User>,
}

impl Users {
    /// The users kept in `store`.
    pub(crate) fn new(store: AnyStore) -> Self {
        let records = Records::new(store.clone(), USER, "There is no such user.");
        Self { store, records }
    }

    /// Makes a user. The list learns the name first: a record outside the list would be lost.
    pub(crate) async fn create(&self, user: User, now: Timestamp) -> Result<(), RecordError> {
        NAMES
            .insert(&self.store, b"", user.name.as_bytes(), now)
            .await?;
        self.records.create(&user.name, &user, now).await
    }

    /// The user of that normalised name.
    pub(crate) async fn get(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<User>, RecordError> {
        self.records.get(name, now).await
    }

    /// Every user, sorted by name.
    pub(crate) async fn list(&self, now: Timestamp) -> Result<Vec<User>, RecordError> {
        let mut users = Vec::new();
        for name in NAMES.members(&self.store, b"", now).await? {
            let name = String::from_utf8(name).map_err(|_| RecordError::Corrupt)?;
            // A name whose record was never written is a creation that did not finish.
            users.extend(self.get(&name, now).await?);
        }
        Ok(users)
    }

    /// Opens or closes an account.
    pub(crate) async fn set_enabled(
        &self,
        name: &str,
        enabled: bool,
        now: Timestamp,
    ) -> Result<User, RecordError> {
        self.records
            .change(name, now, move |user| {
                user.epoch = user
                    .epoch
                    .saturating_add(u64::from(user.enabled != enabled));
                user.enabled = enabled;
                Ok(())
            })
            .await
    }

    /// Replaces the password, if the credential is still the one that was verified.
    pub(crate) async fn set_password(
        &self,
        name: &str,
        epoch: u64,
        hash: String,
        now: Timestamp,
    ) -> Result<User, RecordError> {
        self.records
            .change(name, now, move |user| {
                if user.epoch != epoch {
                    return Err(RecordError::Changed);
                }
                user.password_hash.clone_from(&hash);
                user.must_change_password = false;
                user.epoch = user.epoch.saturating_add(1);
                Ok(())
            })
            .await
    }

    /// Gives a user a password that must be changed first, whoever knew the old one.
    pub(crate) async fn reset_password(
        &self,
        name: &str,
        hash: String,
        now: Timestamp,
    ) -> Result<User, RecordError> {
        self.records
            .change(name, now, move |user| {
                user.password_hash.clone_from(&hash);
                user.must_change_password = true;
                user.epoch = user.epoch.saturating_add(1);
                Ok(())
            })
            .await
    }
}

impl Directory for Users {
    async fn find(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Option<Credential>, DirectoryError> {
        let user = self
            .get(name.as_str(), now)
            .await
            .map_err(|_| DirectoryError)?;
        Ok(user.map(|user| Credential {
            user_id: user.name,
            password_hash: user.password_hash,
            enabled: user.enabled,
            must_change: user.must_change_password,
            epoch: user.epoch,
        }))
    }

    async fn replace_password(
        &self,
        name: &AccountName,
        epoch: u64,
        password_hash: String,
        now: Timestamp,
    ) -> Result<Option<u64>, DirectoryError> {
        match self
            .set_password(name.as_str(), epoch, password_hash, now)
            .await
        {
            Ok(user) => Ok(Some(user.epoch)),
            Err(RecordError::Changed | RecordError::Unknown(_)) => Ok(None),
            Err(_) => Err(DirectoryError),
        }
    }
}

/// A password nobody chose: 120 random bits in letters and digits that cannot be confused.
pub(crate) fn one_time_password() -> Result<Secret, portcullis::core::EntropyUnavailable> {
    let bytes = Secret::from(entropy::<15>()?.as_slice());
    let letters = data_encoding::BASE32_DNSCURVE.encode(bytes.expose());
    Ok(Secret::from(letters))
}

const USER: Scope = Scope::new("user");
/// Up to 16 × 1000 users: this service is an example, not a directory.
const NAMES: Index = Index::new(Scope::new("user-names"), 16, 1000);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{decode, encode};
    use portcullis::core::Memory;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    fn user(name: &str) -> User {
        User {
            name: name.into(),
            email: format!("{name}@example.org"),
            role: Role::User,
            password_hash: "$argon2id$".into(),
            enabled: true,
            must_change_password: true,
            epoch: 1,
            created_at: NOW.as_unix_nanos(),
        }
    }

    fn users() -> Users {
        Users::new(AnyStore::new(Memory::new(NOW)))
    }

    #[tokio::test]
    async fn a_name_is_taken_once() {
        let users = users();
        assert_eq!(users.create(user("alice"), NOW).await, Ok(()));
        let mut other = user("alice");
        other.role = Role::Admin;
        assert_eq!(users.create(other, NOW).await, Err(RecordError::Taken));
        assert_eq!(users.get("alice", NOW).await, Ok(Some(user("alice"))));
        assert_eq!(users.list(NOW).await, Ok(vec![user("alice")]));
    }

    #[tokio::test]
    async fn a_password_verified_under_an_older_credential_changes_nothing() {
        let users = users();
        users.create(user("alice"), NOW).await.unwrap();
        let changed = users
            .set_password("alice", 1, "$new".into(), NOW)
            .await
            .unwrap();
        assert_eq!((changed.epoch, changed.must_change_password), (2, false));
        let stale = users.set_password("alice", 1, "$old".into(), NOW).await;
        assert_eq!(stale, Err(RecordError::Changed));
        assert_eq!(
            users
                .get("alice", NOW)
                .await
                .unwrap()
                .unwrap()
                .password_hash,
            "$new"
        );
    }

    #[tokio::test]
    async fn closing_an_account_changes_its_epoch_and_nobody_is_made_by_it() {
        let users = users();
        users.create(user("alice"), NOW).await.unwrap();
        assert_eq!(
            users.set_enabled("alice", false, NOW).await.unwrap().epoch,
            2
        );
        assert_eq!(
            users.set_enabled("alice", false, NOW).await.unwrap().epoch,
            2
        );
        assert_eq!(
            users.set_enabled("bob", true, NOW).await,
            Err(RecordError::Unknown("There is no such user."))
        );
        assert_eq!(users.list(NOW).await.unwrap().len(), 1);
    }

    #[test]
    fn records_of_another_version_or_shape_are_refused() {
        let good = encode(&user("alice")).unwrap();
        assert_eq!(decode(&good), Ok(user("alice")));
        for record in [
            &b""[..],
            b"\x02{}",
            b"\x01{}",
            b"\x01{\"name\":\"a\",\"more\":1}",
        ] {
            assert_eq!(decode::<User>(record), Err(RecordError::Corrupt));
        }
    }

    #[test]
    fn one_time_passwords_are_long_and_differ() {
        let (one, two) = (one_time_password().unwrap(), one_time_password().unwrap());
        assert_eq!(one.len(), 24);
        assert_ne!(one, two);
    }
}
