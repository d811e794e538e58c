//! `sealift enroll`: a certificate with a key that the server makes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, ValueEnum};
use sealift_protocol::operator::enrollment::{EnrollPfx, EnrolledPfx, PfxInformation};
use zeroize::Zeroizing;

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, Table, or_dash};
use crate::private_file::PrivateFile;
use crate::secret_input;

/// The certificate stays with the server, to be deployed.
const TO_DEPLOY: &str = "STORE";
/// The certificate and its key come in the answer.
const TO_FILE: &str = "PFX";

/// Obtain a certificate from the server's authority
///
/// Its key stays with the server for `sealift deploy`; with --out a PKCS#12 file with certificate, chain and
/// key is written as well.
#[derive(Debug, Args)]
pub(super) struct Enroll {
    /// Distinguished name, such as CN=www.example.com,O=Example
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// DNS name; can be given several times
    #[arg(long, value_name = "NAME", num_args = 1..)]
    dns: Vec<String>,
    /// IP address; can be given several times
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    ip: Vec<String>,
    /// Short name of the template
    #[arg(long, value_name = "NAME", default_value = "TLSServer")]
    template: String,
    /// Kind of key [default: the template's]
    #[arg(long, value_name = "KIND")]
    key: Option<Key>,
    /// Write a PKCS#12 file, with mode 0600
    #[arg(long, value_name = "FILE", requires = "password_file")]
    out: Option<PathBuf>,
    /// File with the password of the PKCS#12 file, mode 0600, or - for standard input
    #[arg(long, value_name = "FILE", requires = "out")]
    password_file: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "out")]
    force: bool,
}

/// The kinds of key that can be asked for by a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Key {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
}

impl Key {
    /// `KeyType`, `KeyLength` and `Curve` of the operator API. Curves: RFC 5480, 2.1.1.1.
    fn members(self) -> (&'static str, i64, Option<&'static str>) {
        match self {
            Self::Rsa2048 => ("RSA", 2048, None),
            Self::Rsa3072 => ("RSA", 3072, None),
            Self::Rsa4096 => ("RSA", 4096, None),
            Self::P256 => ("ECC", 256, Some("1.2.840.10045.3.1.7")),
            Self::P384 => ("ECC", 384, Some("1.3.132.0.34")),
        }
    }
}

impl Enroll {
    /// `POST /Enrollment/PFX`.
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        // The name of the file is taken first: a certificate that nobody can fetch helps no one.
        let file = self
            .out
            .as_ref()
            .map(|path| if self.force { PrivateFile::replace(path) } else { PrivateFile::create_new(path) })
            .transpose()?;
        let format = if file.is_some() { TO_FILE } else { TO_DEPLOY };
        let request = self.request()?;
        let answer = client.post_for_format(&["Enrollment", "PFX"], format, &request).await?;
        let enrolled: EnrolledPfx = answer.read()?;
        if let Some(file) = file {
            write(file, &enrolled.certificate_information)?;
        }
        output.show(&answer, |_| Ok(table(&enrolled.certificate_information)))?;
        match &self.out {
            _ if output.is_json() => Ok(()),
            Some(path) => output.line(&format!("written to {}", path.display())),
            None if enrolled.certificate_information.keyfactor_id > 0 => output.line(&format!(
                "next: sealift deploy --certificate {} --store GUID",
                enrolled.certificate_information.keyfactor_id
            )),
            None => Ok(()),
        }
    }

    fn request(&self) -> Result<EnrollPfx, Failure> {
        let names = [("dns", &self.dns), ("ip", &self.ip)];
        let sans: BTreeMap<String, Vec<String>> = names
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(kind, values)| (kind.to_owned(), values.clone()))
            .collect();
        let key = self.key.map(Key::members);
        Ok(EnrollPfx {
            subject: Some(self.subject.clone()),
            password: self.password_file.as_deref().map(secret_input::from_file).transpose()?,
            template: Some(self.template.clone()),
            sans,
            include_chain: true,
            key_type: key.map(|(kind, _, _)| kind.to_owned()),
            key_length: key.map(|(_, length, _)| length),
            curve: key.and_then(|(_, _, curve)| curve).map(str::to_owned),
            ..EnrollPfx::default()
        })
    }
}

fn write(file: PrivateFile, enrolled: &PfxInformation) -> Result<(), Failure> {
    if enrolled.pkcs12_blob.is_empty() {
        return Err(Failure::Operation(format!(
            "no file was written: request {} is {}; once it is issued, deploy the certificate or recover it",
            enrolled.keyfactor_request_id, enrolled.request_disposition
        )));
    }
    let id = enrolled.keyfactor_id;
    let content =
        BASE64_STANDARD.decode(enrolled.pkcs12_blob.expose()).map(Zeroizing::new).map_err(|_| {
            Failure::Operation(format!(
                "certificate {id} was enrolled, but the file in the answer is not base64"
            ))
        })?;
    file.finish(&content)
        .map_err(|failure| Failure::Operation(format!("certificate {id} was enrolled, but {failure}")))
}

