//! Who hears an answer on the user's behalf: tells its head, decides what it means, and sends
//! its body out.

use super::NextAction;
use super::condition::Condition;
use super::connection::HttpConnection;
use super::output::BodyOutput;
use super::partial_file::{Save, Start};
use super::resume::ResumePoint;
use super::resume_tag::{ResumeTag, Validators};
use super::transaction::{Completion, ResponseHandler, Spliced};
use super::{events, retryable, status_error};
use crate::command::http_get::Args;
use crate::error::{ExitCode, Failure, Phase};
use crate::http::range::{self, ContentRange, RangeSpec, ShortRange};
use crate::http::redirect::{self, Downgrade};
use crate::http::{Error, Head, HttpUrl};
use crate::net::proxy::Proxy;
use crate::report::Report;

/// The hearer of one exchange.
pub struct BodyHandler<'a> {
    args: &'a Args,
    report: &'a Report,
    link: &'a HttpUrl,
    conn: u64,
    output: &'a mut BodyOutput,
    standing: Option<&'a ResumePoint>,
    condition: Option<&'a Condition>,
    /// No try follows this one.
    last: bool,
    verdict: NextAction,
    status: Option<u16>,
    /// The piece that comes ends before what was asked for does.
    short_range: Option<ShortRange>,
    /// The proxy that the request itself went to.
    pub forward: Option<&'a Proxy>,
    /// What the status means where it is 400 or above.
    pub refusal: Option<Failure>,
}

