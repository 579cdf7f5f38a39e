//! `sockit resolve`: names both ways, services both ways, and the truth about them.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::confine;
use crate::error::{ExitCode, Failure, Phase};
use crate::flags::connect::FamilyFlags;
use crate::flags::run;
use crate::flags::values::{self, Limit};
use crate::lookup::batch::{Batch, Next};
use crate::lookup::options::{LookupOptions, LookupSource};
use crate::lookup::print::AnswerPrinter;
use crate::lookup::work_queue::{Source, TimeLimits};
use crate::process::sandbox::SandboxPolicy;
use crate::report::Report;
use crate::resolver::dns;
use crate::resolver::dns::RecordType;
use crate::shutdown::Shutdown;

const MANY: &str =
    "With several questions each line ends with its question, and the worst outcome decides.";

/// The flags of `resolve`.
#[derive(Debug, clap::Args)]
#[command(after_help = MANY)]
pub struct Args {
    /// A name (NAME:PORT too), an address, or a service: :http, http/tcp, 80/udp
    #[arg(value_name = "NAME|ADDRESS|:SERVICE", required_unless_present = "file",
          value_parser = not_of_dig)]
    pub questions: Vec<String>,
    /// Every tuple of getaddrinfo(3); of a name server, whole records
    #[arg(long, conflicts_with = "verify")]
    pub all: bool,
    /// Whether an address is what its name claims: reverse, forward, compare
    #[arg(long)]
    pub verify: bool,
    /// With --verify: an address without a name is a negative answer (1)
    #[arg(long, requires = "verify")]
    pub strict: bool,
    /// Ask this name server, and nobody else
    #[arg(long, value_name = "ADDR[:PORT]", value_hint = clap::ValueHint::Hostname)]
    pub server: Option<String>,
    /// Record type to ask for, by name or as TYPEnnn (RFC 3597)
    #[arg(
        long = "type",
        value_name = "TYPE",
        ignore_case = true,
        conflicts_with = "verify",
        value_parser = KindParser
    )]
    pub kind: Option<RecordType>,
    /// Ask the name server over TCP from the start
    #[arg(long)]
    pub tcp: bool,
    /// Whose word to take; both shows where hosts file and DNS disagree
    #[arg(long, value_name = "WHO", value_enum)]
    pub via: Option<LookupSource>,
    /// Questions from FILE, one per line (- is stdin)
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Questions under way at once
    #[arg(long, value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// Limit for each question; 0 = none
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::limit)]
    pub timeout: Limit,
    /// Only one family
    #[command(flatten)]
    pub families: FamilyFlags,
}

/// Reads a record type; the types that have names are its possible values.
#[derive(Clone)]
struct KindParser;

impl TypedValueParser for KindParser {
    type Value = RecordType;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<RecordType, clap::Error> {
        if let Some(kind) = value.to_str().and_then(RecordType::from_word) {
            return Ok(kind);
        }
        let named = PossibleValuesParser::new(RecordType::WORDS);
        named.try_map(|_| Err("not a type")).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue>>> {
        Some(Box::new(RecordType::WORDS.into_iter().map(PossibleValue::new)))
    }
}

/// No name begins like dig's words for a server and for an option.
fn not_of_dig(word: &str) -> Result<String, &'static str> {
    match word.starts_with(['@', '+']) {
        true => Err("neither a name, an address nor a service"),
        false => Ok(word.to_string()),
    }
}

