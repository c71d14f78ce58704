//! Runs all benches with their peers, shows what they print, and writes `benches/RESULTS.md` from it.
//!
//! ```sh
//! cargo bench-report                 # the whole run
//! cargo bench-report --quick         # criterion's shorter one; the ratios take as long
//! cargo bench-report --from FILE     # from what an earlier run printed
//! ```
//!
//! What a run printed is kept in `target/bench-report.txt`, with the facts of the run at its head. A run in
//! which a bench failed, or a family is missing, leaves the report as it was.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use portcullis_benches::report;
use portcullis_core::{Clock, SystemClock};

fn main() -> ExitCode {
    match work() {
        Ok(written) => {
            eprintln!("written: {written}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("no report: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn work() -> Result<&'static str, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let printed = match words.as_slice() {
        [] => run(false)?,
        ["--quick"] => run(true)?,
        ["--from", file] => fs::read_to_string(file)?,
        _ => return Err("the arguments are --quick, or --from and a file".into()),
    };
    let notes = fs::read_to_string(root().join("benches/NOTES.md"))?;
    fs::write(root().join(RESULTS), report(&printed, &notes)?)?;
    Ok(RESULTS)
}

/// All that the run printed, shown as it came and kept.
fn run(quick: bool) -> Result<String, Failure> {
    let mut arguments = BENCH.to_vec();
    if quick {
        arguments.extend(["--", "--quick"]);
    }
    let mut kept = Kept {
        file: fs::File::create(root().join("target/bench-report.txt"))?,
        text: String::new(),
    };
    for fact in facts(&arguments)? {
        kept.line(&format!("# run {fact}"))?;
    }
    let mut command = Command::new("cargo");
    command.args(&arguments).current_dir(root());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let printed = child.stdout.take().ok_or("the run has no output")?;
    for line in BufReader::new(printed).lines() {
        kept.line(&line?)?;
    }
    let status = child.wait()?;
    let ended = if status.success() {
        "success".to_owned()
    } else {
        status.to_string()
    };
    kept.line(&format!("# run ended: {ended}"))?;
    Ok(kept.text)
}

struct Kept {
    file: fs::File,
    text: String,
}

impl Kept {
    fn line(&mut self, line: &str) -> Result<(), Failure> {
        println!("{line}");
        writeln!(self.file, "{line}")?;
        self.text.push_str(line);
        self.text.push('\n');
        Ok(())
    }
}

/// What ran on what: read before the run, so that a report from a saved output tells of that run.
fn facts(arguments: &[&str]) -> Result<Vec<String>, Failure> {
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let lock = fs::read_to_string(root().join("Cargo.lock"))?;
    let rustc = Command::new("rustc").arg("--version").output()?;
    let mut facts = vec![
        format!("date {}", SystemClock.now()),
        format!("command cargo {}", arguments.join(" ")),
        format!("machine {}", machine()?),
        String::from_utf8(rustc.stdout)?.trim().to_owned(),
        format!(
            "profile bench ({}), over release ({})",
            settings(&manifest, "[profile.bench]"),
            settings(&manifest, "[profile.release]"),
        ),
    ];
    for peer in PEERS {
        let versions = versions(&lock, peer);
        if versions.is_empty() {
            return Err(format!("Cargo.lock has no {peer}").into());
        }
        facts.push(format!("peer {peer} {}", versions.join(" and ")));
    }
    Ok(facts)
}

fn machine() -> Result<String, Failure> {
    let cores = std::thread::available_parallelism()?;
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let model = value(&processor, "model name").unwrap_or("unknown processor");
    let memory = value(&memory, "MemTotal").unwrap_or("unknown");
    let kernel = kernel.trim();
    Ok(format!(
        "{cores} cores of {model}, memory {memory}, kernel {kernel}"
    ))
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// The lines of a section of a manifest.
fn settings(manifest: &str, section: &str) -> String {
    let after = manifest.lines().skip_while(|line| *line != section).skip(1);
    let lines = after.take_while(|line| !line.starts_with('['));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(", ")
}

fn versions<'a>(lock: &'a str, name: &str) -> Vec<&'a str> {
    let head = format!("name = \"{name}\"\nversion = \"");
    let packages = lock.split("[[package]]\n").skip(1);
    let versions = packages.filter_map(|package| package.strip_prefix(head.as_str()));
    versions.filter_map(|rest| rest.split('"').next()).collect()
}

fn root() -> PathBuf {
    // The benches' folder stands in the root; cargo says where at run time.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = folder.as_deref().and_then(Path::parent);
    root.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

const RESULTS: &str = "benches/RESULTS.md";
const BENCH: [&str; 5] = ["bench", "-p", "portcullis-benches", "--features", "peers"];
/// Whose versions change the figures.
const PEERS: &[&str] = &[
    "aws-lc-rs",
    "axum",
    "foldhash",
    "governor",
    "hmac",
    "jsonwebtoken",
    "jwt-simple",
    "ring",
    "rusqlite",
    "sha2",
    "totp-rs",
    "tower_governor",
    "tracing",
    "tracing-appender",
    "tracing-subscriber",
];
