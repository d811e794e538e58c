//! `GET /License`: what is true of a server that nobody licenses.

use sealift_protocol::operator::audit::{Customer, License, LicenseData, LicensedProduct};

/// The answer for a server that tells its clients this version.
pub(super) fn license(product_version: &str) -> License {
    let mut numbers = env!("CARGO_PKG_VERSION").split('.').map(str::to_owned);
    License {
        keyfactor_version: product_version.to_owned(),
        license_data: LicenseData {
            license_id: "Apache-2.0".to_owned(),
            customer: Customer { name: String::new(), id: 0 },
            issued_date: None,
            expiration_date: None,
            licensed_products: vec![LicensedProduct {
                product_id: "sealift".to_owned(),
                display_name: "Sealift".to_owned(),
                major_rev: numbers.next().unwrap_or_default(),
                minor_rev: numbers.next().unwrap_or_default(),
                licensed_features: Vec::new(),
            }],
        },
    }
}
