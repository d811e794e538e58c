//! The whole life of an embedded Postgres, with real processes. As root and as a user.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};

use super::cluster::PostmasterFile;
use super::*;

/// Names the directory to the process that the kill test starts and kills.
const VICTIM: &str = "SEALIFT_TEST_VICTIM_DIRECTORY";
/// More than any step here takes.
const LONG: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options { shared_buffers_mb: 16, max_connections: 20, ..Options::from_environment() }
}

/// Runs statements, then gives the last one's only value as text.
fn ask(url: &ConnectionUrl, statements: &[&'static str]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url.expose()).await.unwrap();
        let (last, earlier) = statements.split_last().unwrap();
        for statement in earlier {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        let answer = sqlx::query_scalar(*last).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        answer
    })
}

fn kill(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.try_into().unwrap()).unwrap(), signal).unwrap();
}

const KEEP: [&str; 3] =
    ["CREATE TABLE kept (word text)", "INSERT INTO kept VALUES ('kept')", "SELECT word FROM kept"];
const KEPT: [&str; 1] = ["SELECT word FROM kept"];

#[test]
fn starts_stops_and_keeps_what_it_was_told() {
    let root = tempfile::tempdir().unwrap();
    let mut first = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    assert_eq!(ask(&first.url(), &KEEP), "kept");
    assert_eq!(ask(&first.url(), &["SHOW fsync"]), "on");
    assert_eq!(ask(&first.url(), &["SHOW unix_socket_directories"]), "");
    assert_eq!(ask(&first.url_of("postgres"), &["SELECT current_user::text"]), "sealift");
    assert!(matches!(EmbeddedPostgres::start(root.path(), &options()), Err(Error::InUse { .. })));
    let process = first.process_id().unwrap();
    first.stop();
    first.stop();
    assert_eq!(first.process_id(), None);
    assert!(!Path::new(&format!("/proc/{process}")).exists());
    drop(first);
    let second = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    assert_eq!(ask(&second.url(), &KEPT), "kept");
}

#[test]
fn the_password_is_shown_nowhere_and_is_needed() {
    let root = tempfile::tempdir().unwrap();
    let postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    let file = root.path().join("password");
    let password = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!root.path().join("password.initdb").exists());
    let url = postgres.url();
    assert!(url.expose().contains(&password));
    let process = postgres.process_id().unwrap();
    let arguments = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
    for shown in [format!("{url:?} {postgres:?}"), arguments] {
        assert!(!shown.contains(&password), "{shown}");
    }
    let wrong = url.expose().replace(&password, "wrong");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(PgConnection::connect(&wrong)).unwrap_err();
    assert!(refused.to_string().contains("password authentication failed"), "{refused}");
}

#[test]
fn a_killed_postgres_comes_back_on_the_same_port() {
    let root = tempfile::tempdir().unwrap();
    let postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    let url = postgres.url();
    assert_eq!(ask(&url, &KEEP), "kept");
    for round in 1..=2 {
        let process = postgres.process_id().unwrap();
        kill(process, Signal::KILL);
        assert!(postgres.await_starts(round + 1, LONG));
        assert_ne!(postgres.process_id(), Some(process));
        assert_eq!(postgres.url().expose(), url.expose());
        assert_eq!(ask(&url, &KEPT), "kept");
    }
}

#[test]
fn a_stop_between_two_starts_is_obeyed() {
    let root = tempfile::tempdir().unwrap();
    let mut postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    kill(postgres.process_id().unwrap(), Signal::KILL);
    postgres.stop();
    assert_eq!(postgres.process_id(), None);
}

/// Starts a server in a process of its own and gives it and the port of its Postgres.
fn start_victim(root: &Path) -> (std::process::Child, u16) {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "database::embedded::tests::victim"])
        .env(VICTIM, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let port = lines.find_map(|line| line.split_once("port=")?.1.parse().ok()).unwrap();
    (server, port)
}

#[test]
fn postgres_ends_when_its_server_is_killed() {
    let root = tempfile::tempdir().unwrap();
    let (mut server, port) = start_victim(root.path());
    let password = fs::read_to_string(root.path().join("password")).unwrap();
    let url = format!("postgres://{USER}:{password}@127.0.0.1:{port}/{DATABASE}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        server.kill().unwrap();
        // A statement that would take a minute ends with Postgres.
        sqlx::query("SELECT pg_sleep(60)").execute(&mut connection).await.unwrap_err();
    });
    server.wait().unwrap();
    let postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    assert_eq!(ask(&postgres.url(), &KEPT), "kept");
}

#[test]
fn a_server_and_postgres_killed_together_are_no_obstacle() {
    let root = tempfile::tempdir().unwrap();
    let (mut server, _port) = start_victim(root.path());
    let process = PostmasterFile::read(&root.path().join("data")).unwrap().process;
    kill(process.try_into().unwrap(), Signal::KILL);
    server.kill().unwrap();
    server.wait().unwrap();
    let postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    assert_eq!(ask(&postgres.url(), &KEPT), "kept");
}

