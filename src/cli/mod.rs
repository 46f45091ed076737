//! The command line: one file per command group, exit codes in one place.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done, and everything adds up |
//! | 1 | refused, or something does not add up; the text says what |
//! | 2 | the command was not understood |
//! | 3 | not answered yet: the exchange is away or busy; do it again |
//! | 4 | `audit verify --policy`, `audit proof`: logged, not yet witnessed |
//!
//! Knows: everything.

mod act;
mod audit;
mod bench;
mod demo;
mod directory;
mod exchange;
mod init;
mod kept;
mod maintain;
mod manifest;
mod moment;
mod people;
mod print;
mod progress;
mod receive;
mod scratch;
mod send;
mod serve;
mod speaker;
mod status;
mod witness;

use std::process::ExitCode;

use crate::telemetry;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

/// Secure, audited notifications of concern about children, between agencies.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Serve(serve::Serve),
    Send(send::Send),
    Receive(receive::Receive),
    Opened(act::Opened),
    Ack(act::Ack),
    Decide(act::Decide),
    Feedback(act::Feedback),
    Redirect(act::Redirect),
    Extend(act::Extend),
    Withdraw(act::Withdraw),
    ConfirmWithdrawal(act::ConfirmWithdrawal),
    ConfirmCall(act::ConfirmCall),
    #[command(name = "urgency")]
    ChangeUrgency(act::ChangeUrgency),
    Review(act::Review),
    Manifest(manifest::Manifest),
    Called(act::Called),
    Dealing(act::Dealing),
    Settle(act::Settle),
    Status(status::Status),
    Directory(directory::Directory),
    Console(people::Console),
    Audit(audit::Audit),
    Witness(witness::Witness),
    Fsck(maintain::Fsck),
    Reindex(maintain::Reindex),
    Bench(bench::Bench),
    /// Print completions for a shell
    #[command(after_help = "Example:\n  cairn completions bash > /etc/bash_completion.d/cairn")]
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs: JSON on standard output, and nothing else there
    Json,
}

/// Runs the program.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cairn: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cairn: {error:#}");
            exit_code(&error)
        }
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    if !matches!(command, Command::Serve(_) | Command::Witness(_)) {
        let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into());
        telemetry::start(&filter, false);
    }
    match command {
        Command::Demo(demo) => demo.run().await,
        Command::Init(init) => init.run().await,
        Command::Serve(serve) => serve.run().await,
        Command::Send(send) => send.run().await,
        Command::Receive(receive) => receive.run().await,
        Command::Opened(opened) => opened.run().await,
        Command::Ack(ack) => ack.run().await,
        Command::Decide(decide) => decide.run().await,
        Command::Feedback(feedback) => feedback.run().await,
        Command::Redirect(redirect) => redirect.run().await,
        Command::Extend(extend) => extend.run().await,
        Command::Withdraw(withdraw) => withdraw.run().await,
        Command::ConfirmWithdrawal(confirm) => confirm.run().await,
        Command::ConfirmCall(confirm) => confirm.run().await,
        Command::ChangeUrgency(change) => change.run().await,
        Command::Review(review) => review.run().await,
        Command::Manifest(manifest) => manifest.run().await,
        Command::Called(called) => called.run().await,
        Command::Dealing(dealing) => dealing.run().await,
        Command::Settle(settle) => settle.run().await,
        Command::Status(status) => status.run().await,
        Command::Directory(directory) => directory.run().await,
        Command::Console(console) => console.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Witness(witness) => witness.run().await,
        Command::Fsck(fsck) => fsck.run().await,
        Command::Reindex(reindex) => reindex.run().await,
        Command::Bench(bench) => bench.run().await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "cairn", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// 3 for what should be tried again, 1 for the rest.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    use crate::wire::client::ClientError;
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Again(_)) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}
