//! For tests: a server that answers prepared replies in order and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use sealift_protocol::Secret;

use crate::client::Client;
use crate::server_address::ServerAddress;
use crate::settings::{Credential, Server};

/// A prepared reply.
pub(crate) struct Reply {
    status: u16,
    headers: String,
    body: String,
}

impl Reply {
    /// A reply with this status and body.
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self { status, headers: String::new(), body: body.to_owned() }
    }

    /// No reply: the connection is closed once the request was read.
    pub(crate) fn lost() -> Self {
        Self::new(0, "")
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

/// What was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Method and path with query.
    pub(crate) line: String,
    /// Header lines, lower case.
    pub(crate) headers: String,
    /// The body.
    pub(crate) body: String,
}

/// The server; lives until it gave all replies.
pub(crate) struct Responder {
    address: String,
    thread: JoinHandle<Vec<Asked>>,
}

impl Responder {
    /// Listens, and answers one connection for each reply.
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            replies.into_iter().map(|reply| answer(listener.accept().unwrap().0, &reply)).collect()
        });
        Self { address, thread }
    }

    /// A client for it, with the token `canary-token`.
    pub(crate) fn client(&self) -> Client {
        let address = ServerAddress::parse(&self.address).unwrap();
        let credential = Credential::Token(Secret::new("canary-token"));
        Client::new(Server { address, authority: None }, credential).unwrap()
    }

    /// What was asked, once all replies are given.
    pub(crate) fn asked(self) -> Vec<Asked> {
        self.thread.join().unwrap()
    }
}

fn answer(stream: TcpStream, reply: &Reply) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut headers = String::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        headers.push_str(&header.to_ascii_lowercase());
    }
    let length = headers
        .lines()
        .find_map(|header| header.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    let asked = Asked { line, headers, body: String::from_utf8(body).unwrap() };
    if reply.status == 0 {
        return asked;
    }
    let text = format!(
        "HTTP/1.1 {} Prepared\r\nconnection: close\r\ncontent-length: {}\r\n{}\r\n{}",
        reply.status,
        reply.body.len(),
        reply.headers,
        reply.body
    );
    reader.get_mut().write_all(text.as_bytes()).unwrap();
    asked
}
