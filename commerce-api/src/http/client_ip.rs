//! Who is calling, by address.

use std::net::IpAddr;

/// The address of the client, as far as it can be trusted. It is with a request whose connection has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientIp(pub IpAddr);
