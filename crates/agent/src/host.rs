//! What tells this machine from others: a hash of its names, of which nothing but the hash leaves, and its own name for
//! people. By it the server tells an agent that was restarted from one whose identity was copied.

use std::fs;

use aws_lc_rs::digest::{Context, SHA256};

/// Files with the machine's id, the first that there is.
const MACHINE_IDS: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// This machine.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// Hexadecimal digits.
    pub(crate) hash: String,
    /// As it names itself.
    pub(crate) name: String,
}

impl Host {
    /// Looks at the machine.
    pub(crate) fn look() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let id = MACHINE_IDS.iter().find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        Self { hash: hash(id.trim(), &name), name }
    }
}

fn hash(machine_id: &str, name: &str) -> String {
    let mut context = Context::new(&SHA256);
    for part in ["sealift host", machine_id, name] {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_differ_by_id_and_by_name() {
        let known = hash("4f8f", "web1");
        assert_eq!((known.len(), &known), (64, &hash("4f8f", "web1")));
        assert_ne!(known, hash("4f8f", "web2"));
        assert_ne!(known, hash("4f80", "web1"));
        assert_ne!(hash("ab", "c"), hash("a", "bc"));
        assert_eq!(Host::look().hash, Host::look().hash);
    }
}
