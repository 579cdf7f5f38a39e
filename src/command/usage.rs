//! Help, version, and words on the command line that make no sense.

use std::io::Write;

use clap::error::ErrorKind;

use crate::failure::Code;

/// Prints what clap has to say, and the number it comes with: 0 for help and version (23 when
/// stdout cannot take them), 2 for everything else.
pub fn told(error: &clap::Error) -> Code {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => asked_for(error),
        _ => {
            let _ = error.print();
            Code::Usage
        }
    }
}

fn asked_for(error: &clap::Error) -> Code {
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Code::Write,
        _ => Code::Done,
    }
}

/// The exit-code table, for the end of every command's `--help`.
pub fn exit_codes() -> String {
    let rows = Code::ALL.map(|(code, meaning)| format!("  {:>3}  {meaning}\n", code.number()));
    format!("Exit codes:\n{}", rows.concat())
}
