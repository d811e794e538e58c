//! Requests that no client means to send, to every operation: each is answered, none with a fault, and refusals have the
//! contract's body. It walks the routing table, so a new operation cannot be forgotten.

use reqwest::Method;
use sealift_server::startup::routes;
use support::client::Answer;
use support::{Client, TestServer};

/// The answer is no fault, and says what is wrong where it refuses.
fn judge(answer: &Answer, place: &str) {
    assert!(answer.status.as_u16() < 500, "{place}: {} {}", answer.status, answer.text);
    if answer.status.as_u16() >= 400 {
        let whole = answer.body["ErrorCode"].is_string() && answer.body["Message"].is_string();
        assert!(whole, "{place}: {} {:?}", answer.status, answer.text);
        assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8", "{place}");
    }
}

/// Routes whose call would harm the run itself, were one of the odd values to mean it: none does, since all odd ids
/// name nothing.
fn with_parameters(path: &str, value: &str) -> String {
    let parts: Vec<&str> =
        path.split('/').map(|part| if part.starts_with('{') { value } else { part }).collect();
    parts.join("/")
}

async fn send(admin: &Client, method: &str, path: &str, body: Option<(&str, Vec<u8>)>) -> Answer {
    let method: Method = method.parse().unwrap();
    let mut request = admin.request(method, path);
    if let Some((kind, body)) = body {
        request = request.header("content-type", kind).body(body);
    }
    admin.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_paths_are_answered() {
    let server = TestServer::start().await;
    let long = "x".repeat(3_000);
    let values = [
        "%00",
        "%zz",
        "%",
        "%ff",
        "%C3%28",
        "a%2Fb",
        "%2e%2e%2f",
        "%20",
        "-1",
        "0",
        "007",
        "+1",
        "1.0",
        "99999999999999999999",
        "9223372036854775807",
        "-9223372036854775808",
        "%F0%9F%94%92",
        "%E2%80%AE",
        "'%20OR%20'1'='1",
        "00000000-0000-0000-0000-000000000000",
        "ffffffffffffffffffffffffffffffff",
        "%7b00000000-0000-0000-0000-000000000000%7d",
        long.as_str(),
    ];
    for route in routes().iter().filter(|route| route.path.contains('{')) {
        for value in values {
            let path = with_parameters(route.path, value);
            let body = route.takes_body.then(|| ("application/json", b"{}".to_vec()));
            let answer = send(&server.admin, &route.method, &path, body).await;
            judge(&answer, &format!("{} {path:.200}", route.method));
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_queries_are_answered() {
    let server = TestServer::start().await;
    let deep = format!("QueryString={}Id%20-eq%201{}", "(".repeat(2_000), ")".repeat(2_000));
    let wide = format!("QueryString=Id%20-eq%201{}", "%20OR%20Id%20-eq%201".repeat(400));
    let many: String = (0..1_000).map(|number| format!("a{number}=1&")).collect();
    let queries = [
        "%",
        "%zz=1",
        "QueryString=%zz",
        "QueryString=%ff",
        "QueryString=%00",
        "QueryString=Id%20-eq%20%22%00%22",
        "QueryString=Name%20-contains%20%22%25%5C%22",
        "QueryString=%22",
        "QueryString=-eq",
        "QueryString=Id",
        "SortField=%00",
        "SortField=id%3b%20DROP%20TABLE%20roles",
        "SortField=Id&SortAscending=x",
        "SortAscending=99999999999999999999",
        "PageReturned=99999999999999999999",
        "PageReturned=9223372036854775807&ReturnLimit=1000",
        "PageReturned=-9223372036854775808",
        "ReturnLimit=0",
        "ReturnLimit=%F0%9F%94%92",
        "collectionId=x",
        "collectionId=-1",
        "collectionId=99999999999999999999",
        "includeLocations=perhaps",
        "verbose=x",
        "jobHistoryId=x",
        "jobHistoryId=9223372036854775807",
        "force=%00",
        "a.b.c.=1&.=1&=1&&&",
        deep.as_str(),
        wide.as_str(),
        many.as_str(),
    ];
    for route in routes() {
        for query in queries {
            let path = format!("{}?{query}", with_parameters(route.path, "1"));
            let body = route.takes_body.then(|| ("application/json", b"{}".to_vec()));
            // The operations without a body that end things would end the things with id 1.
            if route.method == "DELETE" && !route.takes_body {
                continue;
            }
            let answer = send(&server.admin, &route.method, &path, body).await;
            judge(&answer, &format!("{} {path:.200}", route.method));
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_bodies_are_answered() {
    let server = TestServer::start().await;
    let json = "application/json";
    let deep = |open: &str, close: &str| (open.repeat(100_000) + &close.repeat(100_000)).into_bytes();
    let bodies: [(&str, Vec<u8>); 24] = [
        (json, Vec::new()),
        (json, b"\0".to_vec()),
        (json, b"null".to_vec()),
        (json, b"true".to_vec()),
        (json, b"1e400".to_vec()),
        (json, b"\"\"".to_vec()),
        (json, b"\"\\u0000\"".to_vec()),
        (json, b"\"\\ud800\"".to_vec()),
        (json, b"[null]".to_vec()),
        (json, b"[[]]".to_vec()),
        (json, b"[\"\"]".to_vec()),
        (json, b"[99999999999999999999]".to_vec()),
        (json, b"[-1, 0, 2147483648]".to_vec()),
        (json, b"[\"00000000-0000-0000-0000-000000000000\"]".to_vec()),
        (json, b"{\"Id\": 1e400}".to_vec()),
        (json, b"{\"Id\": 1, \"id\": 2, \"ID\": 3}".to_vec()),
        (json, b"{\"\\u0000\": \"\\u0000\"}".to_vec()),
        (json, b"{\"Name\": \"a\\u0000b\", \"Description\": \"\\u0000\", \"Query\": \"\\u0000\"}".to_vec()),
        (json, b"\xef\xbb\xbf{}".to_vec()),
        (json, b"{\"Name\": \"\xff\"}".to_vec()),
        (json, deep("[", "]")),
        (json, deep("{\"Schedule\":", "}")),
        ("text/xml", b"<Name>x</Name>".to_vec()),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--".to_vec()),
    ];
    for route in routes().iter().filter(|route| route.takes_body) {
        for (kind, body) in &bodies {
            let path = with_parameters(route.path, "999999");
            let answer = send(&server.admin, &route.method, &path, Some((kind, body.clone()))).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            judge(&answer, &format!("{} {path} {kind} {shown}", route.method));
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_are_answered() {
    let server = TestServer::start().await;
    let nobody = server.admin.with(support::client::Credentials::None);
    let long = format!("Bearer {}", "x".repeat(5_000));
    for value in [
        "",
        "Basic",
        "Basic %%%",
        "Basic YQ==",
        "Basic AA==",
        "Basic Og==",
        "Bearer",
        "Bearer \u{e9}",
        "Digest x",
        &long,
    ] {
        let answer = nobody.send(nobody.request(Method::GET, "/Agents").header("authorization", value)).await;
        judge(&answer, value);
        assert_eq!(answer.status, 401, "{value:.60}");
    }
    for (name, value) in [
        ("content-encoding", "gzip"),
        ("content-encoding", "nonsense"),
        ("x-keyfactor-api-version", "99"),
        ("x-keyfactor-api-version", "\u{e9}"),
        ("x-certificateformat", "\u{e9}"),
        ("x-certificateformat", "nonsense"),
        ("accept", "image/png"),
        ("expect", "nonsense"),
        ("range", "bytes=0-1"),
        ("if-none-match", "*"),
    ] {
        for route in routes().iter().filter(|route| !route.path.contains('{') && route.method != "DELETE") {
            let method: Method = route.method.parse().unwrap();
            let mut request = server.admin.request(method, route.path).header(name, value);
            if route.takes_body {
                request = request.body("{}");
            }
            let answer = server.admin.send(request).await;
            judge(&answer, &format!("{} {} {name}: {value}", route.method, route.path));
        }
    }
    server.stop().await;
}
