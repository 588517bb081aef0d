//! Checks what a Parquet file says about itself, before polars reads it.
//!
//! polars allocates memory for as many rows, list items and bytes as the headers of a file claim, even if the
//! file is much shorter. Here the footer and the page headers are decoded in memory that is bounded by the
//! file's size, and claims beyond what a table of records can have are refused. polars then gets a footer that
//! is written anew from what was checked. Thus it cannot read the bytes in another way, and sees neither
//! statistics nor extensions, which no table of records needs.

use polars_parquet_format::thrift::Error;
use polars_parquet_format::thrift::protocol::{TCompactInputProtocol, TCompactOutputProtocol};
use polars_parquet_format::{
    ColumnChunk, FieldRepetitionType, FileMetaData, PageHeader, PageType, RowGroup, SchemaElement,
    Type,
};
use std::collections::HashSet;

const MAGIC: &[u8; 4] = b"PAR1";
/// The magic number at the end of a file, and before it the length of the footer.
const END_BYTES: usize = 8;
/// Bytes that a decoder may allocate for each byte that it reads. A list's item takes at least a byte in the
/// file, and is counted as 8 by the decoder.
const ALLOCATED_PER_BYTE: usize = 16;
/// The number of rows that a file of any size may have.
const ROWS_OF_ANY_FILE: u64 = 1 << 16;
/// Rows for each byte of a file. Records differ at least in their datapoint: a table in which all other columns
/// have a single value has 0.8 rows for each byte.
const ROWS_PER_BYTE: u64 = 4;
/// Bytes of a page for each row: a number takes 8, and a name in a table of records is shorter than this.
const PAGE_BYTES_PER_ROW: u64 = 256;
/// The bytes that a page may have with any number of rows.
const BYTES_OF_ANY_PAGE: u64 = 1 << 20;

/// Returns the file with a footer that holds only what was checked.
///
/// # Errors
///
/// A message that says which claim is wrong.
pub(crate) fn with_checked_footer(file: &[u8]) -> Result<Vec<u8>, String> {
    let (pages, footer) = split_footer(file)?;
    let mut metadata = {
        let mut footer_reader = footer;
        let mut protocol = bounded_protocol(&mut footer_reader, footer.len());
        FileMetaData::read_from_in_protocol(&mut protocol).map_err(thrift_message)?
    };
    let n_columns = check_schema(&metadata)?;
    let most_rows = ROWS_OF_ANY_FILE.max(ROWS_PER_BYTE * file.len() as u64);
    let mut n_rows = 0;
    for group in &mut metadata.row_groups {
        let n_group_rows = check_row_group(group, n_columns, pages, most_rows - n_rows)?;
        n_rows += n_group_rows;
        remove_unchecked(group);
    }
    if u64::try_from(metadata.num_rows) != Ok(n_rows) {
        return Err("the number of rows is not that of its row groups".to_owned());
    }
    metadata.row_groups.retain(|group| group.num_rows > 0);
    let checked = FileMetaData {
        key_value_metadata: None,
        created_by: None,
        column_orders: None,
        encryption_algorithm: None,
        footer_signing_key_metadata: None,
        ..metadata
    };
    append_footer(pages, &checked)
}

/// Splits a file into its pages and its footer.
fn split_footer(file: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let cut_short = || "it is cut short, or no Parquet file".to_owned();
    let (content, magic) = file.split_last_chunk().ok_or_else(cut_short)?;
    let (content, length) = content.split_last_chunk().ok_or_else(cut_short)?;
    if magic != MAGIC || !content.starts_with(MAGIC) {
        return Err(cut_short());
    }
    let n_footer_bytes = u32::from_le_bytes(*length) as usize;
    let n_page_bytes = content.len().checked_sub(n_footer_bytes);
    Ok(content.split_at(n_page_bytes.ok_or_else(cut_short)?))
}

/// Returns `pages` with `metadata` as the footer behind them.
fn append_footer(pages: &[u8], metadata: &FileMetaData) -> Result<Vec<u8>, String> {
    let mut footer = Vec::new();
    metadata
        .write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut footer))
        .map_err(thrift_message)?;
    let length = u32::try_from(footer.len()).map_err(|_| "its footer is too long".to_owned())?;
    let mut file = Vec::with_capacity(pages.len() + footer.len() + END_BYTES);
    for part in [pages, &footer, &length.to_le_bytes(), MAGIC] {
        file.extend_from_slice(part);
    }
    Ok(file)
}

/// A decoder for a structure that lies in the next `n_bytes` bytes at most.
fn bounded_protocol<'a, 'b>(
    bytes: &'a mut &'b [u8],
    n_bytes: usize,
) -> TCompactInputProtocol<&'a mut &'b [u8]> {
    TCompactInputProtocol::new(bytes, n_bytes.saturating_mul(ALLOCATED_PER_BYTE))
}

fn thrift_message(error: Error) -> String {
    format!("a header is damaged: {error}")
}

/// The types of numbers and texts; values of other types have a size that the schema claims.
const COLUMN_TYPES: [Type; 6] = [
    Type::BOOLEAN,
    Type::INT32,
    Type::INT64,
    Type::FLOAT,
    Type::DOUBLE,
    Type::BYTE_ARRAY,
];

