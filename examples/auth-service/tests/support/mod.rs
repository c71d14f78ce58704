//! Starts the service on a free port with a data folder of its own, and speaks HTTP to it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::zombie_processes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests; each uses a part of this"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use portcullis::core::{Clock, SystemClock, Timestamp};
use portcullis_totp_mfa::testing::codes;
use serde_json::{Value, json};

/// A running service; killed when dropped.
pub struct Service {
    child: Child,
    pub address: SocketAddr,
    /// What it printed before it listened.
    pub announced: Vec<String>,
}

impl Service {
    /// Starts it on `data` with these flags besides, and waits until it listens.
    pub fn start(data: &Path, flags: &[&str]) -> Self {
        let mut command = binary();
        command
            .args(["--address", "127.0.0.1:0", "--log", "warn", "--data"])
            .arg(data)
            .args(flags);
        Self::run(command)
    }

    /// Runs this command of the service, and waits until it listens.
    pub fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut announced = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(url) = line.strip_prefix("listening on http://") {
                let address = url.parse().unwrap();
                return Self {
                    child,
                    address,
                    announced,
                };
            }
            announced.push(line);
        }
        panic!("the service ended before it listened: {announced:?}");
    }

    /// The one-time password of the first administrator.
    pub fn one_time_password(&self) -> String {
        let line = self
            .announced
            .iter()
            .find_map(|line| line.strip_prefix("one-time password: "));
        line.expect("a first start announces the password")
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit that follows.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.child.wait().unwrap()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The exit that follows a SIGTERM.
    pub fn exit(&mut self) -> ExitStatus {
        let mut ended = None;
        until("the service ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer of the service.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn text(&self, member: &str) -> String {
        self.json()[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member}: {self:?}"))
            .to_owned()
    }

    pub fn code(&self) -> String {
        self.text("code")
    }

    /// Panics unless the status is that one.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// One request on a connection of its own. `Err` when no whole answer came back.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> std::io::Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nUser-Agent: tests\r\n"
    );
    if let Some(token) = token {
        head += &format!("Authorization: Bearer {token}\r\n");
    }
    if !body.is_empty() {
        head += &format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    raw(address, format!("{head}\r\n{body}").as_bytes())
}

/// These bytes as a request.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Answer> {
    let mut stream = send(address, bytes)?;
    answer(&mut stream)
}

/// A connection on which these bytes were sent.
pub fn send(address: SocketAddr, bytes: &[u8]) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(bytes)?;
    Ok(stream)
}

/// The last answer on a connection, which ends with it.
pub fn answer(stream: &mut TcpStream) -> std::io::Result<Answer> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let answer = String::from_utf8(answer).map_err(|_| cut())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or_else(cut)?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    if let Some((_, length)) = length
        && length.parse() != Ok(body.len())
    {
        return Err(cut());
    }
    Ok(Answer {
        status,
        headers,
        body: body.to_owned(),
    })
}

/// A caller of one service.
#[derive(Clone, Copy)]
pub struct Client(pub SocketAddr);

impl Client {
    pub fn post(self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        request(self.0, "POST", path, token, Some(body)).unwrap()
    }

    pub fn get(self, path: &str, token: Option<&str>) -> Answer {
        request(self.0, "GET", path, token, None).unwrap()
    }

    pub fn login(self, username: &str, password: &str) -> Answer {
        self.post(
            "/v1/login",
            None,
            &json!({"username": username, "password": password}),
        )
    }

    /// Signs in with a one-time password, changes it, and signs in again.
    pub fn take_over(self, username: &str, one_time: &str, password: &str) -> Answer {
        let first = self.login(username, one_time).expect(200);
        let change = json!({"current_password": one_time, "new_password": password});
        self.post("/v1/password", Some(&first.text("access_token")), &change)
            .expect(204);
        self.login(username, password).expect(200)
    }

