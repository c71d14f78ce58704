//! Five hundred enrolments, scanned and answered by programs that are not ours.
#![cfg(feature = "qr")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use data_encoding::BASE64;
use portcullis_core::{Memory, Sealer, Secret, Timestamp, entropy};
use portcullis_totp_mfa::{Code, Enrolment, Kind, MfaPolicy, SecondFactors, testing::codes};

const ENROLMENTS: usize = 500;
const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
/// Within the life of a pending enrolment.
const CONFIRM_SECS: u64 = 590;
/// Thirty years: until beyond 2038, when a signed 32-bit time ends.
const LATER_SECS: u64 = 30 * 365 * 86_400;

/// One user's enrolment, and the two moments at which the user shows a code.
struct Enrolled {
    user: String,
    account: String,
    enrolment: Enrolment,
    moments: [u64; 2],
}

#[tokio::test]
async fn what_is_enrolled_here_is_read_by_zbar_and_answered_by_oathtool_and_pyotp() {
    if !present() {
        return;
    }
    let (factors, store) = (factors(), Memory::new(NOW));
    let mut enrolled = Vec::new();
    for number in 0..ENROLMENTS {
        enrolled.push(enrol(&factors, &store, number).await);
    }

    let read = scan(&enrolled);
    let answers = pyotp(&read, &enrolled);
    let mut agreed = 0;
    for ((one, read), answer) in enrolled.iter().zip(&read).zip(&answers) {
        assert_eq!(read, &one.enrolment.uri());
        assert_eq!(secret_of(read), one.enrolment.secret());
        let codes = one.moments.map(|at| oath(one.enrolment.secret(), at));
        let name = [&*one.account, ISSUER, &codes[0], &codes[1]];
        assert_eq!(answer.split('\t').collect::<Vec<_>>(), name, "{read}");
        for (code, at) in codes.iter().zip(one.moments) {
            assert_eq!(*code, codes::at(one.enrolment.secret(), moment(at)));
        }
        accept(&factors, &store, one, &codes).await;
        agreed += 1;
    }
    assert_eq!((agreed, answers.len()), (ENROLMENTS, ENROLMENTS));
}

async fn enrol(factors: &SecondFactors, store: &Memory, number: usize) -> Enrolled {
    let random = u64::from_le_bytes(entropy().unwrap());
    let user = format!("user-{number}");
    let account = ACCOUNTS[number % ACCOUNTS.len()].replace('#', &number.to_string());
    let enrolment = factors.enrol(store, &user, &account, NOW).await.unwrap();
    let confirm = NOW.as_unix_secs() + random % CONFIRM_SECS;
    // Two steps later at least: a code serves once.
    let later = confirm + 60 + (random >> 16) % LATER_SECS;
    Enrolled {
        user,
        account,
        enrolment,
        moments: [confirm, later],
    }
}

/// The first code ends the enrolment, the second signs in.
async fn accept(factors: &SecondFactors, store: &Memory, one: &Enrolled, codes: &[String; 2]) {
    let [first, second] = codes.each_ref().map(|code| Code::parse(code).unwrap());
    let [confirm, later] = one.moments.map(moment);
    let confirmed = factors
        .confirm(store, &one.user, &first, confirm)
        .await
        .unwrap_or_else(|refused| panic!("{}: {refused}", one.enrolment.uri()));
    assert_eq!(confirmed.recovery_codes().iter().count(), 10);
    let proof = factors
        .present(&one.user, second)
        .consume(store, later)
        .await
        .unwrap_or_else(|refused| panic!("{} at {later:?}: {refused}", one.enrolment.uri()));
    assert_eq!((proof.user(), proof.kind()), (&*one.user, Kind::Totp));
}

/// What the pictures of the enrolments say, in their order.
fn scan(enrolled: &[Enrolled]) -> Vec<String> {
    let folder = Folder::new();
    let scan = &|(part, enrolled): (usize, &[Enrolled])| {
        let pictures = enrolled.iter().enumerate().map(|(number, one)| {
            let picture = one.enrolment.png_data_uri();
            let picture = picture.strip_prefix("data:image/png;base64,").unwrap();
            let picture = BASE64.decode(picture.as_bytes()).unwrap();
            folder.write(&format!("{part}-{number}.png"), &picture)
        });
        let pictures: Vec<PathBuf> = pictures.collect();
        let read = zbar(&pictures);
        assert_eq!(read.len(), pictures.len(), "a picture was not read");
        read
    };
    let parts = enrolled.chunks(ENROLMENTS / 4).enumerate();
    thread::scope(|scope| {
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || scan(part))).collect();
        let read = parts.into_iter().map(|part| part.join().unwrap());
        read.flatten().collect()
    })
}

