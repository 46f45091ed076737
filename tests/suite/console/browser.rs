//! The console in a real Chromium: `tests/browser/check.mjs`, against an exchange in which things
//! are late.

use std::{env, path::PathBuf, process::Stdio};

use tokio::process::Command;

use super::{access, invite, pages::busy, world};
use crate::{raised::some_of_each, support::repository};

/// Every page by axe-core, light and dark, on a phone and wide; by keyboard; with the script off;
/// kept fresh by the script, and paused.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_real_browser_every_page_can_be_used_by_everybody() {
    let world = world().await;
    let concern = busy(&world).await;
    some_of_each(&world).await;
    let link = invite(&world, access(&world, "okafor", "on-call")).await.unwrap();
    let modules = env::var_os("CAIRN_BROWSER")
        .map_or_else(|| repository("target/browser/node_modules"), PathBuf::from);
    assert!(
        modules.join("axe-core").exists(),
        "{} has no axe-core: tests/run installs it, or set CAIRN_BROWSER",
        modules.display()
    );
    let checked = Command::new("node")
        .arg(repository("tests/browser/check.mjs"))
        .args([link.as_str(), &concern.to_string()])
        .args(env::var_os("CAIRN_SHOTS")) // a folder for screenshots, if somebody wants to look
        .env("CAIRN_BROWSER", modules)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let checked = tokio::time::timeout(std::time::Duration::from_secs(300), checked)
        .await
        .expect("the browser ends")
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}\n{}", String::from_utf8_lossy(&checked.stderr));
    assert!(said.contains("checks, 0 failed"), "{said}");
    world.check().await;
}
