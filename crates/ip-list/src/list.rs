//! Who is admitted.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::address::behind_nat64;
use crate::{Cidr, CidrError, ListError};

/// Which addresses are admitted: those allowed and not denied.
///
/// A list that allows everyone says so; one that allows an empty set admits nobody. A malformed entry
/// fails the whole list when it is made, not when it is asked. Asking takes a binary search.
///
/// A denied IPv4 network also refuses its addresses behind a NAT64 translator with the well-known prefix
/// (`64:ff9b::192.0.2.1`); an allowed one does not admit them, for whoever can send from that prefix
/// would then be anyone.
///
/// ```
/// use portcullis_ip_list::{AddressList, Verdict};
///
/// let office = AddressList::only(["192.0.2.0/24", "2001:db8::/32"])?;
/// assert_eq!(office.check("192.0.2.7".parse().unwrap()), Verdict::Admitted);
/// assert_eq!(office.check("198.51.100.1".parse().unwrap()), Verdict::Refused);
///
/// let nobody = AddressList::only([""; 0])?;
/// assert_eq!(nobody.check("192.0.2.7".parse().unwrap()), Verdict::Refused);
/// # Ok::<(), portcullis_ip_list::ListError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AddressList {
    allow: Allow,
    deny: Ranges,
}

#[derive(Clone, Debug)]
enum Allow {
    Everyone,
    Only(Ranges),
}

/// What a list says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a verdict that nobody looks at refuses nobody"]
pub enum Verdict {
    /// The address may go on.
    Admitted,
    /// The address is denied, or not among those allowed.
    Refused,
}

impl AddressList {
    /// The most entries of one list: far more than anyone keeps by hand, and 4 MiB.
    pub const MAX_ENTRIES: usize = 100_000;

    /// Admits everyone who is not denied.
    #[must_use]
    pub fn everyone() -> Self {
        Self {
            allow: Allow::Everyone,
            deny: Ranges::default(),
        }
    }

    /// Admits the addresses in `networks` that are not denied; without any, nobody.
    ///
    /// # Errors
    /// [`ListError::Entry`] for the first that is malformed; [`ListError::TooLong`].
    pub fn only<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Result<Self, ListError> {
        Ok(Self {
            allow: Allow::Only(Ranges::of(&parsed(networks)?)),
            deny: Ranges::default(),
        })
    }

    /// Denies the addresses in `networks`, allowed or not, besides those denied already.
    ///
    /// # Errors
    /// [`ListError::Entry`] for the first that is malformed; [`ListError::TooLong`], all that are denied
    /// together.
    pub fn deny<T: AsRef<str>>(
        mut self,
        networks: impl IntoIterator<Item = T>,
    ) -> Result<Self, ListError> {
        let denied = Ranges::of(&parsed(networks)?);
        self.deny = self.deny.and(denied).ok_or(ListError::TooLong)?;
        Ok(self)
    }

    /// Whether it admits every address there is.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        matches!(self.allow, Allow::Everyone) && self.deny.v4.is_empty() && self.deny.v6.is_empty()
    }

    /// What the list says of `ip`; IPv4 in IPv6 form counts as IPv4.
    pub fn check(&self, ip: IpAddr) -> Verdict {
        let ip = ip.to_canonical();
        let translated = behind_nat64(ip).map(IpAddr::V4);
        let denied =
            self.deny.contain(ip) || translated.is_some_and(|inner| self.deny.contain(inner));
        let allowed = match &self.allow {
            Allow::Everyone => true,
            Allow::Only(ranges) => ranges.contain(ip),
        };
        if allowed && !denied {
            Verdict::Admitted
        } else {
            Verdict::Refused
        }
    }
}

/// The entries, or which of them is wrong.
pub(crate) fn parsed<T: AsRef<str>>(
    networks: impl IntoIterator<Item = T>,
) -> Result<Vec<Cidr>, ListError> {
    let mut read = Vec::new();
    for (at, network) in networks.into_iter().enumerate() {
        if at >= AddressList::MAX_ENTRIES {
            return Err(ListError::TooLong);
        }
        let entry = |error: CidrError| ListError::Entry { at, error };
        read.push(network.as_ref().parse().map_err(entry)?);
    }
    Ok(read)
}

/// Networks as ranges, sorted and apart, each family by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Ranges {
    pub(crate) fn of(networks: &[Cidr]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.net() {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self {
            v4: apart(v4),
            v6: apart(v6),
        }
    }

    /// What is in either; none if that is more than a list keeps.
    fn and(self, other: Self) -> Option<Self> {
        let v4 = apart([self.v4, other.v4].concat());
        let v6 = apart([self.v6, other.v6].concat());
        let entries = v4.len().saturating_add(v6.len());
        (entries <= AddressList::MAX_ENTRIES).then_some(Self { v4, v6 })
    }

    /// `ip` is no IPv4 address in IPv6 form.
    pub(crate) fn contain(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => within(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => within(&self.v6, ip.to_bits()),
        }
    }
}

