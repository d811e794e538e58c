//! Where the agent connects to look at what is served: its own machine, and what its own configuration lists. The
//! server cannot widen this, so it cannot search a network through an agent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use sealift_protocol::agent::verification::Target;
use tokio::net::lookup_host;

use crate::configuration::VerificationHost;

/// Most addresses of a target that are tried.
const MAX_ADDRESSES: usize = 4;
/// Longest host name.
const MAX_HOST: usize = 253;

/// The list.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    hosts: Arc<[VerificationHost]>,
}

/// Why a target was not connected to.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// For people.
    pub(crate) reason: String,
    /// Whether another try would end the same.
    pub(crate) lasting: bool,
}

impl Reach {
    /// This machine, and the hosts of the configuration.
    pub(crate) fn new(hosts: &[VerificationHost]) -> Self {
        Self { hosts: hosts.into() }
    }

    /// Addresses of the target that may be connected to.
    pub(crate) async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Refusal> {
        let lasting = |reason: &str| Refusal { reason: reason.to_owned(), lasting: true };
        let host = target.host.trim_matches(['[', ']']).to_lowercase();
        if host.is_empty() || host.len() > MAX_HOST || host.chars().any(char::is_control) || target.port == 0
        {
            return Err(lasting("not looked at: the target is no host and port"));
        }
        let found: Vec<SocketAddr> = match lookup_host((host.as_str(), target.port)).await {
            Ok(found) => found.take(MAX_ADDRESSES).collect(),
            Err(_) => return Err(Refusal { reason: "its name has no address".to_owned(), lasting: false }),
        };
        if self.lists(&host, target.port) {
            return Ok(found);
        }
        let own: Vec<SocketAddr> = found.into_iter().filter(|address| is_own(address.ip())).collect();
        if own.is_empty() {
            return Err(lasting(
                "not looked at (target_not_allowed): it is not this machine and not in verification_hosts",
            ));
        }
        Ok(own)
    }

    fn lists(&self, host: &str, port: u16) -> bool {
        self.hosts.iter().any(|listed| listed.host == host && listed.port.is_none_or(|listed| listed == port))
    }
}

/// Whether an address belongs to this machine.
fn is_own(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() {
        return true;
    }
    if address.is_multicast() || address.is_unspecified() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return false;
    }
    // Where the kernel lets any address be bound, binding proves nothing; then only the address that packets to it
    // would come from is believed.
    let nobodys = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    let binds = |address: IpAddr| TcpListener::bind((address, 0)).is_ok();
    if binds(nobodys) {
        return source_towards(address) == Some(address);
    }
    binds(address)
}

/// The address that packets to another would come from; none are sent.
fn source_towards(address: IpAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((address, 9)).ok()?;
    socket.local_addr().ok().map(|own| own.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str) -> Target {
        Target { host: host.to_owned(), port: 443, ..Target::default() }
    }

    #[tokio::test]
    async fn only_this_machine_and_what_is_listed_is_connected_to() {
        let reach = Reach::new(&[]);
        for host in ["127.0.0.1", "localhost", "127.8.9.1", "[::ffff:127.0.0.1]"] {
            assert!(!reach.addresses(&target(host)).await.unwrap().is_empty(), "{host}");
        }
        for host in ["192.0.2.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "[2001:db8::1]", "", "a\nb"] {
            let refusal = reach.addresses(&target(host)).await.unwrap_err();
            assert!(refusal.lasting && refusal.reason.starts_with("not looked at"), "{host}: {refusal:?}");
        }
        let listed = VerificationHost { host: "192.0.2.1".to_owned(), port: Some(443) };
        let reach = Reach::new(&[listed]);
        assert!(reach.addresses(&target("192.0.2.1")).await.is_ok());
        assert!(reach.addresses(&Target { port: 22, ..target("192.0.2.1") }).await.is_err());
    }
}
