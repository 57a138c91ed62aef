//! A section's bytes: read page by page when they are first needed, each page against its checksum.
//!
//! ```text
//! content | u32 crc32c of each 4 KiB of it
//! content, each 4 KiB of it sealed | the tag of each, 16 bytes      in a sealed file
//! ```

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use crate::crypt::{Aead, TAG};
use crate::log::disk::read_full;
use crate::storage::StorageFile;

/// Bytes of a page; a multiple of 8, so that no number straddles two.
const PAGE: usize = 4096;
const CHECKSUM: usize = 4;
/// Up to so many bytes are read at once: a system call costs more.
const READ_WHOLE: usize = 16 << 10;
/// Pages that are read at a time by who wants them all.
const RUN: usize = 64;

/// Why a page could not be had.
#[derive(Debug)]
pub(crate) enum PageError {
    Io(io::Error),
    /// A checksum does not hold, or the bytes contradict each other.
    Damaged,
}

impl From<io::Error> for PageError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The content, as far as it was needed.
#[derive(Debug)]
pub(crate) struct Pages {
    /// The file and where the content begins in it; `None` if all is loaded.
    file: Option<(Arc<dyn StorageFile>, u64)>,
    len: usize,
    checks: Checks,
    loaded: Box<[OnceLock<Box<[u8]>>]>,
    held: Held,
}

/// What tells that a page is as it was written.
#[derive(Debug)]
enum Checks {
    Sums(Box<[u32]>),
    Tags(Box<[[u8; TAG]]>, PageSeal),
}

/// Seals the pages of one section.
#[derive(Debug, Clone)]
pub(crate) struct PageSeal {
    /// Of the file: no two have the same.
    pub(crate) key: Arc<Aead>,
    /// Where the section begins in the file.
    pub(crate) section: u32,
}

impl PageSeal {
    fn nonce(&self, page: usize) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.section.to_le_bytes());
        nonce[4..8].copy_from_slice(&(page as u32).to_le_bytes());
        nonce
    }
}

/// Bytes of memory that are counted in a sum over many holders.
#[derive(Debug, Default)]
struct Held {
    own: AtomicUsize,
    sum: Arc<AtomicUsize>,
}

/// Appends the checksums of all pages of the content, which begins at `start`, or seals them and appends their tags. Returns what a reader
/// needs to trust those.
pub(crate) fn seal(out: &mut Vec<u8>, start: usize, seal: Option<&PageSeal>) -> u32 {
    let content = out.len();
    let checksums: Vec<u8> = match seal {
        None => out[start..]
            .chunks(PAGE)
            .flat_map(|page| crc32c::crc32c(page).to_le_bytes())
            .collect(),
        Some(seal) => (0..)
            .zip(out[start..].chunks_mut(PAGE))
            .flat_map(|(number, page)| seal.key.seal(seal.nonce(number), &[], page))
            .collect(),
    };
    out.extend_from_slice(&checksums);
    crc32c::crc32c(&out[content..])
}

/// How many of `len` bytes are content.
fn content_len(len: usize, check: usize) -> Option<usize> {
    let pages = len.div_ceil(PAGE + check);
    let content = len.checked_sub(pages * check)?;
    (content.div_ceil(PAGE) == pages).then_some(content)
}

