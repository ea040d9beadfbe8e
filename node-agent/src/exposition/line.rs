//! One line of a histogram: which of its series it is, and its value.

use std::borrow::Cow;

use super::Query;

/// What a line says.
#[derive(Debug, Default)]
pub(super) struct Sample<'a> {
    pub(super) class: Option<Cow<'a, str>>,
    pub(super) error: bool,
    pub(super) count: Option<f64>,
    pub(super) sum: Option<f64>,
}

#[derive(Clone, Copy)]
enum Series {
    Count,
    Sum,
    /// Of a native histogram, all in one.
    Composite,
}

/// What follows the metric's name in a line; `None` for other series and for what is malformed.
pub(super) fn parse<'a>(rest: &'a [u8], query: &Query) -> Option<Sample<'a>> {
    let text = std::str::from_utf8(rest).ok()?;
    let (series, text) = if let Some(text) = text.strip_prefix("_count") {
        (Series::Count, text)
    } else if let Some(text) = text.strip_prefix("_sum") {
        (Series::Sum, text)
    } else {
        (Series::Composite, text)
    };
    if !text.starts_with([' ', '\t', '{']) {
        return None;
    }
    let mut sample = Sample::default();
    let value = match text.trim_start().strip_prefix('{') {
        // A composite value without labels before it.
        Some(fields) if fields.starts_with("count:") => text,
        Some(labels) => read_labels(labels, query, &mut sample)?,
        None => text,
    };
    match series {
        Series::Count => sample.count = Some(number(value)?),
        // A sum that is no number makes the time unknown.
        Series::Sum => sample.sum = Some(number(value).unwrap_or(f64::NAN)),
        Series::Composite => {
            let fields = value.trim_start().strip_prefix('{')?.split_once('}')?.0;
            let field = |key: &str| {
                fields.split(',').find_map(|field| number(field.trim().strip_prefix(key)?.strip_prefix(':')?))
            };
            sample.count = Some(field("count")?);
            sample.sum = Some(field("sum").unwrap_or(f64::NAN));
        }
    }
    Some(sample)
}

/// Reads up to the closing brace and gives what comes after it.
fn read_labels<'a>(mut text: &'a str, query: &Query, sample: &mut Sample<'a>) -> Option<&'a str> {
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some(rest);
        }
        let (name, rest) = text.split_once('=')?;
        let (value, rest) = quoted(rest.trim_start())?;
        match name.trim_end() {
            name if name == query.class_label => sample.class = Some(unescaped(value)),
            name if name == query.error_label => sample.error = query.is_error(value),
            _ => {}
        }
        text = rest;
    }
}

/// The value in quotes, still escaped, and what comes after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((&text[..end], &text[end + 1..]))
}

fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut escaped = false;
    for c in value.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            c => {
                plain.push(if escaped && c == 'n' { '\n' } else { c });
                escaped = false;
            }
        }
    }
    Cow::Owned(plain)
}

/// The first number of the text, where it can be a count or a sum; a timestamp or an exemplar may follow.
fn number(text: &str) -> Option<f64> {
    let value: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

impl Query {
    fn is_error(&self, value: &str) -> bool {
        self.error_values.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(begin) => value.starts_with(begin),
            None => value == pattern,
        })
    }
}
