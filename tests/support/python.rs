//! Programs in Python that the tests run: clients and testers as PyPI has them, pinned in `tests/python/`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder with the programs and the lists of what they need.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// A program of `tests/python/`, in the environment with the packages of `requirements-NAME.txt`. The environment is
/// made when it is missing.
pub fn program(environment: &str, file: &str) -> Command {
    let made = Command::new(folder().join("../../.ci/python")).arg(environment).output();
    let made = made.expect("the script runs");
    assert!(made.status.success(), "no Python: {}", String::from_utf8_lossy(&made.stderr));
    let python = String::from_utf8(made.stdout).expect("a path");
    let mut command = Command::new(python.trim_end());
    command.arg(folder().join(file));
    // Nothing is written into the checkout, and nothing goes through a proxy.
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "*").env("no_proxy", "*");
    command
}
