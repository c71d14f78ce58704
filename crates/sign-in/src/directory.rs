//! The application's users, as far as a login needs them.

use std::fmt;
use std::future::Future;

use portcullis_core::Timestamp;
use portcullis_lockout::AccountName;

/// The table of users that the application owns.
///
/// # What a wrong answer costs whoever implements it
/// A credential of another user lets one in as the other. `None` for a user who exists refuses a
/// right password and counts a failure. A look-up that takes longer for users who exist tells who
/// does: put no cache in front that keeps only hits. A user found under several names (an alias, an
/// e-mail address) gives a guesser the lockout's limit once for each.
pub trait Directory: Send + Sync {
    /// The credential of the user of that name, or none.
    ///
    /// # Errors
    /// [`DirectoryError`] when that cannot be said now; the login is refused and nothing counted.
    fn find(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Credential>, DirectoryError>> + Send;

    /// Replaces the password's hash, ends the duty to change it and raises the epoch, as one act, if
    /// the credential's epoch is still `epoch`. Answers the new epoch, or none if it was not.
    ///
    /// # Errors
    /// [`DirectoryError`] when that cannot be done now, or its answer was lost; all of the user's
    /// sessions are ended then, in case it was done.
    fn replace_password(
        &self,
        name: &AccountName,
        epoch: u64,
        password_hash: String,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<u64>, DirectoryError>> + Send;
}

/// What a login needs to know of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user's id, as sessions and the audit log name it.
    pub user_id: String,
    /// The password's hash, a PHC string.
    pub password_hash: String,
    /// Whether the user may sign in.
    pub enabled: bool,
    /// Whether the password must be changed before anything else.
    pub must_change: bool,
    /// Grows whenever the credential changes: a new password, an account closed or opened. What was
    /// begun under an older one ends.
    pub epoch: u64,
}

impl fmt::Debug for Credential {
    /// Nothing of the user's but whether and since when it counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("enabled", &self.enabled)
            .field("must_change", &self.must_change)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// The table of users cannot be asked now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the table of users cannot be asked now")]
pub struct DirectoryError;
