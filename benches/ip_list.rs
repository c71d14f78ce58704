//! A look-up in a list of networks beside a scan of them; the walk of a header beside a naive split.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_benches::ratio;
use portcullis_ip_list::{AddressList, Cidr, Header, TrustedProxies};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));

fn lists(criterion: &mut Criterion) {
    for entries in [10_u32, 10_000] {
        let text: Vec<String> = (0..entries)
            .map(|at| format!("{}/28", Ipv4Addr::from_bits(0x1000_0000 + (at << 5))))
            .collect();
        let list = AddressList::only(&text).unwrap();
        let networks: Vec<Cidr> = text.iter().map(|net| net.parse().unwrap()).collect();
        let address = |turn: &mut u32| {
            *turn = (*turn + 7919) % (entries << 5);
            IpAddr::V4(Ipv4Addr::from_bits(0x1000_0000 + *turn))
        };
        let case = format!("check/{entries}");
        let mut turn = 0;
        criterion.bench_function(&format!("list/{case}"), |b| {
            b.iter(|| black_box(list.check(address(&mut turn))));
        });
        let (mut ours, mut theirs) = (0, 0);
        ratio(
            "ip_list",
            &case,
            "scan",
            || list.check(address(&mut ours)),
            || {
                let ip = address(&mut theirs);
                networks.iter().any(|net| net.contains(ip))
            },
        );
    }
}

fn headers(criterion: &mut Criterion) {
    let cases: [(&str, Header, &[u8]); 2] = [
        (
            "x-forwarded-for",
            Header::XForwardedFor,
            b"198.51.100.1, 203.0.113.9, 10.0.0.6",
        ),
        (
            "forwarded",
            Header::Forwarded,
            b"for=198.51.100.1, for=203.0.113.9;proto=https, for=10.0.0.6",
        ),
    ];
    for (case, header, line) in cases {
        let proxies = TrustedProxies::new(["10.0.0.0/24"], header).unwrap();
        criterion.bench_function(&format!("client_address/{case}"), |b| {
            b.iter(|| black_box(proxies.client_address(PROXY, [black_box(line)])));
        });
        // What is often written: split, take the second from the right, hope.
        ratio(
            "ip_list",
            case,
            "floor",
            || proxies.client_address(PROXY, [black_box(line)]),
            || {
                let text = str::from_utf8(black_box(line)).unwrap();
                let hop = text.rsplit(", ").nth(1).unwrap().trim_start_matches("for=");
                let end = hop.find(';').unwrap_or(hop.len());
                hop.split_at(end).0.parse::<IpAddr>()
            },
        );
    }
}

criterion_group!(benches, lists, headers);
criterion_main!(benches);