impl Args {
    /// Answers all questions; the highest code of all is the run's.
    pub fn run(self, report: &Report) -> anyhow::Result<ExitCode> {
        let plan = self.plan(report)?;
        if let ([word], None) = (&self.questions[..], &self.file)
            && plan.is_local(word)
        {
            return Ok(at_once(&plan, word, AnswerPrinter::new(report, false, None))?);
        }
        confine(&SandboxPolicy { reads: true, connects: true, ..SandboxPolicy::default() }, report);
        // 1 would be an answer.
        let stop = run::stop(None).map_err(|failure| failure.with_code(ExitCode::TryAgain))?;
        let many = self.file.is_some() || self.questions.len() > 1;
        let jobs = match self.file {
            Some(_) => usize::from(self.jobs),
            None => usize::from(self.jobs).min(self.questions.len()),
        };
        let listed = self.file.clone();
        let source = self.source()?;
        let time = TimeLimits { limit: plan.limit, grace: plan.grace() };
        let work = Box::new(move |word: &str, until| plan.answer(word, until));
        let crew = Batch::start(source, work, jobs, time).map_err(no_thread)?;
        let mut printer = AnswerPrinter::new(report, many, Some(&stop));
        if let Some(list) = &listed {
            printer.show_progress(|| crate::lookup::question_file::count(list));
        }
        Ok(report_all(&crew, &stop, printer, listed.as_deref())?)
    }

    fn plan(&self, report: &Report) -> Result<LookupOptions, Failure> {
        let asks_dns = self.server.is_some() || self.kind.is_some() || self.tcp;
        let via =
            self.via.unwrap_or(if asks_dns { LookupSource::Dns } else { LookupSource::System });
        self.check(via, asks_dns)?;
        let thorough = report.is_json() || report.is_verbose();
        Ok(LookupOptions {
            family: self.families.family(),
            via,
            server: self.server()?,
            kind: self.kind,
            tcp: self.tcp,
            all: self.all,
            verify: self
                .verify
                .then_some(crate::lookup::verify::VerifyOptions { strict: self.strict, thorough }),
            limit: self.timeout.0,
        })
    }

    /// What clap cannot say.
    fn check(&self, via: LookupSource, asks_dns: bool) -> Result<(), Failure> {
        let clash = |why| Err(Failure::usage(Phase::Resolve, "--via", why));
        match via {
            LookupSource::System if asks_dns => {
                clash("system asks no name server: --server, --type and --tcp do")
            }
            LookupSource::Both if self.all || self.verify || self.kind.is_some() => {
                clash("both compares plain answers: not with --all, --verify or --type")
            }
            _ => Ok(()),
        }
    }

    fn server(&self) -> Result<Option<SocketAddr>, Failure> {
        let until = self.timeout.0.and_then(|limit| Instant::now().checked_add(limit));
        self.server.as_deref().map(|word| dns::server(word, until)).transpose()
    }

    fn source(self) -> Result<Source, Failure> {
        let named = self.questions.into_iter().map(Ok);
        match self.file {
            Some(path) => Ok(Box::new(named.chain(crate::lookup::question_file::open(&path)?))),
            None => Ok(Box::new(named)),
        }
    }
}

/// One answer that takes no worker, no clock and no cord.
fn at_once(
    plan: &LookupOptions,
    word: &str,
    mut printer: AnswerPrinter<'_>,
) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let answer = plan.answer(word, None);
    printer.report(&answer.for_question(word, begun.elapsed()))?;
    printer.end()
}

/// Tells each answer as soon as its turn has come.
fn report_all(
    crew: &Batch,
    stop: &Shutdown,
    mut printer: AnswerPrinter<'_>,
    list: Option<&Path>,
) -> Result<ExitCode, Failure> {
    loop {
        let ready = stop.reason().map(Next::Stopped).or_else(|| crew.ready());
        let next = match ready {
            Some(next) => next,
            None => {
                printer.flush()?;
                crew.next(stop, io::stdout().as_fd()).map_err(no_thread)?
            }
        };
        match next {
            Next::Answer(ticket) => ticket.answer.get().map_or(Ok(()), |a| printer.report(a))?,
            Next::Stopped(reason) => return Ok(printer.stopped(reason)),
            Next::Unreadable(error) => {
                printer.flush()?;
                return Err(crate::lookup::question_file::unreadable(list, error));
            }
            Next::StdoutClosed => return Ok(ExitCode::Done),
            Next::End => return printer.end(),
        }
        if printer.is_stdout_closed() {
            return Ok(ExitCode::Done);
        }
    }
}

fn no_thread(error: io::Error) -> Failure {
    Failure::new(Phase::Resolve, "-", error).with_code(ExitCode::TryAgain)
}
