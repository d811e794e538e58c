//! `sealift status`: whether the server answers this caller.

use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::{Output, Table, or_dash};

/// `GET /Status/Endpoints`.
pub(super) async fn status(client: &Client, output: &Output) -> Result<(), Failure> {
    let answer = client.get(&["Status", "Endpoints"], &Query::new()).await?;
    output.show(&answer, |answer| {
        let endpoints: Vec<String> = answer.read()?;
        Ok(Table::pairs([
            ("Server", client.server().to_string()),
            ("Version", or_dash(answer.product_version())),
            ("Endpoints", format!("{} may be used; --json lists them", endpoints.len())),
        ]))
    })
}
