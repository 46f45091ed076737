//! The server's settings. What a file of them says, it says under known names.
#![no_main]

use cairn::config::Config;
use libfuzzer_sys::fuzz_target;

const UNKNOWN: &str = "no_such_key = 1\n";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = toml::from_str::<Config>(text);
    let Ok(config) = read else {
        // The error quotes the line: it must still be text, and no wonder of arithmetic.
        return drop(read.map_err(|error| error.to_string()));
    };
    assert_eq!(toml::from_str::<Config>(text).as_ref(), Ok(&config));
    let error = toml::from_str::<Config>(&format!("{UNKNOWN}{text}")).expect_err("a key unknown");
    assert!(error.to_string().contains("no_such_key"));
    let error = toml::from_str::<Config>(&format!("{text}\n{UNKNOWN}"));
    assert!(error.is_err(), "a key unknown, in the last table");
});
