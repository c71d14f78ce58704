//! The process that drives the browser, and one request to it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests; each uses a part of this"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// A chromedriver on a port of its own; killed when dropped, and what it started with it.
pub struct Driver {
    child: Child,
    address: SocketAddr,
}

/// What the driver answered in place of a value.
#[derive(Debug)]
pub enum Refused {
    /// WebDriver's own word, such as `no such element`, and its explanation.
    Error(String, String),
    /// No whole answer came back.
    Unanswered(io::Error),
}

impl Driver {
    pub fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let mut driver = Self {
            child,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
        };
        let port = announced_port(output).expect("chromedriver says its port");
        driver.address.set_port(port);
        driver
    }

    /// The value that the driver answers.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let answer = self
            .exchange(method, path, body)
            .map_err(Refused::Unanswered)?;
        let value = answer["value"].clone();
        let Some(error) = value["error"].as_str() else {
            return Ok(value);
        };
        let message = value["message"].as_str().unwrap_or_default();
        Err(Refused::Error(error.to_owned(), message.to_owned()))
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (address, length) = (self.address, body.len());
        let mut stream = TcpStream::connect_timeout(&address, LONGEST)?;
        stream.set_read_timeout(Some(LONGEST))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        serde_json::from_slice(&read_body(stream)?).map_err(Into::into)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The group is the driver's own; its number is taken until the driver was waited for.
        signal("-KILL", &format!("-{}", self.child.id()));
        let _ = self.child.wait();
    }
}

/// Whether that process, or that group after a minus, was there to get this signal.
pub fn signal(signal: &str, to: &str) -> bool {
    let kill = Command::new("kill")
        .args([signal, "--", to])
        .stderr(Stdio::null())
        .status();
    kill.is_ok_and(|kill| kill.success())
}

/// The body of one answer. The driver leaves the connection open, whatever it was asked.
fn read_body(stream: TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
    }
    let length: usize = length.ok_or(io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// The port in `… was started successfully on port 1234.`, once it is said.
fn announced_port(output: ChildStdout) -> Option<u16> {
    let (tell, told) = mpsc::channel();
    // Reads on until the driver ends, lest the driver block on a full pipe.
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, port)) = line.rsplit_once("successfully on port ") {
                let _ = tell.send(port.trim_end_matches('.').parse().ok());
            }
        }
    });
    told.recv_timeout(LONGEST).ok().flatten()
}

/// Longer than the browser's own limits, so that it is the browser that says what was slow.
const LONGEST: Duration = Duration::from_secs(40);