/// Returns the number of columns. They must have different names, and one number or text in each row.
fn check_schema(metadata: &FileMetaData) -> Result<usize, String> {
    let (root, columns) = metadata
        .schema
        .split_first()
        .ok_or_else(|| "it has no schema".to_owned())?;
    let names: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let is_flat = |column: &SchemaElement| {
        column.num_children.unwrap_or(0) == 0
            && column
                .type_
                .is_some_and(|found| COLUMN_TYPES.contains(&found))
            && column.repetition_type != Some(FieldRepetitionType::REPEATED)
    };
    let n_columns = root.num_children.map(usize::try_from);
    if names.len() != columns.len()
        || !columns.iter().all(is_flat)
        || n_columns != Some(Ok(columns.len()))
    {
        return Err("its columns are not those of a flat table".to_owned());
    }
    Ok(columns.len())
}

/// Checks a row group with all its pages, and returns its number of rows.
fn check_row_group(
    group: &RowGroup,
    n_columns: usize,
    pages: &[u8],
    most_rows: u64,
) -> Result<u64, String> {
    let n_rows = u64::try_from(group.num_rows).ok();
    let n_rows = n_rows
        .filter(|&n_rows| n_rows <= most_rows)
        .ok_or_else(|| {
            let n_rows = group.num_rows;
            format!("it claims {n_rows} rows, more than a file of its size can have")
        })?;
    if group.columns.len() != n_columns {
        return Err("a row group has not all columns".to_owned());
    }
    for column in &group.columns {
        let chunk = chunk_of_column(column, n_rows, pages)
            .ok_or_else(|| "a column lies outside the file, or has not all rows".to_owned())?;
        check_pages(chunk, n_rows)?;
    }
    Ok(n_rows)
}

/// The bytes of a column's pages; `None` if they are not in the file, or are not said to have `n_rows` values.
fn chunk_of_column<'a>(column: &ColumnChunk, n_rows: u64, pages: &'a [u8]) -> Option<&'a [u8]> {
    let metadata = column.meta_data.as_ref()?;
    let is_whole = u64::try_from(metadata.num_values) == Ok(n_rows);
    let start = metadata
        .dictionary_page_offset
        .unwrap_or(metadata.data_page_offset);
    let start = usize::try_from(start).ok()?;
    let length = usize::try_from(metadata.total_compressed_size).ok()?;
    let chunk = pages.get(start..start.checked_add(length)?)?;
    is_whole.then_some(chunk)
}

/// Checks the headers of the pages in `chunk`, which hold one value for each of `n_rows` rows.
fn check_pages(chunk: &[u8], n_rows: u64) -> Result<(), String> {
    let damaged = || "a page's header is damaged".to_owned();
    let most_bytes = BYTES_OF_ANY_PAGE + n_rows.saturating_mul(PAGE_BYTES_PER_ROW);
    let mut rest = chunk;
    let mut n_values = 0;
    while n_values < n_rows {
        let header = {
            let n_bytes = rest.len();
            let mut protocol = bounded_protocol(&mut rest, n_bytes);
            PageHeader::read_from_in_protocol(&mut protocol).map_err(thrift_message)?
        };
        let n_stored = usize::try_from(header.compressed_page_size).map_err(|_| damaged())?;
        let n_bytes = u64::try_from(header.uncompressed_page_size).map_err(|_| damaged())?;
        if n_bytes > most_bytes {
            return Err(format!("a page claims {n_bytes} bytes for {n_rows} rows"));
        }
        rest = rest.get(n_stored..).ok_or_else(damaged)?;
        let page_values = values_in_page(&header).ok_or_else(damaged)?;
        if header.type_ != PageType::DICTIONARY_PAGE {
            n_values += page_values;
        }
        // In a dictionary each value takes at least a byte.
        let most_values = match header.type_ {
            PageType::DICTIONARY_PAGE => n_bytes,
            _ => n_rows,
        };
        if page_values > most_values || n_values > n_rows {
            return Err(format!(
                "a page claims {page_values} values for {n_rows} rows"
            ));
        }
    }
    Ok(())
}

/// The number of values that a page claims; `None` if its header lacks it, or contradicts it.
fn values_in_page(header: &PageHeader) -> Option<u64> {
    let n_values = match header.type_ {
        PageType::DATA_PAGE => header.data_page_header.as_ref()?.num_values,
        PageType::DATA_PAGE_V2 => {
            let page = header.data_page_header_v2.as_ref()?;
            if page.num_rows != page.num_values || !(0..=page.num_values).contains(&page.num_nulls)
            {
                return None;
            }
            page.num_values
        }
        PageType::DICTIONARY_PAGE => header.dictionary_page_header.as_ref()?.num_values,
        _ => return None,
    };
    u64::try_from(n_values).ok()
}

/// Removes what was not checked, and is not needed.
fn remove_unchecked(group: &mut RowGroup) {
    group.sorting_columns = None;
    for column in &mut group.columns {
        column.file_path = None;
        column.offset_index_offset = None;
        column.offset_index_length = None;
        column.column_index_offset = None;
        column.column_index_length = None;
        column.crypto_metadata = None;
        column.encrypted_column_metadata = None;
        if let Some(metadata) = &mut column.meta_data {
            metadata.key_value_metadata = None;
            metadata.statistics = None;
            metadata.encoding_stats = None;
            metadata.bloom_filter_offset = None;
        }
    }
}
