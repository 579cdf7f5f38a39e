//! The arguments of a run under the name of netcat.

use std::ffi::OsString;

/// The names under which sockit is nc.
const NAMES: [&str; 3] = ["nc", "ncat", "netcat"];

/// Makes `sockit nc -- ARGUMENTS` of `nc ARGUMENTS` and of `sockit nc ARGUMENTS`, so that none of them
/// is a flag of sockit.
pub fn separate_args(mut args: Vec<OsString>) -> Vec<OsString> {
    let program = args.first().map(std::path::Path::new).and_then(|path| path.file_name());
    if program.is_some_and(|name| NAMES.iter().any(|nc| name == *nc)) {
        args.splice(..1, ["sockit".into(), "nc".into()]);
    }
    let is_value = |at: usize| args[at - 1] == "--color" || args[at - 1] == "--events";
    let is_word = |at: &usize| !args[*at].as_encoded_bytes().starts_with(b"-") && !is_value(*at);
    let command = (1..args.len()).find(is_word).filter(|at| args[*at] == "nc");
    if let Some(at) = command
        && args.get(at + 1).is_none_or(|arg| arg != "-h" && arg != "--help")
    {
        args.insert(at + 1, "--".into());
    }
    args
}
