//! Handles a response: reports its head, decides what follows, writes its body.

use std::io;
use std::os::fd::BorrowedFd;

use super::exchange::{Exchange, NextAction, is_encoded};
use super::output::{BodyOutput, KeptPart};
use super::partial_file::{BodyMetadata, Start};
use super::resume_tag::{ResumeTag, Validators};
use super::status;
use crate::error::{ExitCode, Failure, Phase};
use crate::http::Head;
use crate::http::range::{self, ShortRange};
use crate::report::event::{Event, ResponseHead};

/// Whether a body is of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyUse {
    /// It is read.
    Read,
    /// The exchange ends at the head.
    Skip,
}

/// The successful end of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The response is complete.
    Full,
    /// Only its head was read.
    HeadOnly,
}

/// What an exchange led to.
pub struct ExchangeResult {
    /// What is done next.
    pub action: NextAction,
    /// The failure that the status means where it is 400 or above.
    pub status_error: Option<Failure>,
}

/// Handles the response of one exchange.
pub struct BodyHandler<'a> {
    exchange: Exchange<'a>,
    output: &'a mut BodyOutput,
    result: ExchangeResult,
}

impl<'a> BodyHandler<'a> {
    /// A handler that writes the body of `exchange` to `output`.
    pub fn new(exchange: Exchange<'a>, output: &'a mut BodyOutput) -> BodyHandler<'a> {
        let result = ExchangeResult { action: NextAction::Deliver(None), status_error: None };
        BodyHandler { exchange, output, result }
    }

    /// Finishes the output of an exchange that has ended, or keeps the incomplete file.
    pub fn end(self, read: Result<Completion, Failure>) -> Result<ExchangeResult, Failure> {
        match read.and_then(|completion| self.check_length().map(|()| completion)) {
            Ok(Completion::HeadOnly) => Ok(self.result),
            Ok(Completion::Full) => self.finish_body(),
            Err(failure) => Err(self.keep_partial(failure)?),
        }
    }

    /// Writes bytes as received, before they are parsed; only with `--raw`.
    pub fn on_raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.output.has_begun() {
            self.begin_unnamed_body()?;
        }
        self.output.write(bytes)
    }

    /// Reports the head of an interim response.
    pub fn on_interim(&mut self, head: &Head) -> Result<(), Failure> {
        self.report_head(head)
    }

    /// Decides what is done with the response: its head, or none for HTTP/0.9, and the announced
    /// length of its body.
    pub fn on_head(
        &mut self,
        head: Option<&Head>,
        length: Option<u64>,
    ) -> Result<BodyUse, Failure> {
        let is_raw = self.exchange.options.output.raw;
        let Some(head) = head else {
            if !is_raw {
                self.begin_unnamed_body()?;
            }
            return Ok(BodyUse::Read);
        };
        self.report_head(head)?;
        self.check_status(head)?;
        self.result.action = self.exchange.next_action(head, length)?;
        if !matches!(self.result.action, NextAction::Deliver(_)) {
            return Ok(BodyUse::Skip);
        }
        // A 304 has no body, and so nothing that would replace the file.
        if head.status != 304 && !is_raw && !self.exchange.options.request.head {
            self.begin_body(head, length)?;
        }
        Ok(BodyUse::Read)
    }

    /// Writes bytes of the decoded body.
    pub fn on_body(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.output.write(bytes)
    }

    /// Warns of a deviation that was tolerated.
    pub fn on_note(&mut self, note: &str) {
        self.exchange.warn(note);
    }

    /// The descriptor that takes the body unchanged, if there is one.
    pub fn raw_output(&self) -> Option<BorrowedFd<'_>> {
        self.output.raw_fd()
    }

    /// Counts bytes that the kernel has moved to [`BodyHandler::raw_output`], or could not.
    pub fn on_spliced(&mut self, moved: io::Result<u64>) -> Result<(), Failure> {
        self.output.count_spliced(moved)
    }

    fn finish_body(self) -> Result<ExchangeResult, Failure> {
        // Only --raw gets here with a status that is not saved.
        let is_error = self.result.status_error.is_some() && self.exchange.is_refused(400);
        if is_error {
            self.output.discard()?
        } else {
            self.output.finish()?
        }
        Ok(self.result)
    }

    /// Keeps what was received; the hint of `failure` has its place.
    fn keep_partial(self, failure: Failure) -> Result<Failure, Failure> {
        let kept = self.output.keep_partial(self.exchange.options.output.kept_name)?;
        let Some(KeptPart { path, resumable }) = kept else { return Ok(failure) };
        if failure.hint.is_some() || !is_interruption(failure.code) {
            return Ok(failure);
        }
        let more = if resumable { "; resume with --continue" } else { "" };
        Ok(failure.with_hint(format!("the received part is kept in {}{more}", path.display())))
    }

    /// Checks that a complete body also is the complete requested range.
    fn check_length(&self) -> Result<(), Failure> {
        let NextAction::Deliver(Some(ShortRange { received, requested })) = self.result.action
        else {
            return Ok(());
        };
        let present = self.exchange.resume_point.map_or(0, |point| point.length);
        let (received, requested) = (present + received, present + requested);
        let why =
            format!("the range ends before the requested one; got {received} of {requested} bytes");
        Err(Failure::new(Phase::Receive, self.exchange.url, why).with_code(ExitCode::Partial))
    }

    fn report_head(&mut self, head: &Head) -> Result<(), Failure> {
        let exchange = &self.exchange;
        if exchange.options.output.raw {
            return Ok(());
        }
        exchange.report.emit(&head_event(exchange, head));
        if exchange.options.output.include_header {
            self.output.write_header(&head.raw)?;
        }
        Ok(())
    }

    /// Stores what a status of 400 or above means. A 407 of the proxy is no response of the
    /// server: its body is not delivered.
    fn check_status(&mut self, head: &Head) -> Result<(), Failure> {
        let exchange = &self.exchange;
        let status_error = match (head.status, exchange.proxy) {
            (407, Some(proxy)) if !exchange.options.output.raw => {
                return Err(status::proxy_error(head, proxy));
            }
            (407, Some(proxy)) => Some(status::proxy_error(head, proxy)),
            (400.., _) => Some(status::server_error(head, exchange.url, exchange.proxy)),
            _ => None,
        };
        self.result.status_error = status_error.map(|failure| failure.of_conn(exchange.conn));
        Ok(())
    }

    fn begin_body(&mut self, head: &Head, length: Option<u64>) -> Result<(), Failure> {
        let start = match self.exchange.resume_point {
            Some(point) if head.status == 206 => Start::Resume(point),
            _ => self.first_start(),
        };
        let length = length.filter(|_| !self.is_decoded(head));
        self.output.begin(start, length, self.metadata(head))
    }

    fn is_decoded(&self, head: &Head) -> bool {
        self.exchange.options.response.parser.decode && is_encoded(head)
    }

    /// The start of a complete body.
    fn first_start(&self) -> Start<'a> {
        if self.exchange.options.output.resume {
            Start::Restart(self.exchange.resume_point)
        } else {
            Start::New
        }
    }

    /// Begins a body without a parsed head.
    fn begin_unnamed_body(&mut self) -> Result<(), Failure> {
        let metadata = BodyMetadata { tag: ResumeTag::NotResumable, ..BodyMetadata::default() };
        self.output.begin(self.first_start(), None, metadata)
    }

    /// What the file records about its body.
    fn metadata(&self, head: &Head) -> BodyMetadata {
        let validators = Validators::load(head);
        let named = validators.strong().cloned().map(ResumeTag::Validator);
        let tag = match (head.status, self.exchange.resume_point) {
            (206, Some(point)) => named.unwrap_or_else(|| point.tag.clone()),
            (200, _) if self.is_decoded(head) => ResumeTag::Decoded,
            (200, _) if !is_encoded(head) => named.unwrap_or_default(),
            (206, None) if range::is_beginning(head) && !is_encoded(head) => {
                named.unwrap_or_default()
            }
            _ => ResumeTag::NotResumable,
        };
        BodyMetadata { tag, validators }
    }
}

/// Whether a transfer ended early, because of the peer, a limit or a signal.
fn is_interruption(code: ExitCode) -> bool {
    matches!(
        code,
        ExitCode::Partial | ExitCode::Timeout | ExitCode::Interrupted | ExitCode::Terminated
    )
}

fn head_event(exchange: &Exchange<'_>, head: &Head) -> Event {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = head.fields.iter().map(|field| (field.name.clone(), text(&field.value))).collect();
    Event::Answer(ResponseHead {
        conn: exchange.conn,
        url: exchange.url.to_string(),
        version: format!("HTTP/1.{}", head.minor),
        status: head.status,
        reason: text(&head.reason),
        fields,
        is_marked: exchange.report.shows_traffic(),
    })
}
