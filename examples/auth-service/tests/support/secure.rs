//! The service with TLS, and curl to speak to it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests; each uses a part of this"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Answer, binary, data};
use crate::tools;

/// A service with TLS, its certificate and its data in one folder; killed when dropped.
pub struct Secure {
    child: Child,
    pub address: SocketAddr,
    pub one_time: String,
    pub folder: tempfile::TempDir,
}

impl Secure {
    /// With a certificate of openssl's for this machine; None where there is no openssl or no curl.
    pub fn start(flags: &[&str]) -> Option<Self> {
        if !tools::tools(&["openssl", "curl"]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path(), EC);
        Some(Self::with(folder, flags))
    }

    pub fn with(folder: tempfile::TempDir, flags: &[&str]) -> Self {
        let place = folder.path();
        let mut child = binary()
            .args(["--address=127.0.0.1:0", "--log=info", "--tls-cert"])
            .arg(place.join("cert.pem"))
            .arg("--tls-key")
            .arg(place.join("key.pem"))
            .arg("--data")
            .arg(data(&folder))
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(File::create(place.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut one_time = String::new();
        let mut address = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(password) = line.strip_prefix("one-time password: ") {
                one_time = password.split(' ').next().unwrap().to_owned();
            }
            if let Some(url) = line.strip_prefix("listening on https://") {
                address = Some(url.parse().unwrap());
                break;
            }
        }
        let Some(address) = address else {
            panic!("{}", fs::read_to_string(place.join("log")).unwrap());
        };
        Self {
            child,
            address,
            one_time,
            folder,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// curl's answer; the last argument is the path.
    pub fn curl(&self, arguments: &[&str], input: &str) -> Answer {
        let (path, arguments) = arguments.split_last().unwrap();
        let mut running = self
            .curl_command(arguments)
            .args(["-i", &self.url(path)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = running.stdin.take().unwrap();
        // What has no body does not read it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success(), "curl: {:?}", output.status);
        parsed(&String::from_utf8(output.stdout).unwrap())
    }

    pub fn curl_command(&self, arguments: &[&str]) -> Command {
        self.curl_trusting(&self.folder.path().join("cert.pem"), arguments)
    }

    pub fn curl_trusting(&self, cert: &Path, arguments: &[&str]) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "30"])
            // The name resolves to this machine's other address as well, where nobody listens.
            .args(["--resolve", &format!("localhost:{}:127.0.0.1", self.address.port())])
            .arg("--cacert")
            .arg(cert)
            .args(arguments);
        curl
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parsed(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    Answer {
        status: status.parse().unwrap(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

/// `cert.pem` and `key.pem` in that folder, of a new key of that kind, for this machine.
pub fn certificate(folder: &Path, kind: &[&str]) {
    let (cert, key): (PathBuf, PathBuf) = (folder.join("cert.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(kind)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(cert)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    fs::set_permissions(key, PermissionsExt::from_mode(0o600)).unwrap();
}

/// The keys most are of.
pub const EC: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
