//! Who hears an answer on the user's behalf: tells its head, decides what it means, and sends
//! its body out.

use super::exchange::{Audience, Over, Passed};
use super::fetch::Verdict;
use super::output::Output;
use super::part::Standing;
use super::wire::Wire;
use super::{Args, again, heading};
use crate::failure::{Code, Failure, Stage};
use crate::http::range::{self, ContentRange};
use crate::http::{Error, Head, Link, redirect};
use crate::report::Report;

/// The hearer of one exchange.
pub struct Hearer<'a> {
    args: &'a Args,
    report: &'a Report,
    link: &'a Link,
    conn: u64,
    output: &'a mut Output,
    standing: Option<&'a Standing>,
    /// No try follows this one.
    last: bool,
    verdict: Verdict,
    status: Option<u16>,
    /// What the body is part of, if it breaks off.
    validator: Option<String>,
}

impl<'a> Hearer<'a> {
    /// A hearer for the answer that comes from `link` over connection `conn`.
    pub fn new(
        args: &'a Args,
        report: &'a Report,
        link: &'a Link,
        conn: u64,
        output: &'a mut Output,
        standing: Option<&'a Standing>,
        last: bool,
    ) -> Hearer<'a> {
        let (verdict, status, validator) = (Verdict::Take, None, None);
        Hearer { args, report, link, conn, output, standing, last, verdict, status, validator }
    }

    /// The end of the exchange: the output is finished, or what came of it kept.
    pub fn end(self, read: Result<Over, Failure>) -> Result<(Verdict, Option<u16>), Failure> {
        match read {
            Ok(Over::Enough) => Ok((self.verdict, self.status)),
            Ok(Over::Whole) => {
                self.output.finish()?;
                Ok((self.verdict, self.status))
            }
            Err(failure) => {
                let as_target = self.args.saving.keep_partial;
                let kept = self.output.keep(self.validator.as_deref(), as_target)?;
                Err(match (kept, failure.code, &failure.hint) {
                    (Some(path), Code::Partial | Code::Timeout, None) => {
                        let path = path.display();
                        failure.with_hint(format!("{path} has what came; --continue goes on there"))
                    }
                    _ => failure,
                })
            }
        }
    }

    fn refused(&self, error: Error) -> Failure {
        let failure = Failure::new(Stage::Receive, self.link, error.to_string());
        failure.with_code(error.kind.code())
    }

    fn tell(&mut self, head: &Head) -> Result<(), Failure> {
        if self.args.saving.raw {
            return Ok(());
        }
        self.report.tell(&heading::event(self.conn, self.link, head));
        if self.args.saving.include {
            self.output.verbatim(&head.raw)?;
        }
        Ok(())
    }

    /// What this head means for us.
    fn decide(&self, head: &Head) -> Result<Verdict, Failure> {
        if self.args.saving.raw {
            return Ok(Verdict::Take);
        }
        if self.args.asking.max_redirects > 0 {
            let downgrade = self.args.asking.allow_downgrade;
            let next = redirect::target(head, self.link, downgrade);
            if let Some(next) = next.map_err(|error| self.refused(error))? {
                return Ok(Verdict::Follow(next));
            }
        }
        if !self.last && again::is_passing_status(head.status) {
            return Ok(Verdict::Again(again::retry_after(head)));
        }
        match self.standing {
            Some(standing) => self.go_on(head, standing),
            None => self.check_range(head).map(|()| Verdict::Take),
        }
    }

    /// Whether what stands of the file can be gone on with.
    fn go_on(&self, head: &Head, standing: &Standing) -> Result<Verdict, Failure> {
        match head.status {
            206 => {
                let told = range::check_piece(head, Some(standing.length));
                told.map_err(|error| self.refused(error))?;
                let etag = head.first("etag");
                let changed = standing.validator.starts_with('"')
                    && etag.is_some_and(|etag| etag != standing.validator.as_bytes());
                Ok(if changed { Verdict::Anew } else { Verdict::Take })
            }
            416 => {
                let told = range::content_range(head).map_err(|error| self.refused(error))?;
                let whole = told.and_then(|ContentRange { whole, .. }| whole);
                let all = whole == Some(standing.length);
                Ok(if all { Verdict::Already } else { Verdict::Anew })
            }
            200..=299 => {
                let why = "it has changed, or cannot be continued: starting again";
                self.report.warn(None, format!("{}: {why}", self.link));
                Ok(Verdict::Take)
            }
            status => {
                let failure =
                    Failure::new(Stage::Receive, self.link, format!("HTTP status {status}"));
                Err(failure.with_code(Code::Status))
            }
        }
    }

    fn check_range(&self, head: &Head) -> Result<(), Failure> {
        match (&self.args.asking.range, head.status) {
            (Some(asked), 206) => {
                let first = range::first(asked);
                range::check_piece(head, first).map(drop).map_err(|error| self.refused(error))
            }
            (Some(_), 200) => {
                self.report.warn(None, format!("{}: all of it came, not the range", self.link));
                Ok(())
            }
            (None, 206) => {
                self.report.warn(None, format!("{}: a part came, though all was asked", self.link));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, head: &Head, promised: Option<u64>) -> Result<(), Failure> {
        self.validator = validator(head);
        let mut start = 0;
        if let (Some(standing), Some(path), 206) = (self.standing, self.output.file(), head.status)
        {
            standing.prepare(path)?;
            start = standing.length;
        }
        let coded = !self.args.judging.no_decode && !head.tokens("content-encoding").is_empty();
        self.output.begin(start, promised.filter(|_| !coded))
    }
}

/// What a later request can name this body by (RFC 9110 §13.1.5): a strong ETag, or the date of
/// the last change; none for a coded body, whose bytes are not the ones we keep.
fn validator(head: &Head) -> Option<String> {
    if !head.tokens("content-encoding").is_empty() || !matches!(head.status, 200 | 206) {
        return None;
    }
    let strong = head.first("etag").filter(|tag| tag.starts_with(b"\"") && tag.len() > 2);
    let value = strong.or_else(|| head.first("last-modified"))?;
    let text = std::str::from_utf8(value).ok()?;
    (text.len() <= 500 && !text.chars().any(char::is_control)).then(|| text.to_string())
}

impl Audience for Hearer<'_> {
    fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.output.has_begun() {
            self.output.begin(0, None)?;
        }
        self.output.write(bytes)
    }

    fn interim(&mut self, head: &Head) -> Result<(), Failure> {
        self.tell(head)
    }

    fn head(&mut self, head: Option<&Head>, promised: Option<u64>) -> Result<bool, Failure> {
        let Some(head) = head else {
            if !self.args.saving.raw {
                self.output.begin(0, None)?;
            }
            return Ok(true);
        };
        self.status = Some(head.status);
        self.tell(head)?;
        self.verdict = self.decide(head)?;
        if self.verdict != Verdict::Take {
            return Ok(false);
        }
        // Not modified: there is no body, and so nothing to replace the file with.
        if head.status != 304 && !self.args.saving.raw && !self.args.asking.head {
            self.begin(head, promised)?;
        }
        Ok(true)
    }

    fn body(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.output.write(bytes)
    }

    fn note(&mut self, note: String) {
        self.report.warn(None, format!("{}: {note}", self.link));
    }

    #[cfg(target_os = "linux")]
    fn pass(&mut self, wire: &mut Wire<'_>, most: u64) -> Result<Option<Passed>, Failure> {
        self.output.pass(wire, most)
    }

    #[cfg(not(target_os = "linux"))]
    fn pass(&mut self, _: &mut Wire<'_>, _: u64) -> Result<Option<Passed>, Failure> {
        Ok(None)
    }
}
