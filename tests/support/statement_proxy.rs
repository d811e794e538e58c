//! Stands between a server and Postgres, counts statements, and strikes at a chosen one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufWriter};
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
    cut: Arc<AtomicBool>,
}

impl StatementProxy {
    /// Starts a proxy to a Postgres.
    pub async fn start(postgres: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let proxy = Self {
            address: listener.local_addr().expect("an address"),
            strike: Arc::default(),
            cut: Arc::default(),
        };
        let carried = proxy.clone();
        tokio::spawn(async move {
            while let Ok((server, _)) = listener.accept().await {
                let proxy = carried.clone();
                tokio::spawn(async move {
                    let _ = server.set_nodelay(true);
                    if let Ok(postgres) = TcpStream::connect(postgres).await {
                        let _ = postgres.set_nodelay(true);
                        carry(server, postgres, &proxy).await;
                    }
                });
            }
        });
        proxy
    }

    /// Cuts the connection at the `count`-th statement from now. Called while only one is in use.
    pub fn arm_cut(&self, count: u32, moment: Moment) {
        let cut = Arc::clone(&self.cut);
        self.arm(count, moment, move || cut.store(true, Ordering::SeqCst));
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

async fn carry(server: TcpStream, postgres: TcpStream, proxy: &StatementProxy) {
    let (from_server, to_server) = server.into_split();
    let (from_postgres, to_postgres) = postgres.into_split();
    let after: Pending = Arc::default();
    tokio::select! {
        _ = forward_statements(from_server, to_postgres, proxy, Arc::clone(&after)) => {}
        _ = forward_answers(from_postgres, to_server, proxy, after) => {}
    }
}

impl StatementProxy {
    /// Fails once after a cut was struck.
    fn is_whole(&self) -> std::io::Result<()> {
        match self.cut.swap(false, Ordering::SeqCst) {
            true => Err(std::io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

/// A message of either side after the first of the frontend: its kind, and what follows its length.
async fn read_message(from: &mut BufReader<OwnedReadHalf>) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut body = vec![0; length as usize - 4];
    from.read_exact(&mut body).await?;
    Ok((kind, body))
}

async fn write_message(
    to: &mut BufWriter<OwnedWriteHalf>,
    (kind, body): (u8, Vec<u8>),
) -> std::io::Result<()> {
    to.write_u8(kind).await?;
    to.write_u32(body.len() as u32 + 4).await?;
    to.write_all(&body).await
}

/// Frontend messages (PostgreSQL protocol 3.0): the first has no type byte, each other one has.
async fn forward_statements(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    proxy: &StatementProxy,
    after: Pending,
) -> std::io::Result<()> {
    let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
    let length = from.read_u32().await?;
    let mut startup = vec![0; length as usize - 4];
    from.read_exact(&mut startup).await?;
    to.write_u32(length).await?;
    to.write_all(&startup).await?;
    to.flush().await?;
    loop {
        let message = read_message(&mut from).await?;
        if matches!(message.0, b'E' | b'Q')
            && let Some((moment, action)) = counted(&proxy.strike)
        {
            match moment {
                Moment::Before => {
                    action();
                    proxy.is_whole()?;
                }
                Moment::After => *after.lock().expect("a lock") = Some(action),
            }
        }
        write_message(&mut to, message).await?;
        if from.buffer().is_empty() {
            to.flush().await?;
        }
    }
}

async fn forward_answers(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    proxy: &StatementProxy,
    after: Pending,
) -> std::io::Result<()> {
    let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
    loop {
        let message = read_message(&mut from).await?;
        // Ready-for-query ends the answer to a statement.
        if message.0 == b'Z' {
            let action = after.lock().expect("a lock").take();
            if let Some(action) = action {
                action();
                proxy.is_whole()?;
            }
        }
        write_message(&mut to, message).await?;
        if from.buffer().is_empty() {
            to.flush().await?;
        }
    }
}