fn table(enrolled: &PfxInformation) -> Table {
    let id = Some(enrolled.keyfactor_id).filter(|id| *id > 0);
    let request = Some(enrolled.keyfactor_request_id).filter(|id| *id > 0);
    Table::pairs([
        ("Certificate", or_dash(id)),
        ("Request", or_dash(request)),
        ("Disposition", enrolled.request_disposition.clone()),
        ("Message", or_dash(Some(&enrolled.disposition_message))),
        ("Thumbprint", or_dash(Some(&enrolled.thumbprint))),
        ("Serial number", or_dash(Some(&enrolled.serial_number))),
        ("Issuer", or_dash(Some(&enrolled.issuer_dn))),
    ])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const ENROLLED: &str = r#"{"CertificateInformation":{"SerialNumber":"3C9A","IssuerDN":"CN=Issuing",
        "Thumbprint":"9F0C","KeyfactorId":512,"Pkcs12Blob":"Y2FuYXJ5LWtleQ==","Password":null,
        "KeyfactorRequestId":0,"RequestDisposition":"ISSUED","DispositionMessage":"","EnrollmentContext":null,
        "StoreIdsInvalidForRenewal":[],"ChainFailedToBuild":false},"Metadata":{}}"#;

    fn enroll(out: Option<&Path>, password_file: Option<&Path>) -> Enroll {
        Enroll {
            subject: "CN=www.example.test".to_owned(),
            dns: vec!["www.example.test".to_owned(), "*.example.test".to_owned()],
            ip: Vec::new(),
            template: "TLSServer".to_owned(),
            key: Some(Key::P256),
            out: out.map(Path::to_owned),
            password_file: password_file.map(Path::to_owned),
            force: false,
        }
    }

    #[tokio::test]
    async fn without_a_file_the_key_stays_with_the_server_and_is_not_shown() {
        let responder = Responder::start(vec![Reply::new(200, ENROLLED)]);
        let captured = Captured::default();
        enroll(None, None).run(&responder.client(), &captured.output(false, None)).await.unwrap();
        assert!(captured.text().contains("sealift deploy --certificate 512"), "{}", captured.text());
        assert!(!captured.text().contains("Y2Fu"), "{}", captured.text());
        let asked = &responder.asked()[0];
        assert_eq!(asked.line, "POST /Enrollment/PFX");
        assert!(asked.headers.contains("x-certificateformat: store"), "{}", asked.headers);
        let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body["SANs"]["dns"][1], "*.example.test");
        assert_eq!(body["KeyType"], "ECC");
        assert_eq!(body["Curve"], "1.2.840.10045.3.1.7");
    }

    #[tokio::test]
    async fn with_a_file_the_answer_is_written_private() {
        let directory = tempfile::tempdir().unwrap();
        let (out, password) = (directory.path().join("www.pfx"), directory.path().join("password"));
        PrivateFile::create_new(&password).unwrap().finish(b"canary-password\n").unwrap();
        let responder = Responder::start(vec![Reply::new(200, ENROLLED)]);
        let captured = Captured::default();
        let client = responder.client();
        enroll(Some(&out), Some(&password)).run(&client, &captured.output(false, None)).await.unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), b"canary-key");
        let asked = &responder.asked()[0];
        assert!(asked.headers.contains("x-certificateformat: pfx"), "{}", asked.headers);
        assert!(asked.body.contains(r#""Password":"canary-password""#));
        assert!(!captured.text().contains("canary"), "{}", captured.text());

        let again = enroll(Some(&out), Some(&password));
        let failure = again.run(&client, &captured.output(false, None)).await.unwrap_err();
        assert_eq!(failure.exit_code(), 2, "nothing is asked of the server: {failure}");
    }

    #[tokio::test]
    async fn a_refused_enrollment_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let (out, password) = (directory.path().join("www.pfx"), directory.path().join("password"));
        PrivateFile::create_new(&password).unwrap().finish(b"canary").unwrap();
        let refusal = r#"{"ErrorCode":"0xA0110002","Message":"The template TLSServer is not known."}"#;
        let responder = Responder::start(vec![Reply::new(400, refusal)]);
        let output = Captured::default().output(false, None);
        let failure =
            enroll(Some(&out), Some(&password)).run(&responder.client(), &output).await.unwrap_err();
        assert_eq!(failure.exit_code(), 5);
        assert!(!out.exists());
    }
}