    /// Enrols an authenticator for the account of that access token, by the code of the step before.
    pub fn enrol(self, token: &str) -> Factor {
        let begun = self.post("/v1/second-factor/enrol", Some(token), &json!({}));
        let mut factor = Factor {
            secret: begun.expect(200).text("secret"),
            recovery_codes: Vec::new(),
        };
        let typed = json!({"code": factor.code(-1)});
        let confirmed = self.post("/v1/second-factor/confirm", Some(token), &typed);
        let codes = confirmed.expect(200).json();
        let codes = codes["recovery_codes"].as_array().unwrap();
        factor.recovery_codes = codes
            .iter()
            .map(|code| code.as_str().unwrap().to_owned())
            .collect();
        factor
    }

    /// Answers the challenge of a login by that code.
    pub fn answer(self, challenged: &Answer, code: &str) -> Answer {
        let answer = json!({"challenge": challenged.text("challenge"), "code": code});
        self.post("/v1/login/second-factor", None, &answer)
    }

    /// Signs the administrator of [`fresh`] in once more, by one of the recovery codes that are left.
    pub fn admin_again(self, folder: &tempfile::TempDir) -> Answer {
        let place = folder.path().join("recovery-codes");
        let codes = std::fs::read_to_string(&place).unwrap();
        let (code, rest) = codes.split_once('\n').unwrap();
        std::fs::write(&place, rest).unwrap();
        let challenged = self.login("admin", ADMIN_PASSWORD).expect(401);
        self.answer(&challenged, code)
    }

    /// Makes a user as `admin` (an access token) and takes the account over.
    pub fn make_user(self, admin: &str, username: &str, password: &str) -> Answer {
        let user = json!({"username": username, "email": format!("{username}@example.org"), "role": "user"});
        let made = self.post("/v1/users", Some(admin), &user).expect(201);
        self.take_over(username, &made.text("one_time_password"), password)
    }
}

/// A service on a fresh folder with an administrator whose password has been changed to
/// [`ADMIN_PASSWORD`] and who has enrolled an authenticator, and that administrator's access token.
pub fn fresh(flags: &[&str]) -> (tempfile::TempDir, Service, String) {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&data(&folder), flags);
    let client = Client(service.address);
    let admin = client.take_over("admin", &service.one_time_password(), ADMIN_PASSWORD);
    let admin = admin.text("access_token");
    client.enrol(&admin).keep(&folder);
    (folder, service, admin)
}

/// An account's second factor, as its owner holds it.
pub struct Factor {
    /// In base32.
    pub secret: String,
    pub recovery_codes: Vec<String>,
}

impl Factor {
    /// The code of the step that many steps from now. One for the step before is accepted as well as
    /// one for the step after, so three logins need not wait for each other.
    pub fn code(&self, steps: i64) -> String {
        let now = SystemClock.now().as_unix_secs();
        let at = now.checked_add_signed(steps * 30).unwrap();
        codes::at(&self.secret, Timestamp::from_unix_secs(at))
    }

    /// Puts it where [`Client::admin_again`] finds it.
    fn keep(&self, folder: &tempfile::TempDir) {
        let codes = self.recovery_codes.join("\n");
        std::fs::write(folder.path().join("recovery-codes"), codes).unwrap();
    }
}

/// The service's program, with no setting from this process's environment.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth-service"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PORTCULLIS_") {
            command.env_remove(name);
        }
    }
    command
}

/// Starts the service on the folder's data, which must fail; what it said.
pub fn fails_to_start(folder: &tempfile::TempDir, flags: &[&str]) -> String {
    let output = binary()
        .args(["--address", "127.0.0.1:0", "--data"])
        .arg(data(folder))
        .args(flags)
        .output()
        .unwrap();
    assert!(!output.status.success(), "it started");
    String::from_utf8(output.stderr).unwrap()
}

/// [`UNLIMITED`], and these flags.
pub fn unlimited(flags: &[&'static str]) -> Vec<&'static str> {
    UNLIMITED.iter().chain(flags).copied().collect()
}

/// Waits for it, half a minute at most.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The data folder within the test's own folder.
pub fn data(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("data")
}

pub const ADMIN_PASSWORD: &str = "a long administrator's phrase";
/// Limits out of the way of tests that are not about them.
pub const UNLIMITED: &[&str] = &[
    "--authentication-limit=1000000",
    "--validation-limit=1000000",
    "--user-management-limit=1000000",
    "--limit-window-secs=1",
];
