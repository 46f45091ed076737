//! The table: one row for each measurement, and how many messages each sync stood for.

use std::io::BufRead;

use anyhow::Result;
use serde_json::Value;

const HEAD: [&str; 7] =
    ["", "messages/s", "p50 ms", "p99 ms", "client cores", "syncs", "acks/sync"];

pub fn print(lines: impl BufRead) -> Result<()> {
    let rows: Vec<Value> =
        lines.lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Result<_>>()?;
    let cells: Vec<Vec<String>> = rows.iter().map(row).collect();
    let head: Vec<String> = HEAD.map(str::to_owned).to_vec();
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|at| cells.iter().chain([&head]).map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    for row in [&head].into_iter().chain(&cells) {
        let first = format!("{:<width$}", row[0], width = widths[0]);
        let rest = row.iter().zip(&widths).skip(1);
        let rest: Vec<String> = rest.map(|(cell, width)| format!("{cell:>width$}")).collect();
        println!("{first}  {}", rest.join("  "));
    }
    Ok(())
}

fn row(row: &Value) -> Vec<String> {
    let name = row["name"].as_str().unwrap_or("?").to_owned();
    let figure = |key: &str, digits: usize| {
        row[key].as_f64().map_or("–".to_owned(), |figure| format!("{figure:.digits$}"))
    };
    vec![
        name,
        figure("per_second", 0),
        figure("p50_ms", 2),
        figure("p99_ms", 2),
        figure("client_cores", 2),
        figure("syncs", 0),
        figure("acks_per_sync", 1),
    ]
}
