//! A head's fields as the decisions in `evenly_core` ask for them.

use evenly_core::route::Fields;
use evenly_http1::Field;

/// The fields of a parsed head.
pub struct HeadFields<'a>(pub &'a [Field<'a>]);

impl Fields for HeadFields<'_> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|field| is_named(field, name)).map(|field| field.value)
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().filter(|field| is_named(field, name)).any(|field| test(field.value))
    }
}

fn is_named(field: &Field<'_>, name: &str) -> bool {
    field.name.as_bytes().eq_ignore_ascii_case(name.as_bytes())
}
