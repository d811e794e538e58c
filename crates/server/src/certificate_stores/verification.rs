//! How a store says that its agent proves what is served: checked here, handed to agents with each job.

use sealift_protocol::agent::verification::{MAX_TARGETS, MAX_VERIFICATION_SECONDS, Target, Verification};
use serde_json::Value;

use super::error::Error;
use crate::orchestrator_jobs::{is_name, same_target};

/// Time for all handshakes where a client names none.
const USUAL_SECONDS: u16 = 30;

/// What is kept of the wish; nothing where no target is named and none is to be derived.
pub(super) fn checked(wish: &Verification) -> Result<Option<Value>, Error> {
    let invalid = |what: String| Err(Error::Invalid(format!("Verification.{what}")));
    if wish.targets.is_empty() && !wish.derive_from_names {
        return Ok(None);
    }
    if wish.targets.len() > MAX_TARGETS {
        return invalid(format!("Targets names {} servers; at most {MAX_TARGETS} fit", wish.targets.len()));
    }
    if wish.deadline_seconds > MAX_VERIFICATION_SECONDS {
        return invalid(format!("DeadlineSeconds must be between 1 and {MAX_VERIFICATION_SECONDS}"));
    }
    let mut targets: Vec<Target> = Vec::with_capacity(wish.targets.len());
    for (index, target) in wish.targets.iter().enumerate() {
        let target = match checked_target(target) {
            Ok(target) => target,
            Err(reason) => return invalid(format!("Targets[{index}].{reason}")),
        };
        if targets.iter().any(|known| same_target(known, &target)) {
            return invalid(format!("Targets[{index}] names the same server and name as one before it"));
        }
        targets.push(target);
    }
    let deadline_seconds = match wish.deadline_seconds {
        0 => USUAL_SECONDS,
        seconds => seconds,
    };
    let kept = Verification { targets, deadline_seconds, ..wish.clone() };
    Ok(serde_json::to_value(&kept).ok())
}

fn checked_target(target: &Target) -> Result<Target, &'static str> {
    let host = target.host.trim();
    if !is_name(host) {
        return Err("Host must be a name or address of 1 to 255 printable ASCII characters");
    }
    if target.port == 0 {
        return Err("Port must be between 1 and 65535");
    }
    let server_name = target.server_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    if server_name.is_some_and(|name| !is_name(name)) {
        return Err("ServerName must be a name of 1 to 255 printable ASCII characters");
    }
    let mut protocols: Vec<String> = Vec::new();
    for version in &target.protocols {
        if !matches!(version.as_str(), "1.2" | "1.3") {
            return Err("Protocols may hold 1.2 and 1.3");
        }
        if !protocols.contains(version) {
            protocols.push(version.clone());
        }
    }
    Ok(Target {
        host: host.to_owned(),
        port: target.port,
        server_name: server_name.map(str::to_owned),
        protocols,
    })
}

/// As answered to clients.
pub(super) fn shown(kept: Option<&Value>) -> Option<Verification> {
    serde_json::from_value(kept?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Target {
        Target { host: host.to_owned(), port, ..Target::default() }
    }

    fn refusal(wish: &Verification) -> String {
        checked(wish).unwrap_err().to_string()
    }

    #[test]
    fn settings_are_bounded_and_an_empty_wish_is_none() {
        assert_eq!(checked(&Verification::default()).unwrap(), None);
        let wish = Verification { targets: vec![at(" www.example.test ", 443)], ..Verification::default() };
        let kept = shown(checked(&wish).unwrap().as_ref()).unwrap();
        assert_eq!((kept.targets[0].host.as_str(), kept.deadline_seconds), ("www.example.test", 30));
        let with = |targets: Vec<Target>| Verification { targets, ..Verification::default() };
        assert!(refusal(&with(vec![at("", 443)])).contains("Targets[0].Host"));
        assert!(refusal(&with(vec![at("a", 443), at("a", 0)])).contains("Targets[1].Port"));
        assert!(refusal(&with(vec![at("a", 443), at("A", 443)])).contains("same server"));
        assert!(refusal(&with((1..=65).map(|port| at("a", port)).collect())).contains("at most 64"));
        let old = Target { protocols: vec!["1.0".to_owned()], ..at("a", 443) };
        assert!(refusal(&with(vec![old])).contains("1.2 and 1.3"));
        assert!(refusal(&Verification { deadline_seconds: 601, ..wish }).contains("DeadlineSeconds"));
    }
}
