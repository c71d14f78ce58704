//! A partner signs an order; the service takes it once, and nothing that was made of it.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use portcullis_core::{Clock, Memory, Secret, SystemClock, Timestamp};
use portcullis_hmac_signing::{
    Component, Error, KeyId, Policy, ReplayGuard, ReplayPolicy, Secrets, SignedRequest, Signer,
    SigningKey, V1, Verifier,
};

/// The service's part, with what it knows of its one partner.
struct Service {
    verifier: Verifier<V1>,
    partner: Secrets,
    guard: ReplayGuard<Memory>,
}

impl Service {
    async fn take(&self, head: &Parts, body: &str, now: Timestamp) -> Result<SignedRequest, Error> {
        let begun = self.verifier.begin(head, now)?;
        // Here a service looks the key up, reads the body, and then the clock again.
        let known = begun.key_id().as_str() == "partner-7";
        let secrets = known.then_some(&self.partner);
        let unclaimed = begun.verify(secrets, Bytes::copy_from_slice(body.as_bytes()), now)?;
        unclaimed.claim(&self.guard, now).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    let (old, new) = (Secret::generate::<32>()?, Secret::generate::<32>()?);
    let (old, new) = (SigningKey::new(old)?, SigningKey::new(new)?);
    let scheme = V1::new("orders")?;
    let day = Duration::from_secs(86_400);
    let yesterday = now.saturating_sub(day);
    let mut service = Service {
        verifier: Verifier::new(scheme.clone(), Policy::requiring(Component::ALL))?,
        // The partner has been given a new secret just now and may use the old one for a day. When each
        // was made is kept beside it: the service had been running for an hour when the new one was.
        partner: Secrets::new(new.clone())
            .made_at(now)
            .and_previous(old.clone(), now.saturating_add(day))
            .previous_made_at(yesterday),
        guard: remembering_since(now.saturating_sub(Duration::from_secs(3_600))),
    };

    let signer = Signer::new(scheme.clone(), KeyId::parse("partner-7")?, old);
    let mut request = Request::post("https://api.example.com/v1/orders?urgent=no")
        .header("content-type", "application/json")
        .body(r#"{"item":7}"#)?;
    signer.sign(&mut request, now)?;
    println!("{:?}", request.headers());
    let (head, body) = request.into_parts();

    let dearer = service.take(&head, r#"{"item":8}"#, now).await;
    println!("another body: {}", text(&dearer));
    let mut urgent = head.clone();
    urgent.uri = "https://api.example.com/v1/orders?urgent=yes".parse()?;
    println!(
        "another query: {}",
        text(&service.take(&urgent, body, now).await)
    );
    let late = now.saturating_add(Duration::from_secs(301));
    println!("too late: {}", text(&service.take(&head, body, late).await));

    let signed = service.take(&head, body, now).await?;
    println!("taken: {:?} {:?}", signed.path(), signed.body());
    println!("by the old secret: {}", signed.by_previous_secret());
    println!("again: {}", text(&service.take(&head, body, now).await));
    // Restarted, it has forgotten; the old secret is older than its memory, so it refuses what it may have seen.
    service.guard = remembering_since(now);
    println!(
        "again, after a restart: {}",
        text(&service.take(&head, body, now).await)
    );

    let signer = Signer::new(scheme, KeyId::parse("partner-8")?, new);
    let mut request = Request::get("https://api.example.com/v1/orders").body("")?;
    signer.sign(&mut request, now)?;
    let (head, body) = request.into_parts();
    println!(
        "nobody's key: {}",
        text(&service.take(&head, body, now).await)
    );
    Ok(())
}

fn remembering_since(birth: Timestamp) -> ReplayGuard<Memory> {
    ReplayGuard::new(Memory::new(birth), ReplayPolicy::default())
}

fn text(answer: &Result<SignedRequest, Error>) -> String {
    match answer {
        Ok(_) => "taken".to_owned(),
        Err(refused) => format!("{refused} ({})", refused.reason()),
    }
}
