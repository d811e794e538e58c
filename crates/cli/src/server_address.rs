//! The server's address: parsed once, then the only way to make an URL.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use crate::failure::Failure;

/// Where the operator API answers: `https://host:port`, with a path where the API does not answer at the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress(Url);

impl ServerAddress {
    /// Reads an address.
    ///
    /// Plain `http` is taken for the machine's own loopback only: anywhere else the credentials would be
    /// readable on the way. A password inside the address would be seen by every process, so there is none.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = |reason: &str| {
            Failure::Usage(format!(
                "the server's address is not usable: {reason}; expected https://host:port with an optional path"
            ))
        };
        let url = Url::parse(text.trim()).map_err(|error| refuse(&error.to_string()))?;
        let address = Self(url);
        match address.0.scheme() {
            "https" => {}
            "http" if address.is_loopback() => {}
            "http" => return Err(refuse("plain http is for loopback addresses only")),
            _ => return Err(refuse("it does not start with https://")),
        }
        if !address.0.username().is_empty() || address.0.password().is_some() {
            return Err(refuse("it holds a user name or password; use `sealift login` for these"));
        }
        if address.0.query().is_some() || address.0.fragment().is_some() {
            return Err(refuse("it has a query or a fragment"));
        }
        Ok(address)
    }

    /// The URL of an endpoint: path segments and query values are escaped here.
    pub(crate) fn endpoint(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether both name the same server, whatever the path.
    pub(crate) fn same_server(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// Whether TLS is used.
    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether the host is this machine, by name or address.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ServerAddress {
        ServerAddress::parse(text).unwrap()
    }

    #[test]
    fn endpoints_keep_the_base_path_and_escape_what_they_are_given() {
        let server = address("https://sealift.example.test:8443/KeyfactorAPI/");
        assert_eq!(
            server
                .endpoint(
                    &["CertificateStoreTypes", "Name", "a/b"],
                    &[("QueryString", "A -eq \"b\"".to_owned())]
                )
                .as_str(),
            "https://sealift.example.test:8443/KeyfactorAPI/CertificateStoreTypes/Name/a%2Fb?QueryString=A+-eq+%22b%22"
        );
        assert_eq!(
            address("https://sealift.example.test").endpoint(&["Agents"], &[]).as_str(),
            "https://sealift.example.test/Agents"
        );
        assert_eq!(
            address("https://sealift.example.test:8443/").to_string(),
            "https://sealift.example.test:8443"
        );
    }

    #[test]
    fn what_would_show_a_secret_or_is_no_address_is_refused() {
        for text in [
            "sealift.example.test",
            "sealift.example.test:8443",
            "http://sealift.example.test",
            "https://admin:secret@sealift.example.test",
            "https://sealift.example.test/?a=b",
            "ftp://sealift.example.test",
            "",
        ] {
            let failure = ServerAddress::parse(text).unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{text}");
            assert!(!failure.to_string().contains("secret@"), "{text}");
        }
    }

    #[test]
    fn plain_http_is_taken_for_loopback() {
        for text in ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080"] {
            assert!(!address(text).is_https(), "{text}");
        }
    }

    #[test]
    fn the_same_server_is_recognised_at_any_path() {
        let root = address("https://sealift.example.test");
        assert!(root.same_server(&address("https://SEALIFT.example.test:443/KeyfactorAPI")));
        assert!(!root.same_server(&address("https://sealift.example.test:8443")));
    }
}
