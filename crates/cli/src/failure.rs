//! The ways a command ends without success: one line for people, one number for scripts.
//!
//! The numbers are part of the program's interface ([`EXIT_CODES`] is shown by `--help`).

use std::fmt;

use sealift_protocol::Problem;

/// The table of exit codes, as `--help` shows it.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  the operation failed: a job ended in failure, a store got no job, the server had a fault
  2  usage: wrong arguments, settings or local files
  3  the server cannot be reached, or its TLS certificate is not trusted
  4  not authenticated, or not permitted
  5  not found, or refused by the server as bad input
  6  timed out waiting";

/// Reasons of a refused call that are shown; the rest is counted.
const REASONS_SHOWN: usize = 5;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The call went through; what it was for did not succeed.
    #[error("{0}")]
    Operation(String),
    /// Arguments, settings or a local file.
    #[error("{0}")]
    Usage(String),
    /// No answer, or none that can be trusted.
    #[error("cannot reach {server}: {reason}; {next}")]
    Unreachable {
        /// The server's address.
        server: String,
        /// The root cause.
        reason: String,
        /// What to do.
        next: &'static str,
    },
    /// There is nothing to authenticate with.
    #[error(
        "no credentials for {server}; run `sealift login`, set SEALIFT_TOKEN, or give --credentials FILE"
    )]
    NoCredentials {
        /// The server's address.
        server: String,
    },
    /// The server answered with an error.
    #[error("{0}")]
    Refused(Refusal),
    /// What was named does not exist, as a lookup showed.
    #[error("{0}")]
    NotFound(String),
    /// The time given for waiting is over.
    #[error("{0}")]
    TimedOut(String),
    /// Nobody reads the output any more.
    #[error("the output was closed")]
    OutputClosed,
}

impl Failure {
    /// The exit code, as in [`EXIT_CODES`].
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Operation(_) | Self::OutputClosed => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::NoCredentials { .. } => 4,
            Self::Refused(refusal) => refusal.exit_code(),
            Self::NotFound(_) => 5,
            Self::TimedOut(_) => 6,
        }
    }
}

/// An answer with an error status.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: u16,
    /// The server's address.
    pub(crate) server: String,
    /// The error body; absent when the answer had none of ours, as from a proxy.
    pub(crate) problem: Option<Problem>,
}

impl Refusal {
    fn exit_code(&self) -> u8 {
        match self.status {
            401 | 403 => 4,
            // Without our error body these come from a gateway before the server.
            502..=504 if self.problem.is_none() => 3,
            429 | 500.. => 1,
            _ => 5,
        }
    }

    fn next_step(&self) -> Option<&'static str> {
        match (self.status, &self.problem) {
            (401, _) => Some("run `sealift login`, or renew the token or credentials that were given"),
            (403, _) => Some("ask an administrator for a role with this permission"),
            (300..400, _) | (404, None) => Some("check the address given by --server"),
            (404, Some(_)) => Some("list what exists to find the right id"),
            (429, _) | (502..=504, _) => Some("try again later"),
            (500.., _) => Some("the server's log has the cause"),
            (400, Some(_)) => Some("correct the call and repeat it"),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Some(problem) => {
                write!(f, "{}: {}", problem.error_code, problem.message.trim_end_matches('.'))?;
                for failed in problem.failed_operations.iter().take(REASONS_SHOWN) {
                    write!(f, "; {}", failed.reason.trim_end_matches('.'))?;
                }
                let rest = problem.failed_operations.len().saturating_sub(REASONS_SHOWN);
                if rest > 0 {
                    write!(f, "; and {rest} more reasons")?;
                }
            }
            None => write!(f, "{} answered with HTTP status {} and no reason", self.server, self.status)?,
        }
        match self.next_step() {
            Some(next) => write!(f, "; {next}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, with_body: bool) -> Refusal {
        let problem = with_body.then(|| Problem {
            error_code: "0xA0140002".to_owned(),
            message: "The permission /certificate_stores/modify/ is missing.".to_owned(),
            failed_operations: Vec::new(),
        });
        Refusal { status, server: "https://sealift.example.test".to_owned(), problem }
    }

    #[test]
    fn each_status_has_the_documented_exit_code() {
        let cases = [
            (400, true, 5),
            (401, true, 4),
            (401, false, 4),
            (403, true, 4),
            (404, true, 5),
            (409, true, 5),
            (413, false, 5),
            (429, true, 1),
            (500, true, 1),
            (503, true, 1),
            (502, false, 3),
            (504, false, 3),
        ];
        for (status, with_body, code) in cases {
            assert_eq!(
                Failure::Refused(refusal(status, with_body)).exit_code(),
                code,
                "{status}, body: {with_body}"
            );
        }
    }

    #[test]
    fn every_other_failure_has_the_documented_exit_code() {
        let server = || "https://sealift.example.test".to_owned();
        let unreachable =
            Failure::Unreachable { server: server(), reason: "refused".to_owned(), next: "start it" };
        assert_eq!(Failure::Operation(String::new()).exit_code(), 1);
        assert_eq!(Failure::Usage(String::new()).exit_code(), 2);
        assert_eq!(unreachable.exit_code(), 3);
        assert_eq!(Failure::NoCredentials { server: server() }.exit_code(), 4);
        assert_eq!(Failure::NotFound(String::new()).exit_code(), 5);
        assert_eq!(Failure::TimedOut(String::new()).exit_code(), 6);
        assert_eq!(Failure::OutputClosed.exit_code(), 1);
    }

    #[test]
    fn a_refusal_says_code_message_and_next_step() {
        assert_eq!(
            refusal(403, true).to_string(),
            "0xA0140002: The permission /certificate_stores/modify/ is missing; \
             ask an administrator for a role with this permission"
        );
    }

    #[test]
    fn many_reasons_are_counted() {
        let mut refusal = refusal(400, true);
        let reasons: Vec<_> = (0..7)
            .map(|number| serde_json::json!({ "Reason": format!("store {number} is not known") }))
            .collect();
        refusal.problem = serde_json::from_value(serde_json::json!({
            "ErrorCode": "0xA0110002", "Message": "Two stores were refused.",
            "FailedOperations": reasons,
        }))
        .unwrap();
        assert!(refusal.to_string().contains("; and 2 more reasons; correct the call"), "{refusal}");
    }
}