impl<'a> BodyHandler<'a> {
    /// A hearer for the answer that comes from `link` over connection `conn`.
    pub fn new(
        args: &'a Args,
        report: &'a Report,
        link: &'a HttpUrl,
        conn: u64,
        output: &'a mut BodyOutput,
        standing: Option<&'a ResumePoint>,
        last: bool,
    ) -> BodyHandler<'a> {
        BodyHandler {
            args,
            report,
            link,
            conn,
            output,
            standing,
            condition: None,
            last,
            verdict: NextAction::Deliver,
            status: None,
            short_range: None,
            forward: None,
            refusal: None,
        }
    }

    /// The same, for a request with `condition`.
    pub fn with_condition(self, condition: Option<&'a Condition>) -> BodyHandler<'a> {
        BodyHandler { condition, ..self }
    }

    /// The end of the exchange: the output is finished, or what came of it kept.
    pub fn end(
        self,
        read: Result<Completion, Failure>,
    ) -> Result<(NextAction, Option<u16>), Failure> {
        let whole = read.and_then(|over| self.all_of_it().map(|()| over));
        match whole {
            Ok(Completion::HeadOnly) => Ok((self.verdict, self.status)),
            Ok(Completion::Full) => {
                match self.status.filter(|status| self.is_refused(*status)) {
                    Some(_) => self.output.discard()?,
                    None => self.output.finish()?,
                }
                Ok((self.verdict, self.status))
            }
            Err(failure) => {
                let kept = self.output.keep_partial(self.args.saving.keep_partial)?;
                Err(match (kept, is_cut_short(failure.code), &failure.hint) {
                    (Some((path, goes_on)), true, None) => {
                        let more = if goes_on { "; --continue goes on there" } else { "" };
                        failure.with_hint(format!("{} has what came{more}", path.display()))
                    }
                    _ => failure,
                })
            }
        }
    }

    /// Whether a whole body is also all that was asked for.
    fn all_of_it(&self) -> Result<(), Failure> {
        let Some(ShortRange { got, of }) =
            self.short_range.filter(|_| self.verdict == NextAction::Deliver)
        else {
            return Ok(());
        };
        let stands = self.standing.map_or(0, |standing| standing.length);
        let (got, of) = (stands + got, stands + of);
        let why = format!("the piece ends before what was asked for; got {got} of {of} bytes");
        Err(Failure::new(Phase::Receive, self.link, why).with_code(ExitCode::Partial))
    }

    fn refused(&self, error: Error) -> Failure {
        error.failure(self.link)
    }

    fn report_head(&mut self, head: &Head) -> Result<(), Failure> {
        if self.args.saving.raw {
            return Ok(());
        }
        self.report.emit(&events::event(self.conn, self.link, head));
        if self.args.saving.include {
            self.output.verbatim(&head.raw)?;
        }
        Ok(())
    }

    /// Notes what a status of 400 or above means. What a proxy says for itself is no answer of
    /// the server's: its page is not delivered.
    fn check_status(&mut self, head: &Head) -> Result<(), Failure> {
        match (head.status, self.forward) {
            (407, Some(proxy)) if !self.args.saving.raw => {
                return Err(status_error::by_proxy(head, proxy));
            }
            (407, Some(proxy)) => self.refusal = Some(status_error::by_proxy(head, proxy)),
            (400.., _) => {
                self.refusal = Some(status_error::by_server(head, self.link, self.forward))
            }
            _ => {}
        }
        Ok(())
    }

    /// What this head means for us.
    fn next_action(&mut self, head: &Head, promised: Option<u64>) -> Result<NextAction, Failure> {
        if self.args.saving.raw {
            return Ok(NextAction::Deliver);
        }
        if self.args.asking.max_redirects > 0 {
            let allow = self.args.asking.allow_downgrade;
            let downgrade = if allow { Downgrade::Allow } else { Downgrade::Refuse };
            let next = redirect::target(head, self.link, downgrade);
            if let Some(next) = next.map_err(|error| self.refused(error))? {
                return Ok(NextAction::Redirect(next));
            }
        }
        if !self.last && retryable::is_passing_status(head.status) {
            return Ok(NextAction::Again(retryable::retry_after(head)));
        }
        let starts_again = head.status == 416 && self.standing.is_some_and(|s| !s.is_complete());
        if self.is_refused(head.status) && !starts_again {
            let failure = status_error::by_server(head, self.link, self.forward);
            return Err(match self.args.asking.head || failure.hint.is_some() {
                true => failure,
                false => failure.with_hint("--any-status saves the page all the same"),
            });
        }
        match self.standing {
            Some(standing) => self.resume_action(head, promised, standing),
            None => self.check_range(head).map(|()| self.unless_older(head)),
        }
    }

    /// Whether an answer of this status is not to be saved: a file is worth more than a page that
    /// describes an error.
    fn is_refused(&self, status: u16) -> bool {
        status >= 400 && !self.args.judging.any_status && self.output.file().is_some()
    }

    /// Servers without conditional requests send what they have, however old it is.
    fn unless_older(&self, head: &Head) -> NextAction {
        let condition = self.condition.filter(|_| head.status == 200);
        match condition.is_some_and(|condition| condition.covers(&Validators::load(head))) {
            true => NextAction::AlreadyComplete,
            false => NextAction::Deliver,
        }
    }

    /// Whether what stands of the file can be gone on with.
    fn resume_action(
        &mut self,
        head: &Head,
        promised: Option<u64>,
        standing: &ResumePoint,
    ) -> Result<NextAction, Failure> {
        let given = Validators::load(head);
        match head.status {
            206 if standing.is_complete() => {
                Err(self.refused(Error::protocol("a part came, though all was asked")))
            }
            206 => {
                let wanted = RangeSpec::From(standing.length, None);
                let judged = range::check_piece(head, wanted);
                self.short_range = judged.map_err(|error| self.refused(error))?;
                Ok(match standing.is_stale(&given) || is_coded(head) {
                    true => self.anew("it has changed"),
                    false => NextAction::Deliver,
                })
            }
            416 => {
                let told = range::content_range(head).map_err(|error| self.refused(error))?;
                let whole = told.and_then(|ContentRange { whole, .. }| whole);
                Ok(match whole == Some(standing.length) && !standing.is_stale(&given) {
                    true => NextAction::AlreadyComplete,
                    false => self.anew("it has changed, or cannot be continued"),
                })
            }
            200 if !is_coded(head) && standing.is_all_of(&given, promised) => {
                Ok(NextAction::AlreadyComplete)
            }
            200..=299 => {
                self.anew("it has changed, or cannot be continued");
                Ok(NextAction::Deliver)
            }
            _ => Ok(NextAction::Deliver),
        }
    }

    fn anew(&self, why: &str) -> NextAction {
        self.warn(&format!("{why}: starting again"));
        NextAction::Restart
    }

    fn check_range(&mut self, head: &Head) -> Result<(), Failure> {
        match (&self.args.asking.range, head.status) {
            (Some(asked), 206) => {
                let judged = range::check_piece(head, RangeSpec::of(asked));
                self.short_range = judged.map_err(|error| self.refused(error))?;
            }
            (Some(_), 200) => self.warn("all of it came, not the range"),
            (None, 206) => self.warn("a part came, though all was asked"),
            _ => {}
        }
        Ok(())
    }

    fn warn(&self, what: &str) {
        self.report.warn(Some(self.conn), format!("{}: {what}", self.link));
    }

    fn begin(&mut self, head: &Head, promised: Option<u64>) -> Result<(), Failure> {
        let start = match self.standing {
            Some(standing) if head.status == 206 => Start::Behind(standing),
            standing => self.first(standing),
        };
        let decoded = !self.args.judging.no_decode && is_coded(head);
        let save = self.save(head, decoded);
        self.output.begin(start, promised.filter(|_| !decoded), save)
    }

    /// Where a body begins that is all of it.
    fn first(&self, standing: Option<&'a ResumePoint>) -> Start<'a> {
        if self.args.saving.resume { Start::Again(standing) } else { Start::First }
    }

    /// A body that nothing is known of.
    fn begin_lone(&mut self) -> Result<(), Failure> {
        let save = Save { memory: ResumeTag::NotResumable, ..Save::default() };
        self.output.begin(self.first(self.standing), None, save)
    }

    /// What the file is to remember of its body.
    fn save(&self, head: &Head, decoded: bool) -> Save {
        let validators = Validators::load(head);
        let named = validators.strong().cloned().map(ResumeTag::Validator);
        let memory = match (head.status, self.standing) {
            (206, Some(standing)) => named.unwrap_or_else(|| standing.memory.clone()),
            (200, _) if decoded => ResumeTag::Decoded,
            (200, _) if !is_coded(head) => named.unwrap_or_default(),
            (206, None) if range::is_beginning(head) && !is_coded(head) => {
                named.unwrap_or_default()
            }
            _ => ResumeTag::NotResumable,
        };
        Save { memory, validators }
    }
}

/// Whether a transfer ended early, by the peer's doing, a limit or a signal.
fn is_cut_short(code: ExitCode) -> bool {
    matches!(
        code,
        ExitCode::Partial | ExitCode::Timeout | ExitCode::Interrupted | ExitCode::Terminated
    )
}

fn is_coded(head: &Head) -> bool {
    !head.tokens("content-encoding").is_empty()
}

impl ResponseHandler for BodyHandler<'_> {
    fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.output.has_begun() {
            self.begin_lone()?;
        }
        self.output.write(bytes)
    }

    fn interim(&mut self, head: &Head) -> Result<(), Failure> {
        self.report_head(head)
    }

    fn head(&mut self, head: Option<&Head>, promised: Option<u64>) -> Result<bool, Failure> {
        let Some(head) = head else {
            if !self.args.saving.raw {
                self.begin_lone()?;
            }
            return Ok(true);
        };
        self.status = Some(head.status);
        self.report_head(head)?;
        self.check_status(head)?;
        self.verdict = self.next_action(head, promised)?;
        if self.verdict != NextAction::Deliver {
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
        self.warn(&note);
    }

    #[cfg(target_os = "linux")]
    fn splice_body(
        &mut self,
        wire: &mut HttpConnection<'_>,
        most: u64,
    ) -> Result<Option<Spliced>, Failure> {
        self.output.splice_from(wire, most)
    }

    #[cfg(not(target_os = "linux"))]
    fn splice_body(
        &mut self,
        _: &mut HttpConnection<'_>,
        _: u64,
    ) -> Result<Option<Spliced>, Failure> {
        Ok(None)
    }
}
