//! Starts, announces, listens, and stops in good order.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis::audit::{Action, Event};
use portcullis::core::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::app::App;
use crate::routes;
use crate::settings::Settings;

/// Runs the service until it is told to stop.
pub(crate) async fn serve(mut settings: Settings) -> Result<(), Box<dyn Error + Send + Sync>> {
    if !settings.address.ip().is_loopback() {
        return Err(
            "without TLS only a loopback address is served: no token goes over plain HTTP".into(),
        );
    }
    let now = SystemClock.now();
    // The port first: a service that cannot listen must not have made anybody's password.
    let listener = TcpListener::bind(settings.address).await;
    let listener = listener.map_err(|error| format!("{}: {error}", settings.address))?;
    // The port that was given, where any would do: pages know what site they are of.
    settings.address = listener.local_addr()?;
    let address = settings.address;
    let app = App::open(settings, now, &mut announce).await?;
    announce("how to use it: GET /, or examples/auth-service/README.md");
    announce(&format!("listening on http://{address}"));
    let started = app.record(Event::new(Action::ServiceStarted, now)).await;
    started.map_err(|_| "the audit log takes no record")?;

    let (stop, mut stopped) = watch::channel(false);
    let router = routes::router(Arc::clone(&app))?;
    let server = axum::serve(
        listener,
        router.into_make_service_with_connect_info::<SocketAddr>(),
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
