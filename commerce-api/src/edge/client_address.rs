//! The network address of the client: the peer of the connection, or the address that a trusted proxy
//! reports.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use poem::Request;
use poem::http::HeaderMap;

use crate::http::client_ip::ClientIp;

/// The networks of the proxies that are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let network = |part: &str| {
            let parsed = part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
            parsed.map_err(|_| format!("{part:?} is not a network such as 10.0.0.0/8 or an address"))
        };
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    /// Whether this address is a trusted proxy's.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client of a request. `None` if the connection has no address.
    pub fn client_of(&self, request: &Request) -> Option<ClientIp> {
        let peer = request.remote_addr().as_socket_addr()?.ip().to_canonical();
        Some(ClientIp(self.client(peer, request.headers())))
    }

    /// Goes back from the peer, proxy by proxy. A trusted proxy is believed about the address it got the
    /// request from. The first address that is not trusted is the client. What stands further left was
    /// written by the client.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.contain(peer) {
            return peer;
        }
        let forwarded_for = header_values(headers, "x-forwarded-for");
        let forwarded = header_values(headers, "forwarded");
        let by_list = self.walk(peer, forwarded_for.iter().rev().map(|entry| node_address(entry)));
        let by_element =
            self.walk(peer, forwarded.iter().rev().map(|element| node_address(for_parameter(element))));
        match (forwarded_for.is_empty(), forwarded.is_empty()) {
            (true, true) => peer,
            (false, true) => by_list,
            (true, false) => by_element,
            // A proxy writes one of the two headers, and passes on the other as the client made it up. So an
            // address is believed only if both name it.
            (false, false) if by_list == by_element => by_list,
            (false, false) => peer,
        }
    }

    fn walk(&self, peer: IpAddr, from_the_right: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer;
        for named in from_the_right {
            // An entry that cannot be read ends the search. The last address that was read counts.
            let Some(address) = named.filter(|_| self.contain(client)) else { break };
            client = address;
        }
        client
    }
}

/// The elements of a list header, over all its lines.
fn header_values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("unreadable"));
    lines.flat_map(|line| line.split(',')).map(|element| element.trim().to_owned()).collect()
}

/// The `for=` parameter of an element of `Forwarded` (RFC 7239).
fn for_parameter(element: &str) -> &str {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, value)| value);
    named.next().unwrap_or("").trim_matches('"')
}

/// An address with or without port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn node_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let proxies: TrustedProxies = "10.0.0.0/8, 2001:db8::/32,192.0.2.7".parse().unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn who_is_no_proxy_is_not_believed() {
        let spoofed = [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")];
        assert_eq!(client("203.0.113.9", &spoofed), "203.0.113.9");
        assert_eq!(client("192.0.2.8", &spoofed), "192.0.2.8");
    }

    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        let for_list = |value| client("10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(for_list("203.0.113.9"), "203.0.113.9");
        assert_eq!(for_list("1.1.1.1, 203.0.113.9"), "203.0.113.9");
        assert_eq!(for_list("1.1.1.1, 203.0.113.9, 10.2.3.4, 192.0.2.7"), "203.0.113.9");
        assert_eq!(for_list("10.9.9.9, 10.2.3.4"), "10.9.9.9");
        assert_eq!(for_list("203.0.113.9:4711"), "203.0.113.9");
        assert_eq!(for_list("[2a00::1]:4711, 2001:db8::5"), "2a00::1");
        assert_eq!(for_list("::ffff:203.0.113.9"), "203.0.113.9");
        let two_lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(client("10.0.0.1", &two_lines), "203.0.113.9");
    }

    #[test]
    fn what_cannot_be_read_is_not_skipped() {
        for garbage in ["unknown", "1.1.1.1, _hidden", "1.1.1.1,", "", "1.1.1.1, 999.1.1.1"] {
            assert_eq!(client("10.0.0.1", &[("x-forwarded-for", garbage)]), "10.0.0.1", "{garbage:?}");
        }
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, junk, 10.0.0.2")]), "10.0.0.2");
    }

    #[test]
    fn forwarded_is_read_as_well_and_two_stories_are_none() {
        let element = |value| client("10.0.0.1", &[("forwarded", value)]);
        assert_eq!(element("for=1.1.1.1, for=203.0.113.9;proto=https;by=10.0.0.1"), "203.0.113.9");
        assert_eq!(element("proto=https; For=\"[2a00::1]:4711\""), "2a00::1");
        assert_eq!(element("for=_hidden"), "10.0.0.1");
        let both = |list, value| client("10.0.0.1", &[("x-forwarded-for", list), ("forwarded", value)]);
        assert_eq!(both("203.0.113.9", "for=203.0.113.9"), "203.0.113.9");
        assert_eq!(both("203.0.113.9", "for=1.1.1.1"), "10.0.0.1");
    }

    #[test]
    fn nonsense_is_no_network() {
        assert!(
            "10.0.0.0/33".parse::<TrustedProxies>().is_err() && "proxy".parse::<TrustedProxies>().is_err()
        );
        assert_eq!("".parse::<TrustedProxies>(), Ok(TrustedProxies::default()));
    }
}
