//! `man`: prints a manual page per command, from the flags, examples and tables of `--help`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use rustix::fs::OFlags;

use crate::error::{ExitCode, Failure, Phase};
use crate::net::stdout::Stdout;
use crate::process::output_file;
use crate::usage::help::{self, ENVIRONMENT};

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print only the page of this command
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
    /// Write each page to a file in DIR, which is created if missing
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub out_dir: Option<PathBuf>,
}

impl Args {
    /// Writes the pages of `cli` to stdout or to files.
    ///
    /// Fails with code 2 on an unknown command, with 23 when a page cannot be written.
    pub fn run(self, cli: Command) -> anyhow::Result<ExitCode> {
        let wanted = |name: &str| match self.command.as_deref() {
            Some("sockit") => name.is_empty(),
            Some(command) => command == name,
            None => true,
        };
        let pages: Vec<ManPage> =
            pages(cli).into_iter().filter(|page| wanted(&page.command)).collect();
        if pages.is_empty() {
            let word = self.command.unwrap_or_default();
            Err(Failure::usage(Phase::File, word, "no page of this name")
                .with_hint("sockit -h lists the commands"))?;
        }
        match &self.out_dir {
            Some(dir) => write_files(&pages, dir)?,
            None => Stdout::standard().write_document(
                &pages.into_iter().flat_map(|page| page.text).collect::<Vec<_>>(),
            )?,
        }
        Ok(ExitCode::Done)
    }
}

fn write_files(pages: &[ManPage], dir: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, e| Failure::write_file(path.display(), e);
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    for page in pages {
        let path = dir.join(&page.file);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let written = output_file::open(&path, flags, 0o666);
        written.and_then(|mut file| file.write_all(&page.text)).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}

/// A manual page.
struct ManPage {
    /// The command; the empty string is sockit itself.
    command: String,
    /// The name of its file.
    file: String,
    /// The page in roff.
    text: Vec<u8>,
}

fn pages(mut cli: Command) -> Vec<ManPage> {
    cli.build();
    let names: Vec<String> =
        cli.get_subcommands().map(|c| format!("sockit-{}", c.get_name())).collect();
    let mut pages = vec![page("", "sockit", &cli, &names)];
    for command in cli.get_subcommands() {
        let title = format!("sockit-{}", command.get_name());
        pages.push(page(command.get_name(), &title, command, &["sockit".to_string()]));
    }
    pages
}

fn page(name: &str, title: &str, command: &Command, related: &[String]) -> ManPage {
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
            if !command.has_subcommands() {
                return Ok(());
            }
            man.render_subcommands_section(&mut text)
        })
        .and_then(|()| sections(name, related).to_writer(&mut text));
    ManPage { command: name.to_string(), file: format!("{title}.1"), text: to_ascii(&text) }
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
    for (line, what) in help::page(name).map(|page| page.examples).into_iter().flatten() {
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
    use super::*;
    use crate::command::decorated_command;

    #[test]
    fn every_command_has_a_page_with_every_flag_and_section() {
        let mut whole = decorated_command();
        whole.build();
        let pages = pages(decorated_command());
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