impl Pages {
    /// Opens what [`seal`] has closed: `len` bytes from `offset` on. `sum` is told of the memory used.
    pub(crate) fn open(
        file: &Arc<dyn StorageFile>,
        offset: u64,
        len: usize,
        checksum: u32,
        sum: &Arc<AtomicUsize>,
        seal: Option<PageSeal>,
    ) -> Result<Self, PageError> {
        let check = if seal.is_some() { TAG } else { CHECKSUM };
        let content = content_len(len, check).ok_or(PageError::Damaged)?;
        let from = if len <= READ_WHOLE { 0 } else { content };
        let mut bytes = vec![0; len - from];
        if read_full(&**file, &mut bytes, offset + from as u64)? < bytes.len() {
            return Err(PageError::Damaged);
        }
        let (front, checksums) = bytes
            .split_at_mut_checked(content - from)
            .ok_or(PageError::Damaged)?;
        if crc32c::crc32c(checksums) != checksum {
            return Err(PageError::Damaged);
        }
        let number_of_pages = content.div_ceil(PAGE);
        let checks = match seal {
            None => {
                let sums = checksums.as_chunks().0.iter();
                Checks::Sums(sums.map(|bytes| u32::from_le_bytes(*bytes)).collect())
            }
            Some(seal) => Checks::Tags(checksums.as_chunks().0.into(), seal),
        };
        let pages = Self {
            file: Some((Arc::clone(file), offset)),
            len: content,
            loaded: (0..number_of_pages).map(|_| OnceLock::new()).collect(),
            checks,
            held: Held {
                own: AtomicUsize::new(0),
                sum: Arc::clone(sum),
            },
        };
        let slots = size_of::<OnceLock<Box<[u8]>>>() + check;
        pages
            .held
            .add(size_of::<Self>() + slots * pages.loaded.len());
        if from == 0 {
            pages.check(0, front)?;
            pages.take(0, front)?;
        }
        Ok(pages)
    }

    /// Content that is at hand.
    pub(crate) fn in_memory(content: &[u8]) -> Self {
        let pages = content.chunks(PAGE);
        Self {
            file: None,
            len: content.len(),
            checks: Checks::Sums(Box::default()),
            loaded: pages.map(|page| OnceLock::from(Box::from(page))).collect(),
            held: Held::default(),
        }
    }

