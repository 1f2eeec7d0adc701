//! The network address of the client.

use std::net::IpAddr;

/// The address of the client, as far as it can be trusted. Absent if the connection has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientIp(pub IpAddr);
