//! Batches whose entries are known, in pieces of any length, and bytes that are no batches.

use http::Request;
use proptest::prelude::*;

use super::*;

const FORMATS: [Format; 5] =
    [Format::JournalExport, Format::Lines, Format::Otlp, Format::OtlpJson, Format::OtlpGrpc];

fn counted(format: Format, bytes: &[u8]) -> u64 {
    let mut counter = Counter::new(format);
    counter.push(bytes);
    counter.entries()
}

fn in_pieces(format: Format, mut bytes: &[u8], lengths: &[usize]) -> u64 {
    let mut counter = Counter::new(format);
    let mut lengths = lengths.iter().cycle();
    while !bytes.is_empty() {
        let here = (*lengths.next().unwrap_or(&1)).min(bytes.len());
        counter.push(&bytes[..here]);
        bytes = &bytes[here..];
    }
    counter.entries()
}

/// A batch of the format with an entry for each text.
fn batch(format: Format, texts: &[Vec<u8>]) -> Vec<u8> {
    match format {
        Format::JournalExport => texts.iter().flat_map(|text| export(text)).collect(),
        Format::Lines => texts.iter().flat_map(|text| [json(text), b"\n\r\n".to_vec()].concat()).collect(),
        Format::Otlp => message(texts),
        Format::OtlpJson => {
            let records: Vec<Vec<u8>> = texts.iter().map(|text| record(text)).collect();
            [
                br#"{"resourceLogs": [{"resource": {"logRecords": "none"}, "scopeLogs": [{"logRecords" : ["#
                    .to_vec(),
                records.join(&b","[..]),
                br#"], "schemaUrl": "logRecords"}]}]}"#.to_vec(),
            ]
            .concat()
        }
        Format::OtlpGrpc => {
            let message = message(texts);
            [&[0], &(message.len() as u32).to_be_bytes()[..], &message].concat()
        }
    }
}

fn export(text: &[u8]) -> Vec<u8> {
    let length = (text.len() as u64).to_le_bytes();
    [b"__CURSOR=s=1;i=2\n_PID=7\nMESSAGE\n", &length[..], text, b"\n\n"].concat()
}

fn json(text: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({"text": String::from_utf8_lossy(text)})).unwrap()
}

fn record(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    serde_json::to_vec(
        &serde_json::json!({"body": {"stringValue": text}, "attributes": [{"key": "logRecords",
        "value": {"kvlistValue": {"values": []}}}]}),
    )
    .unwrap()
}

/// A field with a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(value);
    bytes
}

/// Two scopes of one resource that share the records, with all wire types beside them.
fn message(texts: &[Vec<u8>]) -> Vec<u8> {
    let record = |text: &Vec<u8>| {
        field(2, &[&[1 << 3 | 1][..], &7_u64.to_le_bytes(), &[2 << 3, 0x96, 1], &field(5, text)].concat())
    };
    let (first, second) = texts.split_at(texts.len() / 2);
    let scope = |texts: &[Vec<u8>]| {
        let records: Vec<u8> = texts.iter().flat_map(record).collect();
        field(2, &[field(1, b"scope"), records, field(3, b"")].concat())
    };
    let resource = field(1, &[&field(2, b"not logs")[..], &[8 << 3 | 5, 1, 2, 3, 4]].concat());
    field(1, &[resource, scope(first), scope(second), field(3, b"schema")].concat())
}

#[test]
fn the_head_tells_the_format() {
    let of = |kind: &str, path: &str, coding: Option<&str>| {
        let mut request = Request::post(path).header("content-type", kind);
        if let Some(coding) = coding {
            request = request.header("content-encoding", coding);
        }
        Format::of(&request.body(()).unwrap().into_parts().0)
    };
    let grpc = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    for (kind, path, expected) in [
        ("application/vnd.fdo.journal", "/upload", Some(Format::JournalExport)),
        ("Application/X-NDJSON; charset=utf-8", "/in", Some(Format::Lines)),
        ("application/x-protobuf", "/v1/logs", Some(Format::Otlp)),
        ("application/x-protobuf", "/v1/traces", None),
        ("application/json", "/otlp/v1/logs", Some(Format::OtlpJson)),
        ("application/json", "/in", None),
        ("application/grpc", grpc, Some(Format::OtlpGrpc)),
        ("application/grpc", "/shop.Orders/Place", None),
        ("text/plain", "/v1/logs", None),
    ] {
        assert_eq!(of(kind, path, None), expected, "{kind} {path}");
        assert_eq!(of(kind, path, Some("identity")), expected, "{kind} {path}");
        assert_eq!(of(kind, path, Some("gzip")), None, "{kind} {path}");
    }
    assert_eq!(Format::of(&Request::post("/").body(()).unwrap().into_parts().0), None);
}