/// What zbarimg reads off the pictures, in their order.
fn zbar(pictures: &[PathBuf]) -> Vec<String> {
    let output = Command::new("zbarimg")
        // QR codes alone, for zbar sees a bar code in some; every third line, for a dot has eight.
        .args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"])
        .args(["-Sx-density=3", "-Sy-density=3"])
        .args(pictures)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// oathtool's code of this secret at this second.
fn oath(secret: &str, at: u64) -> String {
    let mut oathtool = Command::new("oathtool");
    oathtool.args(["--totp", "-b", &format!("--now=@{at}"), "-"]);
    answer_to(&mut oathtool, secret).trim().to_owned()
}

/// pyotp's reading of each URI: account, issuer and the codes of both moments, a line for each.
fn pyotp(uris: &[String], enrolled: &[Enrolled]) -> Vec<String> {
    let asked = uris.iter().zip(enrolled).map(|(uri, one)| {
        let [confirm, later] = one.moments;
        format!("{uri}\t{confirm}\t{later}\n")
    });
    let asked: String = asked.collect();
    let answers = answer_to(Command::new("python3").args(["-c", PYOTP]), &asked);
    answers.lines().map(str::to_owned).collect()
}

/// What the program answers to these lines.
fn answer_to(program: &mut Command, lines: &str) -> String {
    let mut running = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = running.stdin.take().unwrap();
    // All is read before anything is answered: neither waits for the other.
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{program:?} failed");
    String::from_utf8(output.stdout).unwrap()
}

fn secret_of(uri: &str) -> &str {
    let (_, from) = uri.split_once("secret=").unwrap();
    from.split('&').next().unwrap()
}

fn moment(at: u64) -> Timestamp {
    Timestamp::from_unix_secs(at)
}

fn factors() -> SecondFactors {
    let sealer = Sealer::new(1, &Secret::generate::<32>().unwrap()).unwrap();
    let policy = MfaPolicy::new(ISSUER).unwrap().dangerous_allow_volatile();
    let pepper = Secret::generate::<32>().unwrap();
    SecondFactors::new(sealer, &pepper, policy).unwrap()
}

/// Whether the other programs are there; a visible skip for a user, a failure where everything is
/// required.
fn present() -> bool {
    let asked = [
        ("zbarimg", "zbarimg", "--version"),
        ("oathtool", "oathtool", "--version"),
        ("pyotp", "python3", "-cimport pyotp"),
    ];
    let runs = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        output.is_ok_and(|output| output.status.success())
    };
    let missing = asked
        .into_iter()
        .find(|(_, program, argument)| !runs(program, argument));
    let Some((name, ..)) = missing else {
        return true;
    };
    assert!(
        std::env::var_os("PORTCULLIS_REQUIRE").is_none(),
        "{name} is required here"
    );
    // Not by a macro: the harness would swallow the line of a test that passes.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: no {name}").unwrap();
    false
}

/// A folder among Cargo's own for tests, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("interop-{}", std::process::id());
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&place).unwrap();
        Self(place)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let place = self.0.join(name);
        std::fs::write(&place, bytes).unwrap();
        place
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const ISSUER: &str = "Example & Söhne";
/// What accounts are called; `#` stands for a number.
const ACCOUNTS: &[&str] = &[
    "ada#@example.org",
    "Ada # Lovelace",
    "søren+#@example.org",
    "a&b=#?c/d%20e",
    "松本 #",
];
const PYOTP: &str = "
import sys, pyotp
sys.stdin.reconfigure(encoding='utf-8'); sys.stdout.reconfigure(encoding='utf-8')
lines = [line.rstrip('\\n').split('\\t') for line in sys.stdin]
for uri, first, second in lines:
    totp = pyotp.parse_uri(uri)
    print(totp.name, totp.issuer, totp.at(int(first)), totp.at(int(second)), sep='\\t')
";
