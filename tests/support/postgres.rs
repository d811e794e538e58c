//! One Postgres for each test program, a database for each test, cloned from a migrated template.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sealift_protocol::Secret;
use sealift_server::database::embedded::{EmbeddedPostgres, Options};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

/// Directories of test programs that ended begin with this.
const PREFIX: &str = "sealift-test-postgres-";
const TEMPLATE: &str = "template_sealift";

/// The Postgres of this program. It ends with the process.
pub fn shared() -> &'static EmbeddedPostgres {
    static POSTGRES: OnceLock<EmbeddedPostgres> = OnceLock::new();
    POSTGRES.get_or_init(|| {
        remove_leftovers();
        let directory = parent().join(format!("{PREFIX}{}", std::process::id()));
        EmbeddedPostgres::start(&directory, &Options::from_environment()).expect("Postgres starts")
    })
}

/// In memory where there is such a place: the tests wait for hundreds of commits. Every user can reach both.
fn parent() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

fn remove_leftovers() {
    for entry in std::fs::read_dir(parent()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ended =
            name.strip_prefix(PREFIX).is_some_and(|process| !PathBuf::from("/proc").join(process).exists());
        if ended {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The address of a fresh database with the schema in it.
pub async fn database() -> Secret {
    static TEMPLATE_MADE: OnceCell<()> = OnceCell::const_new();
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let postgres = tokio::task::spawn_blocking(shared).await.expect("Postgres starts");
    TEMPLATE_MADE
        .get_or_init(|| async {
            execute(&format!("CREATE DATABASE {TEMPLATE}")).await;
            let template = Secret::new(postgres.url_of(TEMPLATE).expose());
            sealift_server::database::migrate(&template).await.expect("the schema is made");
        })
        .await;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
    Secret::new(postgres.url_of(&name).expose())
}

async fn execute(statement: &str) {
    // One at a time: a template that is being copied cannot be copied again.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let options: PgConnectOptions = shared().url().expose().parse().expect("an address");
    let mut connection = options.connect().await.expect("Postgres answers");
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect("a statement");
    connection.close().await.expect("a connection closes");
}
