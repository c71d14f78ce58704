//! From an access token to the session it belongs to: the one arrow to `portcullis-jwt`.

use portcullis_core::{Store, Timestamp};
use portcullis_jwt::AccessToken;

use crate::{Error, Live, SessionId, Sessions};

impl<S: Store> Sessions<S> {
    /// The session that a verified access token names (`sid`), if it is alive and its subject's.
    ///
    /// # Errors
    /// [`Error::NotOfThisSession`] when the token names no session or another user's; else as
    /// [`Sessions::live`].
    pub async fn admit<C: Sync>(
        &self,
        token: &AccessToken<C>,
        now: Timestamp,
    ) -> Result<Live, Error> {
        let registered = token.registered();
        let session: SessionId = registered
            .sid
            .as_deref()
            .and_then(|sid| sid.parse().ok())
            .ok_or(Error::NotOfThisSession)?;
        let live = self.live(&session, now).await?;
        if registered.sub != live.user() {
            return Err(Error::NotOfThisSession);
        }
        Ok(live)
    }
}
