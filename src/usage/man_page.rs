//! Manual pages, from the flags, examples and tables of `--help`.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::help::{self, ENVIRONMENT, Example, Page};
use crate::error::ExitCode;

/// A manual page.
pub struct ManPage {
    /// The command, or `sockit`.
    pub command: String,
    /// The name of its file.
    pub file: String,
    /// The page in roff.
    pub text: Vec<u8>,
}

/// The pages of `cli`: its own, then one per command.
pub fn all(mut cli: Command) -> Vec<ManPage> {
    cli.build();
    let names: Vec<String> =
        cli.get_subcommands().map(|c| format!("sockit-{}", c.get_name())).collect();
    let mut pages = vec![page(&cli, "sockit", &names)];
    for (command, title) in cli.get_subcommands().zip(&names) {
        pages.push(page(command, title, &["sockit".to_string()]));
    }
    pages
}

fn page(command: &Command, title: &str, related: &[String]) -> ManPage {
    let man = Man::new(command.clone())
        .title(title.to_uppercase())
        .source(concat!("sockit ", env!("CARGO_PKG_VERSION")))
        .manual("sockit manual");
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = man
        .render_title(&mut text)
        .and_then(|()| man.render_name_section(&mut text))
        .and_then(|()| man.render_synopsis_section(&mut text))
        .and_then(|()| man.render_description_section(&mut text))
        .and_then(|()| man.render_options_section(&mut text))
        .and_then(|()| {
            let has_commands = command.has_subcommands();
            if has_commands { man.render_subcommands_section(&mut text) } else { Ok(()) }
        })
        .and_then(|()| sections(command.get_name(), related).to_writer(&mut text));
    let (command, file) = (command.get_name().to_string(), format!("{title}.1"));
    ManPage { command, file, text: to_ascii(&text) }
}

/// Replaces other characters by their numbers (groff_char(7)): every formatter reads ASCII, whatever
/// the encoding.
fn to_ascii(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let ascii = text
        .chars()
        .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) });
    ascii.collect::<String>().into_bytes()
}

/// The sections after the flags.
fn sections(name: &str, related: &[String]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in ExitCode::ALL {
        entry(&mut roff, &code.number().to_string(), meaning);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (variables, what) in ENVIRONMENT {
        entry(&mut roff, variables, what);
    }
    roff.control("SH", ["EXAMPLES"]);
    for Example { line, what } in help::page(name).map(Page::examples).into_iter().flatten() {
        entry(&mut roff, line, what);
    }
    roff.control("SH", ["SEE ALSO"]);
    let related: Vec<String> = related.iter().map(|page| format!("{page}(1)")).collect();
    roff.text([roman(related.join(", "))]);
    roff
}

fn entry(roff: &mut Roff, term: &str, what: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(what)]);
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::command::Cli;

    #[test]
    fn every_command_has_a_page_with_every_flag_and_section() {
        let mut whole = help::decorate(Cli::command());
        whole.build();
        let pages = all(whole.clone());
        assert_eq!(pages.len(), 1 + whole.get_subcommands().count());
        for page in pages {
            let text = String::from_utf8(page.text).unwrap();
            for section in ["NAME", "SYNOPSIS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES"] {
                let heading = format!(".SH {section}").replace("EXIT STATUS", "\"EXIT STATUS\"");
                assert!(text.contains(&heading), "{} lacks {section}", page.file);
            }
            let Some(command) = whole.find_subcommand(&page.command) else { continue };
            for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                let flag = format!("\\-\\-{}", flag.replace('-', "\\-"));
                assert!(text.contains(&flag), "{} lacks {flag}", page.file);
            }
        }
    }
}
