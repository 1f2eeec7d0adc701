//! The network address of the client.

use std::net::{IpAddr, Ipv6Addr};

/// The address of the client, as far as it can be trusted. Absent if the connection has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientIp(pub IpAddr);

/// The network that is counted as one client: an address of IPv4, or a /64 of IPv6, in which a client can use
/// any address.
pub fn network_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => prefix(ip, 64),
    }
}

/// The networks around a client, each with the number of clients for which it counts. A home line of IPv6 has a
/// /56 and a company a /48, and either can use all of its /64s.
pub fn networks_of(ip: IpAddr) -> Vec<(String, u32)> {
    match ip {
        IpAddr::V4(_) => vec![(network_of(ip), 1)],
        IpAddr::V6(ip) => vec![(prefix(ip, 64), 1), (prefix(ip, 56), 4), (prefix(ip, 48), 16)],
    }
}

fn prefix(ip: Ipv6Addr, bits: u32) -> String {
    let network = Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - bits)));
    format!("{network}/{bits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_line_is_one_network_of_several() {
        let networks = |ip: &str| networks_of(ip.parse().unwrap());
        assert_eq!(networks("192.0.2.7"), [("192.0.2.7".to_owned(), 1)]);
        let expected = [("2001:db8:1:2ff::/64", 1), ("2001:db8:1:200::/56", 4), ("2001:db8:1::/48", 16)];
        let expected = expected.map(|(network, clients)| (network.to_owned(), clients));
        assert_eq!(networks("2001:db8:1:2ff:3:4:5:6"), expected);
    }
}
