//! The secrets of one job, sealed together to its row. They go with it.

use std::collections::BTreeMap;

use sealift_protocol::{JobId, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::sealing::{Error, Place, SealingKey};

/// What a job must not say in the clear.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct JobSecrets {
    /// Password of the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry_password: Option<Secret>,
    /// Secret entry parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) job_fields: BTreeMap<String, Secret>,
    /// Login of a discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_username: Option<Secret>,
    /// Its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_password: Option<Secret>,
}

impl JobSecrets {
    fn is_empty(&self) -> bool {
        self.entry_password.is_none()
            && self.job_fields.is_empty()
            && self.server_username.is_none()
            && self.server_password.is_none()
    }

    /// Sealed to the job's row; `None` when there is nothing to seal.
    pub(super) fn seal(&self, sealing: &SealingKey, job: JobId) -> Result<Option<Vec<u8>>, Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let text = Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        sealing.seal(place(&job), &text).map(Some)
    }

    /// Opens what was sealed; nothing when there is nothing.
    pub(super) fn open(sealing: &SealingKey, job: JobId, sealed: Option<&[u8]>) -> Result<Self, Error> {
        let Some(sealed) = sealed else { return Ok(Self::default()) };
        let text = sealing.open_text(place(&job), sealed)?;
        serde_json::from_str(text.expose()).map_err(|_| Error::DoesNotOpen { place: place(&job).to_string() })
    }
}

fn place(job: &JobId) -> Place<'_> {
    Place { table: "jobs", row: job, column: "sealed_secret" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_open_for_their_job_alone() {
        let key = SealingKey::from_bytes(&[7; 32]);
        let (job, other) = (JobId::generate(), JobId::generate());
        assert!(JobSecrets::default().seal(&key, job).unwrap().is_none());
        let secrets = JobSecrets { entry_password: Some(Secret::new("a")), ..JobSecrets::default() };
        let sealed = secrets.seal(&key, job).unwrap();
        let opened = JobSecrets::open(&key, job, sealed.as_deref()).unwrap();
        assert_eq!(opened.entry_password, secrets.entry_password);
        assert!(JobSecrets::open(&key, other, sealed.as_deref()).is_err());
        assert!(JobSecrets::open(&key, job, None).unwrap().entry_password.is_none());
    }
}
