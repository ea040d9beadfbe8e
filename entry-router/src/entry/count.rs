//! Entries of a batch, counted while its bytes stream by.
//!
//! Each format has a parser that takes pieces of any length, keeps a few words between them and allocates nothing. It
//! looks and changes nothing: what it does not understand passes as well, and counts as one entry.

mod export;
mod lines;
mod otlp;
mod otlp_json;

use http::{HeaderMap, header, request};

use export::Export;
use lines::Lines;
use otlp::Otlp;
use otlp_json::OtlpJson;

/// How a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The journal export format, as `systemd-journal-upload` sends it.
    JournalExport,
    /// A JSON value a line.
    Lines,
    /// OpenTelemetry logs: an `ExportLogsServiceRequest` in protobuf.
    Otlp,
    /// The same in JSON.
    OtlpJson,
    /// The same in protobuf, by gRPC.
    OtlpGrpc,
}

/// Counts the entries of one body.
#[derive(Debug)]
pub struct Counter(Parser);

#[derive(Debug)]
enum Parser {
    Export(Export),
    Lines(Lines),
    Otlp(Otlp),
    OtlpJson(OtlpJson),
    /// It is not what its head says.
    Malformed,
}

/// Bytes that are not of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed;

impl Format {
    /// The format of a request's body, by its content type and, for OpenTelemetry, its path. `None` where the body is
    /// one entry: also where it is compressed, so that nobody on the way can look into it.
    #[must_use]
    pub fn of(head: &request::Parts) -> Option<Self> {
        let told = head.headers.get(header::CONTENT_TYPE)?.as_bytes();
        let media = told.split(|&byte| byte == b';').next()?.trim_ascii();
        let is = |names: &[&str]| names.iter().any(|name| media.eq_ignore_ascii_case(name.as_bytes()));
        let path = head.uri.path();
        let format = if is(&["application/vnd.fdo.journal"]) {
            Self::JournalExport
        } else if is(&["application/x-ndjson", "application/ndjson", "application/jsonl"]) {
            Self::Lines
        } else if is(&["application/x-protobuf"]) && path.ends_with("/v1/logs") {
            Self::Otlp
        } else if is(&["application/json"]) && path.ends_with("/v1/logs") {
            Self::OtlpJson
        } else if is(&["application/grpc", "application/grpc+proto"])
            && path == "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
        {
            Self::OtlpGrpc
        } else {
            return None;
        };
        is_plain(&head.headers).then_some(format)
    }
}

impl Counter {
    /// At the first byte of a body.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self(match format {
            Format::JournalExport => Parser::Export(Export::default()),
            Format::Lines => Parser::Lines(Lines::default()),
            Format::Otlp => Parser::Otlp(Otlp::message()),
            Format::OtlpJson => Parser::OtlpJson(OtlpJson::default()),
            Format::OtlpGrpc => Parser::Otlp(Otlp::frames()),
        })
    }

    /// The next bytes.
    pub fn push(&mut self, piece: &[u8]) {
        let read = match &mut self.0 {
            Parser::Export(parser) => parser.push(piece),
            Parser::Lines(parser) => parser.push(piece),
            Parser::Otlp(parser) => parser.push(piece),
            Parser::OtlpJson(parser) => parser.push(piece),
            Parser::Malformed => Ok(()),
        };
        if read == Err(Malformed) {
            self.0 = Parser::Malformed;
        }
    }

    /// Entries of a body that ends here, at least one: a batch that is empty, malformed or cut off is one entry.
    #[must_use]
    pub fn entries(&self) -> u64 {
        let counted = match &self.0 {
            Parser::Export(parser) => parser.end(),
            Parser::Lines(parser) => parser.end(),
            Parser::Otlp(parser) => parser.end(),
            Parser::OtlpJson(parser) => parser.end(),
            Parser::Malformed => Err(Malformed),
        };
        counted.unwrap_or(1).max(1)
    }
}

fn is_plain(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_none_or(|coding| coding.as_bytes() == b"identity")
}

#[cfg(test)]
mod tests;