#[test]
fn an_entry_of_the_export_format_ends_with_an_empty_line_or_the_body() {
    for (text, entries) in [
        ("A=1\nB=2\n\nA=1\n\n", 2),
        ("A=1\n\n\n\nA=1\n", 2),
        ("\n\nA=\n\n", 1),
        ("A=b=c\n\n", 1),
        ("A\n\x03\0\0\0\0\0\0\0\n\n\n\nB=2\n\nC=3\n\n", 2),
    ] {
        assert_eq!(counted(Format::JournalExport, text.as_bytes()), entries, "{text:?}");
    }
}

#[test]
fn what_is_empty_malformed_or_cut_off_is_one_entry() {
    let long_name = format!("A=1\n\n{}=1\n\nA=1\n\n", "N".repeat(65));
    for (format, bytes) in [
        (Format::JournalExport, &b"A=1\n\nA=1\n\nno fields\n"[..]),
        (Format::JournalExport, b"A=1\n\nA=1\n\n=1\n\n"),
        (Format::JournalExport, b"A=1\n\nA=1\n\nB"),
        (Format::JournalExport, b"A=1\n\nA=1\n\nB\n\x01\0\0\0\0\0\0\0xy\n\n"),
        (Format::JournalExport, b"A=1\n\nA=1\n\nB\n\0\0\0\0\0\0\0\x01xy\n\n"),
        (Format::JournalExport, long_name.as_bytes()),
        (Format::Lines, b"{}\n{}\nplain\n{}"),
        (Format::Otlp, b"\x0a\x05\x12\x7f"),
        (Format::Otlp, b"\x0a\x02\x12\x00\x0b"),
        (Format::Otlp, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        (Format::OtlpGrpc, b"\x01\0\0\0\x02ab"),
        (Format::OtlpGrpc, b"\0\0\0\0\x02\x0a"),
        (Format::OtlpJson, br#"{"logRecords": [{}, {}]"#),
        (Format::OtlpJson, br#"{"logRecords": [{}, {}]}}"#),
        (Format::OtlpJson, br#"{"logRecords": [{}, {}, (]}"#),
    ] {
        assert_eq!(counted(format, bytes), 1, "{format:?} {bytes:?}");
    }
    assert!(FORMATS.iter().all(|&format| counted(format, b"") == 1));
}

#[test]
fn several_frames_of_one_call_are_one_batch() {
    let texts = vec![b"text".to_vec(); 3];
    let frame = batch(Format::OtlpGrpc, &texts);
    let empty = batch(Format::OtlpGrpc, &[]);
    assert_eq!(counted(Format::OtlpGrpc, &[&frame[..], &[0; 5], &empty, &frame].concat()), 6);
}

proptest! {
    #[test]
    fn all_entries_are_counted_however_the_bytes_are_cut(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
        lengths in prop::collection::vec(1_usize..300, 1..8),
    ) {
        for format in FORMATS {
            let bytes = batch(format, &texts);
            prop_assert_eq!(in_pieces(format, &bytes, &lengths), texts.len() as u64, "{:?}", format);
        }
    }

    #[test]
    fn spoilt_bytes_count_the_same_however_they_are_cut(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        lengths in prop::collection::vec(1_usize..40, 1..8),
    ) {
        for format in FORMATS {
            let mut bytes = batch(format, &texts);
            for (at, byte) in &spoilt {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
            }
            let whole = counted(format, &bytes);
            prop_assert!((1..=bytes.len().max(1) as u64).contains(&whole), "{:?}: {}", format, whole);
            prop_assert_eq!(in_pieces(format, &bytes, &lengths), whole, "{:?}", format);
        }
    }
}