/// Not a test: the server that [`postgres_ends_when_its_server_is_killed`] kills.
#[test]
fn victim() {
    let Some(directory) = std::env::var_os(VICTIM) else { return };
    let postgres = EmbeddedPostgres::start(Path::new(&directory), &options()).unwrap();
    assert_eq!(ask(&postgres.url(), &KEEP), "kept");
    println!("\nport={}", postgres.supervisor.shared.port());
    loop {
        thread::park();
    }
}

/// A process of the user as whom Postgres runs, in a directory of its choice.
fn stranger(postgres: &EmbeddedPostgres) -> std::process::Child {
    postgres.supervisor.account.command(Path::new("sleep")).arg("600").spawn().unwrap()
}

fn write_pid_file(data: &Path, process: u32) {
    let text = format!("{process}\n{}\n1700000000\n5432\n\n127.0.0.1\n 1 1\nready   \n", data.display());
    File::create(PostmasterFile::path(data)).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_stale_pid_file_does_not_matter() {
    let root = tempfile::tempdir().unwrap();
    let mut postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    assert_eq!(ask(&postgres.url(), &KEEP), "kept");
    let data = postgres.supervisor.directory.data();
    let mut stranger = stranger(&postgres);
    postgres.stop();
    drop(postgres);
    write_pid_file(&data, stranger.id());
    let mut postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    assert_eq!(ask(&postgres.url(), &KEPT), "kept");
    assert!(stranger.try_wait().unwrap().is_none(), "another program was ended for its process id");
    postgres.stop();
    drop(postgres);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    write_pid_file(&data, stranger.id());
    let postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    assert_eq!(ask(&postgres.url(), &KEPT), "kept");
}

#[test]
fn a_living_postgres_of_an_earlier_run_is_ended_first() {
    let root = tempfile::tempdir().unwrap();
    let mut postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    assert_eq!(ask(&postgres.url(), &KEEP), "kept");
    let supervisor = Arc::clone(&postgres.supervisor);
    let port = supervisor.shared.port();
    postgres.stop();
    drop(postgres);
    let data = supervisor.directory.data();
    let mut command = supervisor.account.command(&supervisor.postgres);
    command.arg("-D").arg(&data).args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    command.args(["-c", &format!("port={port}")]);
    let mut orphan = command.stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(orphan.stderr.take().unwrap()).lines();
    assert!(said.map(Result::unwrap).any(|line| line.contains("ready to accept connections")));
    drop(supervisor);
    // The orphan has us for its parent, so somebody must reap it for it to be gone.
    let reaper = thread::spawn(move || orphan.wait().unwrap());
    let postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    assert!(reaper.join().unwrap().success());
    assert_eq!(ask(&postgres.url(), &KEPT), "kept");
}

#[test]
fn says_what_stands_in_the_way() {
    let root = tempfile::tempdir().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let without = Options { binaries: Some(empty.path().to_owned()), ..options() };
    let error = EmbeddedPostgres::start(root.path(), &without).unwrap_err().to_string();
    assert!(error.contains("PG_BIN is") && !error.contains('\n'), "{error}");
    let error = Error::NoBinaries.to_string();
    assert!(["DATABASE_URL", "apt-get install postgresql", "PG_BIN"].iter().all(|way| error.contains(way)));

    let mut postgres = EmbeddedPostgres::start(root.path(), &options()).unwrap();
    postgres.stop();
    drop(postgres);
    let version = root.path().join("data/PG_VERSION");
    let current = fs::read(&version).unwrap();
    File::create(&version).unwrap().write_all(b"9\n").unwrap();
    let error = EmbeddedPostgres::start(root.path(), &options()).unwrap_err().to_string();
    assert!(error.contains("was made by Postgres 9 but") && !error.contains('\n'), "{error}");
    File::create(&version).unwrap().write_all(&current).unwrap();
    fs::remove_file(root.path().join("password")).unwrap();
    let error = EmbeddedPostgres::start(root.path(), &options()).unwrap_err().to_string();
    assert!(error.contains("password is missing"), "{error}");
}

#[test]
fn a_start_that_takes_too_long_shows_the_log() {
    let root = tempfile::tempdir().unwrap();
    drop(EmbeddedPostgres::start(root.path(), &options()).unwrap());
    let hurried = Options { ready_within: Duration::ZERO, ..options() };
    let error = EmbeddedPostgres::start(root.path(), &hurried).unwrap_err().to_string();
    assert!(error.contains("was not ready within") && error.contains("postgres.log ends with"), "{error}");
    assert!(EmbeddedPostgres::start(root.path(), &options()).is_ok());
}
