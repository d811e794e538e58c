//! Certificates alone in one file: PKCS#7 signed data without signers (RFC 5652, 5.1), which the field calls P7B. It is
//! only written here.

use crate::{Certificate, der};

const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const DATA: &str = "1.2.840.113549.1.7.1";

/// Writes a bag that holds the certificates in this order. Strict DER would sort them, and readers that take the first
/// one for the end entity would then find another; the set is therefore left as given, as in BER.
pub fn encode<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> Vec<u8> {
    let certificates: Vec<&[u8]> = certificates.into_iter().map(Certificate::der).collect();
    let oid = |text| der::oid_element(text).unwrap_or_default();
    let nothing = der::element(der::SET, &[]);
    let signed = der::element(
        der::SEQUENCE,
        &[
            &der::element(der::INTEGER, &[&[1]]),
            &nothing,
            &der::element(der::SEQUENCE, &[&oid(DATA)]),
            &der::element(der::CONTEXT_0, &certificates),
            &nothing,
        ],
    );
    der::element(der::SEQUENCE, &[&oid(SIGNED_DATA), &der::element(der::CONTEXT_0, &[&signed])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        KeyAlgorithm, pem,
        test_tools::{authorities, leaf, openssl, scratch, store},
    };

    #[test]
    fn openssl_finds_the_certificates_in_their_order() {
        let (root, issuing) = authorities();
        let (certificate, _) = leaf(&issuing, KeyAlgorithm::EcdsaP256, &["www.example.test"]);
        let given = [certificate, issuing.certificate().clone(), root.certificate().clone()];
        let directory = scratch();
        for count in 1..=given.len() {
            store(directory.path(), "bag.p7b", &encode(&given[..count]));
            let arguments = ["pkcs7", "-inform", "DER", "-in", "bag.p7b", "-print_certs"];
            let text = openssl(directory.path(), &arguments);
            assert_eq!(pem::certificates(&text).unwrap(), given[..count]);
        }
    }
}
