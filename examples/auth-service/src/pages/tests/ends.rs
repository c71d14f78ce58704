//! Acts upon keys whose caller hangs up: what has begun comes to its end.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use portcullis::core::{Clock, SystemClock};

use super::Browser;
use super::clients::with_client;
use crate::clients::machines::Wanted;
use crate::clients::secret::Form;
use crate::origin::Origin;

/// Asks once, which begins it, and hangs up.
async fn hang_up<F: Future>(act: F) {
    let mut act: Pin<Box<F>> = Box::pin(act);
    let once = std::future::poll_fn(|context| Poll::Ready(act.as_mut().poll(context)));
    assert!(once.await.is_pending(), "there was nothing to hang up on");
}

async fn signing_secrets(browser: &Browser) -> Vec<String> {
    let keys = browser.app.machines.keys("billing", SystemClock.now());
    keys.await.unwrap().into_iter().map(|key| key.id).collect()
}

/// Waits for it, half a minute at most.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waited).await;
    assert!(waited.is_ok(), "never: {what}");
}

#[tokio::test]
async fn a_key_is_made_and_forgotten_whole_though_whoever_asked_hangs_up() {
    let (browser, _) = with_client("billing").await;
    let (app, now) = (&browser.app, SystemClock.now());
    let origin = Origin::of_nobody(now);
    let wanted = Wanted::SigningSecret { form: Form::V1 };
    hang_up(app.create_key("chief", ("billing", "hooks"), wanted, &origin)).await;
    until("the key is listed", async || {
        signing_secrets(&browser).await.len() == 1
    })
    .await;

    let id = signing_secrets(&browser).await.remove(0);
    let key = ("billing", id.as_str());
    app.revoke_key("chief", key, &origin).await.unwrap();
    hang_up(app.forget_key("chief", key, &origin)).await;
    let held = &app.machines.secrets.keys;
    until("the key is forgotten", async || {
        held.get(&id, now).await.unwrap().is_none()
    })
    .await;
    until("its place is free", async || {
        app.forget_key("chief", key, &origin).await.is_err()
    })
    .await;
}
