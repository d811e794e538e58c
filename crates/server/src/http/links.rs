//! Ids in the OpenAPI document: what the parameters of paths hold, and the links from answers that carry an id to the
//! operations that take it.

use std::collections::BTreeMap;

use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{RefOr, ResponseBuilder};

use super::openapi::{Shape, operation_id};
use super::route::Endpoint;

/// Members that hold the id of a thing where it is not `Id`, by the path of the thing.
const MEMBERS: [(&str, &str); 2] = [("/Agents", "AgentId"), ("/CertificateStoreTypes", "StoreType")];
/// Things whose paths take a name as well as an id.
const NAMED: [&str; 4] =
    ["/CertificateCollections", "/CertificateStoreContainers", "/Applications", "/MetadataFields"];
/// Answers that carry the id of another thing: their operation, where the id is, and the path of the thing.
const CARRIED: [(&str, &str, &str, &str); 10] = [
    ("POST", "/CertificateStores/Certificates/Add", "/0", "/OrchestratorJobs"),
    ("POST", "/CertificateStores/Certificates/Remove", "/0", "/OrchestratorJobs"),
    ("POST", "/Enrollment/PFX/Deploy", "/Jobs/0/JobId", "/OrchestratorJobs"),
    ("POST", "/Enrollment/PFX", "/CertificateInformation/KeyfactorId", "/Certificates"),
    ("POST", "/Enrollment/CSR", "/CertificateInformation/KeyfactorID", "/Certificates"),
    ("POST", "/Enrollment/Renew", "/KeyfactorId", "/Certificates"),
    ("GET", "/OrchestratorJobs/JobHistory", "/0/JobId", "/OrchestratorJobs"),
    ("GET", "/OrchestratorJobs/ScheduledJobs", "/0/Id", "/OrchestratorJobs"),
    ("GET", "/CertificateStoreTypes", "/0/ShortName", "/CertificateStoreTypes/Name"),
    ("GET", "/Certificates", "/0/Id", "/Enrollment/AvailableRenewal/Id"),
];

/// The operations that take an id in their paths, by the path of the thing that it names.
pub(super) struct Takers<'a>(BTreeMap<String, Vec<&'a Endpoint>>);

impl<'a> Takers<'a> {
    /// Sorts operations by what they take.
    pub(super) fn of(endpoints: &'a [Endpoint]) -> Self {
        let mut takers: BTreeMap<String, Vec<&Endpoint>> = BTreeMap::new();
        for endpoint in endpoints {
            if let Some((thing, _)) = endpoint.path.split_once("/{") {
                takers.entry(thing.to_owned()).or_default().push(endpoint);
            }
        }
        Self(takers)
    }

    /// The response with links to all operations that take an id out of it.
    pub(super) fn link(&self, endpoint: &Endpoint, mut response: ResponseBuilder) -> ResponseBuilder {
        let mut carried: Vec<(String, &str)> = Vec::new();
        if let Some(shape) = &endpoint.doc.answer {
            let place = if shape.is_list() { "/0/" } else { "/" };
            carried.push((format!("{place}{}", member(endpoint.path)), endpoint.path));
        }
        let others = CARRIED
            .iter()
            .filter(|(method, path, ..)| *method == endpoint.method.as_str() && *path == endpoint.path);
        carried.extend(others.map(|(.., place, thing)| ((*place).to_owned(), *thing)));
        for (place, thing) in carried {
            for taker in self.0.get(thing).into_iter().flatten() {
                response = response.link(operation_id(taker), RefOr::T(to(taker, &place)));
            }
        }
        response
    }
}

/// A link that fills the first parameter of an operation's path.
fn to(taker: &Endpoint, place: &str) -> Link {
    let parameter = taker.path.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let name = parameter.map_or("id", |(name, _)| name);
    LinkBuilder::new()
        .operation_id(operation_id(taker))
        .parameter(format!("path.{name}"), format!("$response.body#{place}"))
        .build()
}

fn member(thing: &str) -> &'static str {
    MEMBERS.iter().find(|(path, _)| *path == thing).map_or("Id", |(_, member)| member)
}

/// What the first parameter of a path holds: the type of the member that answers about the same thing carry.
pub(super) fn parameter(path: &str, endpoints: &[Endpoint]) -> Option<RefOr<Schema>> {
    let (thing, _) = path.split_once("/{")?;
    if NAMED.contains(&thing) {
        return None;
    }
    let answers = endpoints.iter().filter(|endpoint| endpoint.path == thing);
    answers
        .filter_map(|endpoint| endpoint.doc.answer.as_ref())
        .find_map(|shape: &Shape| shape.member(member(thing)))
}
