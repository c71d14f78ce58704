//! HTTPS by the service itself: a page, a call, a handshake, a certificate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "support/secure.rs"]
mod secure;
mod support;
#[path = "support/tools.rs"]
mod tools;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use secure::{EC, Secure, certificate};
use serde_json::json;
use support::{Client, Service, UNLIMITED, binary, data, fails_to_start, send, until};

#[test]
fn pages_and_calls_over_tls_have_hsts_and_a_cookie_of_this_host_and_tls_alone() {
    let Some(secure) = Secure::start(&["--origin=https://login.example"]) else {
        return;
    };
    let page = secure.curl(&["/sign-in"], "").expect(200);
    let hsts = page.header("strict-transport-security").unwrap();
    assert!(hsts.starts_with("max-age="), "{hsts}");
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-portcullis="), "{cookie}");
    for attribute in ["Secure", "HttpOnly", "Path=/", "SameSite=Lax"] {
        let has = cookie.split("; ").any(|part| part == attribute);
        assert!(has, "{attribute}: {cookie}");
    }

    let login = json!({"username": "admin", "password": secure.one_time}).to_string();
    let kind = "Content-Type: application/json";
    let signed_in = secure.curl(&["-H", kind, "-d", "@-", "/v1/login"], &login);
    let signed_in = signed_in.expect(200);
    assert!(signed_in.header("strict-transport-security").is_some());
    let bearer = format!("Authorization: Bearer {}", signed_in.text("access_token"));
    let me = secure.curl(&["-H", &bearer, "/v1/me"], "").expect(200);
    assert_eq!(me.text("username"), "admin");
}

#[test]
fn a_form_is_the_sites_own_over_https_alone() {
    let Some(secure) = Secure::start(UNLIMITED) else {
        return;
    };
    let page = secure.curl(&["/sign-in"], "").expect(200);
    let cookie = page.header("set-cookie").unwrap();
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let (_, token) = page
        .body
        .split_once("name=\"csrf_token\" value=\"")
        .unwrap();
    let token = token.split('"').next().unwrap();
    let form = format!("csrf_token={token}&username=admin&password=a+wrong+one");
    let port = secure.address.port();
    for (origin, status) in [
        (format!("https://localhost:{port}"), 401),
        (format!("http://localhost:{port}"), 403),
        (String::from("https://localhost"), 403),
    ] {
        let origin = format!("Origin: {origin}");
        let sent = secure.curl(
            &["-H", &cookie, "-H", &origin, "-d", "@-", "/sign-in"],
            &form,
        );
        assert_eq!(sent.status, status, "{origin}: {sent:?}");
    }
}

#[test]
fn tls_1_2_and_1_3_are_spoken_and_nothing_but_http_1_within() {
    let Some(secure) = Secure::start(UNLIMITED) else {
        return;
    };
    for version in ["1.2", "1.3"] {
        let least = format!("--tlsv{version}");
        let answer = secure.curl(&[&least, "--tls-max", version, "--http2", "/healthz"], "");
        answer.expect(200);
    }
    let spoken = secure
        .curl_command(&["--http2", "-o", "/dev/null", "-w", "%{http_version}"])
        .arg(secure.url("/healthz"))
        .output()
        .unwrap();
    // curl's answer to -i and -w: the version alone, for the rest went elsewhere.
    assert_eq!(String::from_utf8_lossy(&spoken.stdout), "1.1");
}

#[test]
fn plain_http_to_the_tls_port_gets_nothing() {
    let Some(secure) = Secure::start(UNLIMITED) else {
        return;
    };
    for request in [
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "POST /v1/login HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n\
         Connection: close\r\nContent-Length: 2\r\n\r\n{}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = send(secure.address, request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A reset is as good as an end.
        let _ = stream.read_to_end(&mut answer);
        // At most the alert of RFC 8446 §6, which begins with its content type.
        assert!(
            answer.is_empty() || (answer[0] == 21 && answer.len() <= 7),
            "{answer:?}"
        );
    }
    secure.curl(&["/healthz"], "").expect(200);
}

