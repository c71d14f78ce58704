//! Who is asking, told through two proxies, and whether that address may.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use portcullis_ip_list::Verdict::{Admitted, Refused};
use portcullis_ip_list::{AddressList, Header, TrustedProxies, rate_key};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proxies = TrustedProxies::new(["10.0.0.5", "10.0.0.6"], Header::XForwardedFor)?;
    let registered = AddressList::only(["203.0.113.0/24", "2001:db8::/32"])?
        .deny(["203.0.113.66", "2001:db8:bad::/48"])?;

    let requests: [(&str, &str, &[&str], _); 6] = [
        (
            "straight from the internet",
            "198.51.100.7",
            &[],
            Some(Refused),
        ),
        (
            "the same, with a lie",
            "198.51.100.7",
            &["203.0.113.9"],
            Some(Refused),
        ),
        (
            "a registered client",
            "10.0.0.5",
            &["203.0.113.9, 10.0.0.6"],
            Some(Admitted),
        ),
        (
            "a stranger with the client's address in front",
            "10.0.0.5",
            &["203.0.113.9", "198.51.100.7"],
            Some(Refused),
        ),
        (
            "a denied address in IPv6 form",
            "10.0.0.5",
            &["::ffff:203.0.113.66"],
            Some(Refused),
        ),
        ("a proxy that lost the header", "10.0.0.5", &[], None),
    ];
    for (what, peer, lines, expected) in requests {
        let lines = lines.iter().map(|line| line.as_bytes());
        match proxies.client_address(peer.parse()?, lines) {
            Ok(client) => {
                let verdict = registered.check(client.ip());
                println!(
                    "{what}: {} ({}) is {verdict:?}, counted by {} bytes",
                    client.ip(),
                    client.source().as_str(),
                    rate_key(client.ip()).len(),
                );
                assert_eq!(Some(verdict), expected);
            }
            Err(error) => {
                println!("{what}: {} ({error})", error.reason());
                assert_eq!(None, expected);
            }
        }
    }

    // A mistake in a list is found when it is made.
    let mistake = AddressList::everyone().deny(["203.0.113.66/24"]);
    assert!(mistake.is_err());
    println!("a list with a mistake: {:?}", mistake.err());
    Ok(())
}
