//! Stands between a server and Postgres, counts statements, and strikes at a chosen one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// When a strike falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The statement has not reached Postgres.
    Before,
    /// Postgres has answered, and the server has not read it.
    After,
}

/// What a strike does.
type Action = Box<dyn FnOnce() + Send>;
/// An action that waits for Postgres to answer.
type Pending = Arc<Mutex<Option<Action>>>;

struct Strike {
    left: u32,
    moment: Moment,
    action: Action,
}

/// A proxy for one Postgres.
#[derive(Clone)]
pub struct StatementProxy {
    /// Where servers connect.
    pub address: SocketAddr,
    strike: Arc<Mutex<Option<Strike>>>,
}

impl StatementProxy {
    /// Starts a proxy to a Postgres.
    pub async fn start(postgres: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Self { address: listener.local_addr().expect("an address"), strike: Arc::default() };
        let strike = Arc::clone(&proxy.strike);
        tokio::spawn(async move {
            while let Ok((server, _)) = listener.accept().await {
                let strike = Arc::clone(&strike);
                tokio::spawn(async move {
                    if let Ok(postgres) = TcpStream::connect(postgres).await {
                        carry(server, postgres, strike).await;
                    }
                });
            }
        });
        proxy
    }

    /// Calls `action` at the `count`-th statement from now.
    pub fn arm(&self, count: u32, moment: Moment, action: impl FnOnce() + Send + 'static) {
        *self.strike.lock().expect("a lock") = Some(Strike { left: count, moment, action: Box::new(action) });
    }

    /// Calls off what was armed; true if it had not struck yet.
    pub fn disarm(&self) -> bool {
        self.strike.lock().expect("a lock").take().is_some()
    }
}

/// Counts a statement; the action, if its time has come.
fn counted(strike: &Mutex<Option<Strike>>) -> Option<(Moment, Action)> {
    let mut armed = strike.lock().expect("a lock");
    let waiting = armed.as_mut()?;
    waiting.left = waiting.left.saturating_sub(1);
    if waiting.left > 0 {
        return None;
    }
    armed.take().map(|strike| (strike.moment, strike.action))
}

async fn carry(server: TcpStream, postgres: TcpStream, strike: Arc<Mutex<Option<Strike>>>) {
    let (from_server, to_server) = server.into_split();
    let (from_postgres, to_postgres) = postgres.into_split();
    let after: Pending = Arc::default();
    tokio::select! {
        _ = forward_statements(from_server, to_postgres, strike, Arc::clone(&after)) => {}
        _ = forward_answers(from_postgres, to_server, after) => {}
    }
}

/// Frontend messages (PostgreSQL protocol 3.0): the first has no type byte, each other one has.
async fn forward_statements(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    strike: Arc<Mutex<Option<Strike>>>,
    after: Pending,
) -> std::io::Result<()> {
    let length = from.read_u32().await?;
    let mut startup = vec![0; length as usize - 4];
    from.read_exact(&mut startup).await?;
    to.write_u32(length).await?;
    to.write_all(&startup).await?;
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        from.read_exact(&mut body).await?;
        if matches!(kind, b'E' | b'Q')
            && let Some((moment, action)) = counted(&strike)
        {
            match moment {
                Moment::Before => action(),
                Moment::After => *after.lock().expect("a lock") = Some(action),
            }
        }
        to.write_u8(kind).await?;
        to.write_u32(length).await?;
        to.write_all(&body).await?;
    }
}

async fn forward_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    after: Pending,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        // Ready-for-query ends the answer to a statement.
        if buffer[..read].contains(&b'Z') {
            let action = after.lock().expect("a lock").take();
            if let Some(action) = action {
                action();
            }
        }
        to.write_all(&buffer[..read]).await?;
    }
}
