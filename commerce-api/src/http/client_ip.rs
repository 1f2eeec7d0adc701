//! The network address of the client.

use std::net::IpAddr;

/// The address of the client, as far as it can be trusted. Absent if the connection has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientIp(pub IpAddr);

/// The network that is counted as one client: one address of IPv4; of IPv6, the /64 from which a client may choose addresses.
pub fn network_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}
