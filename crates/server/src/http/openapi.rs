//! The OpenAPI document (version 3.1), made from the routing table and the types that cross the wire, so that it cannot
//! drift from what is served.

use std::collections::BTreeMap;

use actix_web::http::Method;
use sealift_protocol::Problem;
use utoipa::ToSchema;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, Paths,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{
    AnyOfBuilder, Array, Components, ComponentsBuilder, KnownFormat, Object, ObjectBuilder, Schema,
    SchemaFormat, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required};

use super::links::{self, Takers};
use super::list::MAX_PAGE;
use super::responses::responses;
use super::route::{Access, Doc, Endpoint, Parameter};
use super::version::VERSION_HEADER;

pub(super) const JSON: &str = "application/json";
/// A type that crosses the wire, as a schema and the schemas it needs.
pub(crate) struct Shape {
    pub(super) schema: RefOr<Schema>,
    needs: Vec<(String, RefOr<Schema>)>,
}

impl Shape {
    /// One value of a type.
    pub(crate) fn one<T: ToSchema>() -> Self {
        let mut needs = Vec::new();
        T::schemas(&mut needs);
        let name = T::name().into_owned();
        // Texts, numbers and maps stand where they are used; structures have a place of their own.
        match T::schema() {
            RefOr::T(Schema::Object(object)) if !object.properties.is_empty() => {
                needs.push((name.clone(), RefOr::T(Schema::Object(object))));
                Self { schema: RefOr::Ref(Ref::from_schema_name(name)), needs }
            }
            // Two versions of an answer may fit at once, when what tells them apart is absent or empty.
            RefOr::T(Schema::OneOf(versions)) => {
                let any = AnyOfBuilder::new().description(versions.description.clone());
                let any = versions.items.into_iter().fold(any, AnyOfBuilder::item);
                Self { schema: RefOr::T(Schema::AnyOf(any.build())), needs }
            }
            schema => Self { schema, needs },
        }
    }

    /// A list of values of a type.
    pub(crate) fn list<T: ToSchema>() -> Self {
        let Self { schema, needs } = Self::one::<T>();
        Self { schema: RefOr::T(Schema::Array(Array::new(schema))), needs }
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.schema, RefOr::T(Schema::Array(_)))
    }

    /// The type of a member of the structure, or of the structures in the list. The structure itself comes last in
    /// what the shape needs.
    pub(super) fn member(&self, name: &str) -> Option<RefOr<Schema>> {
        match self.needs.last() {
            Some((_, RefOr::T(Schema::Object(object)))) => object.properties.get(name).cloned(),
            _ => None,
        }
    }
}

/// Names that two different schemas bear: the document could hold but one of them.
#[cfg(test)]
pub(crate) fn clashing_names(endpoints: &[Endpoint]) -> Vec<String> {
    let mut known: BTreeMap<&String, &RefOr<Schema>> = BTreeMap::new();
    let shapes = endpoints.iter().flat_map(|endpoint| endpoint.doc.body.iter().chain(&endpoint.doc.answer));
    let mut clashing = Vec::new();
    for (name, schema) in shapes.flat_map(|shape| &shape.needs) {
        if known.insert(name, schema).is_some_and(|other| other != schema) {
            clashing.push(name.clone());
        }
    }
    clashing
}

/// The document of these operations; `base` is where they are served, `version` that of the product.
pub(crate) fn document(endpoints: &[Endpoint], base: &str, version: &str) -> OpenApi {
    let mut schemas = BTreeMap::new();
    let problem = Shape::one::<Problem>();
    schemas.extend(problem.needs.iter().cloned());
    let takers = Takers::of(endpoints);
    let mut paths = Paths::new();
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.access != Access::AgentDoor) {
        for shape in endpoint.doc.body.iter().chain(&endpoint.doc.answer) {
            schemas.extend(shape.needs.iter().cloned());
        }
        let Some(method) = http_method(&endpoint.method) else { continue };
        let parameter = links::parameter(endpoint.path, endpoints);
        let item = PathItem::new(method, operation(endpoint, &problem.schema, &takers, parameter));
        match paths.paths.get_mut(endpoint.path) {
            Some(known) => known.merge_operations(item),
            None => {
                paths.paths.insert(endpoint.path.to_owned(), item);
            }
        }
    }
    let info = InfoBuilder::new()
        .title("Sealift")
        .version(version)
        .description(Some("The operator API. Paths and methods mean the same in any case."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([utoipa::openapi::Server::new(base)]))
        .paths(paths)
        .components(Some(components(schemas)))
        .build()
}

fn http_method(method: &Method) -> Option<HttpMethod> {
    Some(match method.as_str() {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        _ => return None,
    })
}

fn components(schemas: BTreeMap<String, RefOr<Schema>>) -> Components {
    let http = |scheme| SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build());
    ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("Basic", http(HttpAuthScheme::Basic))
        .security_scheme("Bearer", http(HttpAuthScheme::Bearer))
        .build()
}