#[test]
fn a_slow_handshake_keeps_nobody_else_waiting_and_ends() {
    let Some(secure) = Secure::start(UNLIMITED) else {
        return;
    };
    let begun = Instant::now();
    let connect = || TcpStream::connect(secure.address).unwrap();
    let mut silent: Vec<TcpStream> = (0..10).map(|_| connect()).collect();
    // A handshake of which only the beginning comes.
    for stream in silent.iter_mut().skip(5) {
        stream.write_all(BEGUN).unwrap();
    }
    let answer = secure.curl(&["--max-time", "5", "/healthz"], "");
    answer.expect(200);
    for mut stream in [silent.remove(9), silent.remove(0)] {
        assert!(ends(&mut stream, Duration::from_secs(30)), "still open");
    }
    let took = begun.elapsed();
    assert!(
        (9..25).contains(&took.as_secs()),
        "a handshake has ten seconds: {took:?}"
    );
}

#[test]
#[cfg(target_os = "linux")] // All of 127.0.0.0/8 is this machine.
fn silent_connections_hold_up_nobody_be_they_of_one_peer_or_of_many() {
    let Some(secure) = Secure::start(UNLIMITED) else {
        return;
    };
    let answers = |from: &str| {
        let begun = Instant::now();
        let curl = secure.curl(&["--interface", from, "--max-time", "5", "/healthz"], "");
        curl.expect(200);
        let took = begun.elapsed();
        assert!(took.as_secs() < 3, "{from} waited {took:?}");
    };
    let connect = |from: [u8; 4]| connect_from((from, 0).into(), secure.address);
    // More than are admitted in all, of one peer; none of them at the cost of anybody else's.
    let mut other = connect([127, 0, 0, 3]);
    other.write_all(BEGUN).unwrap();
    let mut silent: Vec<_> = (0..600).map(|_| connect([127, 0, 0, 2])).collect();
    answers("127.0.0.1");
    answers("127.0.0.2");
    let soon = Duration::from_secs(2);
    assert!(ends(&mut silent[0], soon), "a peer's own oldest gives way");
    let youngest = silent.last_mut().unwrap();
    assert!(!ends(youngest, Duration::from_millis(200)));
    assert!(!ends(&mut other, Duration::from_millis(200)));
    drop(silent);

    let silent: Vec<_> = (0..600_u16)
        .map(|n| connect([127, 0, 1, u8::try_from(1 + n % 50).unwrap()]))
        .collect();
    answers("127.0.0.1");
    answers("127.0.1.1");
    assert!(ends(&mut other, soon), "the oldest of all gives way");
    drop(silent);
}

/// Whether the other end closes it in that time.
fn ends(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// A connection of which `from` is the near end, which std has no way to say.
#[cfg(target_os = "linux")]
fn connect_from(from: std::net::SocketAddr, to: std::net::SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let connected = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(from).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    connected.set_nonblocking(false).unwrap();
    connected
}

#[test]
fn the_certificate_is_read_again_on_a_hangup_and_a_broken_one_is_not_taken() {
    let Some(secure) = Secure::start(UNLIMITED) else {
        return;
    };
    let folder = secure.folder.path();
    let first = folder.join("first.pem");
    fs::copy(folder.join("cert.pem"), &first).unwrap();
    let trusts = |file: &Path| {
        let mut curl = secure.curl_trusting(file, &[]);
        let status = curl.arg(secure.url("/healthz")).output().unwrap().status;
        status.success()
    };
    assert!(trusts(&first));
    certificate(folder, EC);
    assert!(trusts(&first), "nothing is read before it is told to");
    secure.signal("-HUP");
    until("the new certificate is served", || {
        trusts(&folder.join("cert.pem"))
    });
    assert!(!trusts(&first));

    let second = folder.join("second.pem");
    fs::copy(folder.join("cert.pem"), &second).unwrap();
    fs::write(folder.join("cert.pem"), "half of a cert").unwrap();
    secure.signal("-HUP");
    until("the log says so", || {
        let log = fs::read_to_string(folder.join("log")).unwrap();
        log.contains("the certificate stays as it was") && log.contains("cert.pem")
    });
    assert!(trusts(&second), "the service goes on with what it has");
}

#[test]
fn a_key_of_each_kind_that_openssl_writes_is_taken() {
    if !tools::tools(&["openssl", "curl"]) {
        return;
    }
    for (kind, header) in [
        (EC, "BEGIN PRIVATE KEY"),
        (&["-newkey", "rsa:2048"][..], "BEGIN PRIVATE KEY"),
        (&["-newkey", "ed25519"][..], "BEGIN PRIVATE KEY"),
    ] {
        takes_key(kind, false, header);
    }
    takes_key(EC, true, "BEGIN EC PRIVATE KEY");
    takes_key(&["-newkey", "rsa:2048"], true, "BEGIN RSA PRIVATE KEY");
}

/// Serves with such a key, rewritten in the form that came before PKCS#8 if that is asked for.
fn takes_key(kind: &[&str], traditional: bool, header: &str) {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), kind);
    let key = folder.path().join("key.pem");
    if traditional {
        let old = folder.path().join("traditional.pem");
        openssl(&[
            "pkey".as_ref(),
            "-traditional".as_ref(),
            "-in".as_ref(),
            key.as_os_str(),
            "-out".as_ref(),
            old.as_os_str(),
        ]);
        fs::rename(old, &key).unwrap();
        fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    }
    assert!(fs::read_to_string(&key).unwrap().contains(header));
    let secure = Secure::with(folder, UNLIMITED);
    // What a client trusts of Ed25519 is its own affair: curl's build here knows it.
    secure.curl(&["/healthz"], "").expect(200);
}

