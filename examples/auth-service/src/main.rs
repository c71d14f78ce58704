//! The whole gate behind axum: password to token to protected call, limited, locked, audited.
//!
//! `cargo run -p auth-service -- --help` tells the settings; `walkthrough.sh` beside this folder tells
//! the story.
#![forbid(unsafe_code)]

mod acts;
mod answer;
mod app;
mod caller;
mod clients;
mod first;
mod keys;
mod letters;
mod listen;
mod log;
mod opening;
mod origin;
mod pages;
mod proxy;
mod records;
mod routes;
mod serve;
mod settings;
mod site;
mod tls;
mod tokens;
mod users;
mod witness;

use std::process::ExitCode;

use clap::Parser;

use crate::settings::Settings;

fn main() -> ExitCode {
    let settings = Settings::parse();
    if let Err(error) = log::start(&settings) {
        return failed(&*error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(serve::serve(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&*error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the log may be what could not be started"
)]
fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("auth-service: {error}");
    ExitCode::FAILURE
}
