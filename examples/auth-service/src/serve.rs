//! Starts, announces, listens, and stops in good order.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::ServiceExt;
use axum::extract::Request;
use axum::middleware::map_request;
use axum::serve::Listener as _;
use portcullis::audit::{Action, Event};
use portcullis::core::{Clock, SystemClock};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::app::App;
use crate::listen::{Listener, Peer, tell_peer};
use crate::routes;
use crate::settings::Settings;
use crate::site;
use crate::tls::Tls;

/// Runs the service until it is told to stop.
pub(crate) async fn serve(mut settings: Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    site::refuse_exposed(&settings)?;
    let tls = match settings.tls_files() {
        Some((cert, key)) => Some(Arc::new(Tls::open(cert, key)?)),
        None => None,
    };
    let now = SystemClock.now();
    // The port first: a service that cannot listen must not have made anybody's password.
    let listener = Listener::bind(settings.address, tls.clone()).await;
    let listener = listener.map_err(|error| format!("{}: {error}", settings.address))?;
    // The port that was given, where any would do: pages know what site they are of.
    settings.address = listener.local_addr()?;
    let address = settings.address;
    let app = App::open(settings, now, &mut announce).await?;
    announce("how to use it: GET /, or examples/auth-service/README.md");
    let scheme = match &tls {
        Some(tls) => tls.reread_on_hangup().map(|()| "https")?,
        None => "http",
    };
    announce(&format!("listening on {scheme}://{address}"));
    let started = app.record(Event::new(Action::ServiceStarted, now)).await;
    started.map_err(|_| "the audit log takes no record")?;

    let (stop, mut stopped) = watch::channel(false);
    let routes = routes::router(Arc::clone(&app))?;
    for row in routes.table().rows() {
        info!(
            methods = row.methods,
            path = row.path,
            policy = row.policy,
            "route"
        );
    }
    let routes = routes.layer(map_request(tell_peer));
    let server = axum::serve(
        listener,
        ServiceExt::<Request>::into_make_service_with_connect_info::<Peer>(routes),
    )
    .with_graceful_shutdown(async move {
        stop_signal().await;
        info!("stopping");
        let _ = stop.send(true);
    });
    tokio::select! {
        served = async { server.await } => served?,
        // Requests under way have this long; an idle connection does not hold the service up.
        () = async { let _ = stopped.changed().await; tokio::time::sleep(GRACE).await } => {
            warn!("connections were still open after {GRACE:?}");
        }
    }
    app.close(SystemClock.now()).await?;
    info!("stopped");
    Ok(())
}

/// On standard output: what is shown once must not go into a log. Nobody may be reading it.
fn announce(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Ctrl-C or SIGTERM.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

const GRACE: Duration = Duration::from_secs(10);