    /// What [`seal`] has closed, if it is all there.
    pub(crate) fn whole(bytes: &[u8], seal: Option<PageSeal>) -> Option<Self> {
        let Some(seal) = seal else {
            return Some(Self::in_memory(
                bytes.get(..content_len(bytes.len(), CHECKSUM)?)?,
            ));
        };
        let (content, tags) = bytes.split_at_checked(content_len(bytes.len(), TAG)?)?;
        let mut content = content.to_vec();
        for ((number, page), tag) in (0..).zip(content.chunks_mut(PAGE)).zip(tags.as_chunks().0) {
            seal.key.open(seal.nonce(number), &[], page, *tag)?;
        }
        Some(Self::in_memory(&content))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The number at a multiple of 4.
    #[inline]
    pub(crate) fn u32_at(&self, at: usize) -> Result<u32, PageError> {
        let page = self.page(at / PAGE)?;
        let bytes = page.get(at % PAGE..).and_then(<[u8]>::first_chunk);
        bytes
            .map(|bytes| u32::from_le_bytes(*bytes))
            .ok_or(PageError::Damaged)
    }

    /// The number at a multiple of 8.
    #[inline]
    pub(crate) fn u64_at(&self, at: usize) -> Result<u64, PageError> {
        let page = self.page(at / PAGE)?;
        let bytes = page.get(at % PAGE..).and_then(<[u8]>::first_chunk);
        bytes
            .map(|bytes| u64::from_le_bytes(*bytes))
            .ok_or(PageError::Damaged)
    }

    /// Some bytes; borrowed if they lie on one page.
    pub(crate) fn bytes(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, PageError> {
        let mut found = Cow::Borrowed(&[][..]);
        let mut at = range.start;
        while at < range.end {
            let page = self.page(at / PAGE)?;
            let until = (at % PAGE).saturating_add(range.end - at).min(PAGE);
            let part = page.get(at % PAGE..until).ok_or(PageError::Damaged)?;
            if at == range.start {
                found = Cow::Borrowed(part);
            } else {
                found.to_mut().extend_from_slice(part);
            }
            at += part.len();
        }
        Ok(found)
    }

    /// A copy of some bytes, which leaves no pages loaded. The copy counts as memory used.
    pub(crate) fn copy(&self, range: Range<usize>) -> Result<Vec<u8>, PageError> {
        if range.start > range.end || range.end > self.len {
            return Err(PageError::Damaged);
        }
        let mut out = Vec::with_capacity(range.len());
        let mut at = range.start;
        while at < range.end {
            let number = at / PAGE;
            let until = range.end.div_ceil(PAGE).min(number + RUN);
            let slots = self.loaded.get(number..until).ok_or(PageError::Damaged)?;
            let read;
            let bytes: &[u8] = match slots.first().and_then(OnceLock::get) {
                Some(page) => page,
                None => {
                    let missing = slots.iter().take_while(|slot| slot.get().is_none());
                    read = self.read(number, missing.count())?;
                    &read
                }
            };
            let wanted = bytes.get(at % PAGE..).ok_or(PageError::Damaged)?;
            let wanted = &wanted[..wanted.len().min(range.end - at)];
            out.extend_from_slice(wanted);
            at += wanted.len();
        }
        self.held.add(out.len());
        Ok(out)
    }

    /// Loads all that is not there yet.
    pub(crate) fn load_all(&self) -> Result<(), PageError> {
        for number in (0..self.loaded.len()).step_by(RUN) {
            let until = self.loaded.len().min(number + RUN);
            if self.loaded[number..until]
                .iter()
                .any(|page| page.get().is_none())
            {
                let bytes = self.read(number, until - number)?;
                self.take(number, &bytes)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn page(&self, number: usize) -> Result<&[u8], PageError> {
        let slot = self.loaded.get(number).ok_or(PageError::Damaged)?;
        match slot.get() {
            Some(page) => Ok(page),
            None => self.load(number, slot),
        }
    }

    #[cold]
    fn load<'a>(
        &self,
        number: usize,
        slot: &'a OnceLock<Box<[u8]>>,
    ) -> Result<&'a [u8], PageError> {
        let page = self.read(number, 1)?;
        self.held.add(page.len());
        Ok(slot.get_or_init(|| page.into()))
    }

    /// Keeps checked pages from `number` on.
    fn take(&self, number: usize, bytes: &[u8]) -> Result<(), PageError> {
        for (number, page) in (number..).zip(bytes.chunks(PAGE)) {
            let slot = self.loaded.get(number).ok_or(PageError::Damaged)?;
            if slot.set(page.into()).is_ok() {
                self.held.add(page.len());
            }
        }
        Ok(())
    }

    /// Reads and checks so many pages from `number` on.
    fn read(&self, number: usize, count: usize) -> Result<Vec<u8>, PageError> {
        let (file, offset) = self.file.as_ref().ok_or(PageError::Damaged)?;
        let start = number * PAGE;
        let end = self.len.min(start + count * PAGE);
        let mut bytes = vec![0; end.checked_sub(start).ok_or(PageError::Damaged)?];
        if read_full(&**file, &mut bytes, offset + start as u64)? < bytes.len() {
            return Err(PageError::Damaged);
        }
        self.check(number, &mut bytes)?;
        Ok(bytes)
    }

    /// Whether the pages from `number` on are as they were written; opens them if they are sealed.
    fn check(&self, number: usize, bytes: &mut [u8]) -> Result<(), PageError> {
        for (number, page) in (number..).zip(bytes.chunks_mut(PAGE)) {
            let holds = match &self.checks {
                Checks::Sums(sums) => sums.get(number) == Some(&crc32c::crc32c(page)),
                Checks::Tags(tags, seal) => {
                    let nonce = seal.nonce(number);
                    let open = |tag: &[u8; TAG]| seal.key.open(nonce, &[], page, *tag);
                    tags.get(number).and_then(open).is_some()
                }
            };
            if !holds {
                return Err(PageError::Damaged);
            }
        }
        Ok(())
    }
}

impl Held {
    fn add(&self, bytes: usize) {
        self.own.fetch_add(bytes, Relaxed);
        self.sum.fetch_add(bytes, Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sum.fetch_sub(*self.own.get_mut(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypt::{Cipher, LogKeys};
    use crate::log::SegmentNo;

    const AT: usize = 24;

    /// A file that is only read.
    #[derive(Debug)]
    struct Bytes(Vec<u8>);

    impl StorageFile for Bytes {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or(&[]);
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        }

        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            unreachable!("only read")
        }

        fn preallocate(&self, _: u64) -> io::Result<()> {
            unreachable!("only read")
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            unreachable!("only read")
        }

        fn sync_data(&self) -> io::Result<()> {
            unreachable!("only read")
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }

    fn page_seal() -> PageSeal {
        let keys = LogKeys::new(&[1; 32], 0, Cipher::ChaCha, &[2; 32], 0);
        PageSeal {
            key: Arc::new(keys.index(Cipher::ChaCha, SegmentNo(1), &[3; 16])),
            section: AT as u32,
        }
    }

    /// Some content of this length, and how it is sealed in a file, with the checksum of its checksums.
    fn sealed(len: usize, seal: Option<&PageSeal>) -> (Vec<u8>, Vec<u8>, u32) {
        let content: Vec<u8> = (0..len).map(|at| (at / 8 % 251) as u8).collect();
        let mut file = vec![0xEE; AT];
        file.extend_from_slice(&content);
        let checksum = super::seal(&mut file, AT, seal);
        (content, file, checksum)
    }

    fn open(
        file: Vec<u8>,
        checksum: u32,
        sum: &Arc<AtomicUsize>,
        seal: Option<PageSeal>,
    ) -> Result<Pages, PageError> {
        let len = file.len() - AT;
        let file: Arc<dyn StorageFile> = Arc::new(Bytes(file));
        Pages::open(&file, AT as u64, len, checksum, sum, seal)
    }

    #[test]
    fn whatever_its_length_the_content_reads_back() {
        let lens = [8, 4088, 4096, 4104, 16376, 16384, 70_000, 600_000];
        for (len, seal) in lens
            .into_iter()
            .flat_map(|len| [(len, None), (len, Some(page_seal()))])
        {
            let (content, file, checksum) = sealed(len, seal.as_ref());
            for pages in [
                Pages::whole(&file[AT..], seal.clone()).unwrap(),
                open(file, checksum, &Arc::default(), seal).unwrap(),
                Pages::in_memory(&content),
            ] {
                assert_eq!(pages.len(), len);
                for at in [0, len / 16 * 8, len - 8] {
                    let expected = u64::from_le_bytes(*content[at..].first_chunk().unwrap());
                    assert_eq!(pages.u64_at(at).unwrap(), expected, "at {at} of {len}");
                }
                for range in [0..len, len / 2..len - 3, 5..5] {
                    assert_eq!(*pages.bytes(range.clone()).unwrap(), content[range.clone()]);
                    assert_eq!(pages.copy(range.clone()).unwrap(), content[range]);
                }
                pages.load_all().unwrap();
                assert_eq!(pages.copy(0..len).unwrap(), content);
                assert!(pages.u32_at(len.next_multiple_of(4)).is_err());
                assert!(pages.copy(len - 1..len + 1).is_err());
                assert!(pages.bytes(len - 1..len + 1).is_err());
            }
        }
    }

    #[test]
    fn damage_shows_when_its_page_is_read() {
        for seal in [None, Some(page_seal())] {
            damage_shows(seal);
        }
    }

    fn damage_shows(seal: Option<PageSeal>) {
        let (_, mut file, checksum) = sealed(70_000, seal.as_ref());
        file[AT + 8192 + 100] ^= 1;
        let pages = open(file.clone(), checksum, &Arc::default(), seal.clone()).unwrap();
        assert!(pages.u32_at(8188).is_ok());
        assert!(matches!(pages.u32_at(8192), Err(PageError::Damaged)));
        assert!(matches!(pages.copy(0..20_000), Err(PageError::Damaged)));
        assert!(matches!(pages.load_all(), Err(PageError::Damaged)));
        assert!(open(file.clone(), checksum ^ 1, &Arc::default(), seal.clone()).is_err());
        file.truncate(file.len() - 4);
        assert!(open(file, checksum, &Arc::default(), seal).is_err());
    }

    #[test]
    fn memory_used_is_counted_and_given_back() {
        let (_, file, checksum) = sealed(70_000, None);
        let sum = Arc::default();
        let pages = open(file, checksum, &sum, None).unwrap();
        let opened = sum.load(Relaxed);
        assert!((1..2000).contains(&opened), "{opened}");
        pages.u32_at(0).unwrap();
        pages.u32_at(4).unwrap();
        assert_eq!(sum.load(Relaxed), opened + PAGE);
        pages.load_all().unwrap();
        assert_eq!(sum.load(Relaxed), opened + 70_000);
        drop(pages);
        assert_eq!(sum.load(Relaxed), 0);
    }
}
