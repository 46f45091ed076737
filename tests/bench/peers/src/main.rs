//! Puts messages into a server, one after the other on each connection, and counts those the server
//! says it has. `peers load` prints one JSON object; `peers table` makes a table of many.

mod link;
mod load;
mod nats;
mod postgres;
mod rabbitmq;
mod redis;
mod table;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures one server.
    Load(load::Load),
    /// Reads JSON objects, one a line, and prints them as a table.
    Table,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Load(load) => load.run(),
        Command::Table => table::print(std::io::stdin().lock()),
    }
}