fn operation(
    endpoint: &Endpoint,
    problem: &RefOr<Schema>,
    takers: &Takers<'_>,
    id: Option<RefOr<Schema>>,
) -> Operation {
    let Doc { summary, query, fields, body, example, two_versions, .. } = &endpoint.doc;
    let mut operation = OperationBuilder::new()
        .summary(Some(*summary))
        .tag(endpoint.path.split('/').nth(1).unwrap_or_default())
        .operation_id(Some(operation_id(endpoint)));
    if let Access::Permission(permission) = endpoint.access {
        let text = format!("Needs the permission `{permission}`, everywhere or for what the call is about.");
        operation = operation.description(Some(text));
    }
    if endpoint.access != Access::Public {
        let nothing: [String; 0] = [];
        operation = operation
            .security(SecurityRequirement::new("Basic", nothing.clone()))
            .security(SecurityRequirement::new("Bearer", nothing));
    }
    let mut id = id;
    for name in endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let schema = id.take().unwrap_or_else(|| RefOr::T(text_schema()));
        operation = operation.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(schema)),
        );
    }
    if *two_versions {
        operation = operation.parameter(version_parameter());
    }
    for (name, kind, meaning) in query {
        operation = operation.parameter(query_parameter(name, *kind, meaning));
    }
    if let Some(fields) = fields {
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        for (name, kind, meaning) in list_parameters(&names.join(", ")) {
            operation = operation.parameter(query_parameter(name, kind, &meaning));
        }
    }
    if let Some(shape) = body {
        let mut content = Content::new(Some(shape.schema.clone()));
        content.example = example.and_then(|text| serde_json::from_str(&with_numbers(text)).ok());
        operation = operation.request_body(Some(
            RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, content).build(),
        ));
    }
    for (status, response) in responses(endpoint, problem, takers) {
        operation = operation.response(status, response);
    }
    operation.build()
}

/// `GET /Agents/{id}` becomes `get_Agents_id`.
pub(super) fn operation_id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.trim_start_matches('/').replace(['{', '}'], "").replace(['/', '.'], "_");
    format!("{}_{path}", endpoint.method.as_str().to_ascii_lowercase())
}

/// An example as JSON: words that stand for numbers, and so without quotes, become a number.
fn with_numbers(example: &str) -> String {
    let mut found = String::with_capacity(example.len());
    let mut in_text = false;
    let mut rest = example;
    while let Some(next) = rest.chars().next() {
        if !in_text
            && rest.starts_with("{{")
            && let Some((_, after)) = rest.split_once("}}")
        {
            found.push('1');
            rest = after;
            continue;
        }
        in_text ^= next == '"' && !found.ends_with('\\');
        found.push(next);
        rest = &rest[next.len_utf8()..];
    }
    found
}

fn text_schema() -> Schema {
    Schema::Object(Object::with_type(Type::String))
}

fn version_parameter() -> ParameterBuilder {
    ParameterBuilder::new()
        .name(VERSION_HEADER)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("`1`, also when absent, or `2`."))
        .schema(Some(text_schema()))
}

fn query_parameter(name: &str, kind: Parameter, meaning: &str) -> ParameterBuilder {
    let schema = match kind {
        Parameter::Flag => Object::with_type(Type::Boolean),
        Parameter::Text => Object::with_type(Type::String),
        Parameter::Number => {
            let (least, most) = bounds(name);
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                .minimum(least)
                .maximum(most)
                .build()
        }
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(meaning))
        .schema(Some(Schema::Object(schema)))
}

/// The least and the greatest value of a parameter of lists.
fn bounds(name: &str) -> (Option<i64>, Option<i64>) {
    match name {
        "PageReturned" => (Some(1), None),
        "ReturnLimit" => (Some(1), Some(MAX_PAGE)),
        "SortAscending" => (Some(0), Some(1)),
        _ => (None, None),
    }
}

fn list_parameters(fields: &str) -> [(&'static str, Parameter, String); 5] {
    [
        (
            "QueryString",
            Parameter::Text,
            format!("Filter, for example `{{field}} -eq \"value\"`. Fields: {fields}."),
        ),
        ("PageReturned", Parameter::Number, "Page, from 1.".to_owned()),
        ("ReturnLimit", Parameter::Number, format!("Rows of a page, 1 to {MAX_PAGE}; 50 when absent.")),
        ("SortField", Parameter::Text, "Field to sort by.".to_owned()),
        ("SortAscending", Parameter::Number, "0 ascending, 1 descending, whatever the name says.".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_quotes_become_numbers() {
        let example = r#"{"Id": {{id}}, "Of": {"Store": "{{store}}", "Text": "a \"{{b}}\""}}"#;
        let expected = r#"{"Id": 1, "Of": {"Store": "{{store}}", "Text": "a \"{{b}}\""}}"#;
        assert_eq!(with_numbers(example), expected);
    }
}
