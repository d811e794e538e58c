//! The header `x-certificateformat`: how a certificate is handed out (operator contract, 1.3).

use super::error::Error;
use crate::certificates::KeyFormat;
use crate::http::problem::shortened;

/// How a certificate and its key are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// PKCS#12.
    Pfx,
    /// PKCS#12 too; the caller is going to deploy it.
    Store,
    /// PKCS#12 too; the caller is going to replace another certificate by it.
    Replace,
    /// PEM text.
    Pem,
    /// A ZIP archive of PEM files.
    Zip,
    /// A Java keystore.
    Jks,
}

impl Format {
    const ALL: [(&'static str, Self); 6] = [
        ("PFX", Self::Pfx),
        ("STORE", Self::Store),
        ("REPLACE", Self::Replace),
        ("PEM", Self::Pem),
        ("ZIP", Self::Zip),
        ("JKS", Self::Jks),
    ];

    /// From the header, PFX when it is absent.
    pub(super) fn parse(header: Option<&str>) -> Result<Self, Error> {
        let text = header.map(str::trim).unwrap_or_default();
        if text.is_empty() {
            return Ok(Self::Pfx);
        }
        let found = Self::ALL.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, format)| *format).ok_or_else(|| Error::Format {
            given: shortened(text),
            supported: Self::ALL.map(|(word, _)| word).join(", "),
        })
    }

    /// How that is packed.
    pub(super) const fn key_format(self) -> KeyFormat {
        match self {
            Self::Pfx | Self::Store | Self::Replace => KeyFormat::Pfx,
            Self::Pem => KeyFormat::Pem,
            Self::Zip => KeyFormat::Zip,
            Self::Jks => KeyFormat::Jks,
        }
    }

    /// Ending of the file name that is suggested.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Pfx | Self::Replace => "pfx",
            Self::Store => "store",
            Self::Pem => "pem",
            Self::Zip => "zip",
            Self::Jks => "jks",
        }
    }
}

/// How a certificate without key is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CsrFormat {
    /// PEM texts.
    Pem,
    /// Base64 of DER.
    Der,
}

impl CsrFormat {
    /// From the header, PEM when it is absent.
    pub(super) fn parse(header: Option<&str>) -> Result<Self, Error> {
        match header.map(str::trim).unwrap_or_default().to_ascii_uppercase().as_str() {
            "" | "PEM" => Ok(Self::Pem),
            "DER" => Ok(Self::Der),
            other => Err(Error::Format { given: shortened(other), supported: "PEM, DER".to_owned() }),
        }
    }

    /// Ending of the file name that is suggested.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Pem => "pem",
            Self::Der => "der",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_in_any_case() {
        assert_eq!(Format::parse(None).unwrap(), Format::Pfx);
        assert_eq!(Format::parse(Some("store")).unwrap(), Format::Store);
        assert_eq!(Format::parse(Some("Zip")).unwrap(), Format::Zip);
        assert_eq!(Format::parse(Some("Pem")).unwrap(), Format::Pem);
        assert_eq!(CsrFormat::parse(Some("der")).unwrap(), CsrFormat::Der);
        let refusal = Format::parse(Some("P7B")).unwrap_err().to_string();
        assert!(
            refusal.contains("'P7B'") && refusal.contains("PFX, STORE, REPLACE, PEM, ZIP, JKS"),
            "{refusal}"
        );
        assert!(CsrFormat::parse(Some("PFX")).unwrap_err().to_string().contains("PEM, DER"));
    }
}