#[test]
fn files_that_are_not_a_certificate_and_its_key_are_refused_by_name_and_nothing_is_made() {
    if !tools::tools(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    certificate(folder.path(), EC);
    certificate(other.path(), EC);
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key) = (place("cert.pem"), place("key.pem"));
    let other_key = other.path().join("key.pem").display().to_string();
    fs::write(place("empty.pem"), "").unwrap();
    let text = fs::read_to_string(&cert).unwrap();
    fs::write(place("cut.pem"), &text[..text.len() / 2]).unwrap();
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(place("junk.pem"), junk).unwrap();
    fs::copy(&key, place("open.pem")).unwrap();
    fs::set_permissions(place("open.pem"), PermissionsExt::from_mode(0o640)).unwrap();
    fs::write(place("sealed.pem"), SEALED).unwrap();
    fs::set_permissions(place("sealed.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    fs::set_permissions(place("empty.pem"), PermissionsExt::from_mode(0o600)).unwrap();

    let (none, empty) = (place("none.pem"), place("empty.pem"));
    let (cut, junk, open, sealed) = (
        place("cut.pem"),
        place("junk.pem"),
        place("open.pem"),
        place("sealed.pem"),
    );
    for (cert, key, named, said) in [
        (&none, &key, &none, "No such file"),
        (&cert, &none, &none, "No such file"),
        (&empty, &key, &empty, "no certificate"),
        (&key, &key, &key, "no certificate"),
        (&cut, &key, &cut, "missing section end"),
        (&junk, &key, &junk, "certificate"),
        (&cert, &empty, &empty, "no private key"),
        (&cert, &sealed, &sealed, "without a passphrase"),
        (&cert, &open, &open, "can be read by others"),
        (&cert, &other_key, &other_key, "is not the key of"),
    ] {
        let (tls_cert, tls_key) = (format!("--tls-cert={cert}"), format!("--tls-key={key}"));
        let refused = fails_to_start(&folder, &[&tls_cert, &tls_key]);
        assert!(refused.contains(named.as_str()), "{named}: {refused}");
        assert!(refused.contains(said), "{said}: {refused}");
    }
    let half = fails_to_start(&folder, &[&format!("--tls-cert={cert}")]);
    assert!(half.contains("--tls-key"), "{half}");
    let half = fails_to_start(&folder, &[&format!("--tls-key={key}")]);
    assert!(half.contains("--tls-cert"), "{half}");
    assert!(!data(&folder).exists());
}

#[test]
fn a_service_without_a_descriptor_to_spare_waits_and_takes_connections_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let service = binary();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(service.get_program())
        .args(["--address=127.0.0.1:0", "--log=warn", "--data"])
        .arg(data(&folder))
        .args(UNLIMITED)
        .stderr(File::create(&log).unwrap());
    for (name, _) in service.get_envs() {
        command.env_remove(name);
    }
    let service = Service::run(command);
    let idle: Vec<TcpStream> = (0..80)
        .map(|_| TcpStream::connect(service.address).unwrap())
        .collect();
    until("the log says so", || {
        let log = fs::read_to_string(&log).unwrap();
        log.contains("no connection can be taken")
    });
    drop(idle);
    Client(service.address).get("/healthz", None).expect(200);
}

fn openssl(arguments: &[&std::ffi::OsStr]) {
    let mut command = Command::new("openssl");
    let done = command.args(arguments).stderr(Stdio::null()).status();
    assert!(done.unwrap().success());
}

/// The beginning of a handshake.
const BEGUN: &[u8] = &[22, 3, 1, 2, 0, 1, 0];

/// What a key under a passphrase looks like from outside.
const SEALED: &str =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