/// Sorted, and without those inside another: two networks touch only so.
fn apart<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable_by(|(start, end), (other, other_end)| {
        start.cmp(other).then(other_end.cmp(end))
    });
    let mut covered: Option<T> = None;
    ranges.retain(|(_, end)| {
        let inside = covered.is_some_and(|covered| *end <= covered);
        if !inside {
            covered = Some(*end);
        }
        !inside
    });
    ranges.into_boxed_slice()
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], ip: T) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= ip);
    after
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|(_, end)| ip <= *end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_empty_allow_list_admits_nobody() {
        let nobody = AddressList::only([""; 0]).unwrap();
        for address in ["127.0.0.1", "::1", "192.0.2.1", "::", "0.0.0.0"] {
            assert_eq!(nobody.check(ip(address)), Verdict::Refused);
            assert_eq!(
                AddressList::everyone().check(ip(address)),
                Verdict::Admitted
            );
        }
    }

    #[test]
    fn a_malformed_entry_fails_the_list_and_says_which() {
        let malformed = |error| Err(ListError::Entry { at: 1, error });
        let deny = AddressList::everyone().deny(["192.0.2.0/24", "198.51.100.1/24"]);
        assert_eq!(deny.map(drop), malformed(CidrError::HostBits));
        let allow = AddressList::only(["192.0.2.0/24", ""]);
        assert_eq!(allow.map(drop), malformed(CidrError::Address));
        let endless = AddressList::only(std::iter::repeat("192.0.2.1"));
        assert_eq!(endless.map(drop), Err(ListError::TooLong));
    }

    #[test]
    fn what_is_denied_is_refused_in_every_form_of_the_address() {
        let list = AddressList::everyone().deny(["192.0.2.0/24"]).unwrap();
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "64:ff9b::192.0.2.1"] {
            assert_eq!(list.check(ip(address)), Verdict::Refused, "{address}");
        }
        let allow = AddressList::only(["192.0.2.0/24"]).unwrap();
        assert_eq!(allow.check(ip("::ffff:192.0.2.1")), Verdict::Admitted);
        assert_eq!(allow.check(ip("64:ff9b::192.0.2.1")), Verdict::Refused);
    }

    #[test]
    fn deny_wins_over_allow_and_families_do_not_mix() {
        let list = AddressList::only(["0.0.0.0/0"])
            .unwrap()
            .deny(["10.0.0.0/8"])
            .unwrap();
        assert_eq!(list.check(ip("10.1.2.3")), Verdict::Refused);
        assert_eq!(list.check(ip("11.1.2.3")), Verdict::Admitted);
        assert_eq!(list.check(ip("2001:db8::1")), Verdict::Refused);
    }

    #[test]
    fn denying_again_does_not_admit_what_was_denied_before() {
        let list = AddressList::everyone()
            .deny(["192.0.2.0/24", "2001:db8::/32"])
            .unwrap()
            .deny(["192.0.0.0/16", "203.0.113.9"])
            .unwrap()
            .deny([""; 0])
            .unwrap();
        for address in ["192.0.2.1", "2001:db8::1", "192.0.9.9", "203.0.113.9"] {
            assert_eq!(list.check(ip(address)), Verdict::Refused, "{address}");
        }
        assert_eq!(list.check(ip("203.0.113.8")), Verdict::Admitted);
        let more = |net: u32| {
            let hosts = 0..60_000_u32;
            hosts.map(move |host| std::net::Ipv4Addr::from_bits(net | host).to_string())
        };
        let list = list.deny(more(0x0a00_0000)).unwrap();
        let too_long = list.deny(more(0x0b00_0000)).map(drop);
        assert_eq!(too_long, Err(ListError::TooLong));
    }

    proptest! {
        #[test]
        fn ranges_say_what_each_network_says(nets in proptest::collection::vec((0_u32..256, 0_u8..9), 0..12), asked in 0_u32..256) {
            let nets: Vec<Cidr> = nets.into_iter().map(|(host, bits)| {
                let host = std::net::Ipv4Addr::from_bits(0x0a00_0000 | host);
                let net = IpNet::new(host.into(), 32_u8.saturating_sub(bits)).unwrap().trunc();
                net.to_string().parse().unwrap()
            }).collect();
            let asked = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 | asked));
            prop_assert_eq!(Ranges::of(&nets).contain(asked), nets.iter().any(|net| net.contains(asked)));
        }
    }
}
