//! What the files of a PEM store say, and how they are written: the identity (leaf, chain, key), trusted
//! certificates, and blocks of other kinds, which are kept as they stand.

use std::path::{Path, PathBuf};

use sealift_pki::{
    Certificate, PrivateKey, Thumbprint,
    pem::{self, Block, Kind},
};
use zeroize::Zeroizing;

use crate::{Error, Unreadable, paths};

/// Where the parts of the store lie.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) store: PathBuf,
    /// File of the private key, if it has its own.
    pub(super) key: Option<PathBuf>,
    /// File of the chain, if it has its own.
    pub(super) chain: Option<PathBuf>,
}

impl Files {
    /// All of them, the store first.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let own = [&self.key, &self.chain].into_iter().flatten();
        std::iter::once(&self.store).chain(own).cloned().collect()
    }
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) leaf: Certificate,
    pub(super) chain: Vec<Certificate>,
    pub(super) key: PrivateKey,
}

impl Identity {
    pub(super) fn certificates(&self) -> Vec<Certificate> {
        std::iter::once(&self.leaf).chain(&self.chain).cloned().collect()
    }
}

/// Everything in the files.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) identity: Option<Identity>,
    /// Certificates that stand for themselves.
    pub(super) trusted: Vec<Certificate>,
    /// Private keys that are encrypted, broken, or belong to no certificate here.
    pub(super) stray_keys: usize,
    pub(super) unreadable: Vec<Unreadable>,
    /// Whether the store file is there.
    pub(super) exists: bool,
    /// Blocks of the store file that are kept as text: other kinds, what cannot be read, stray keys.
    others: Vec<Zeroizing<String>>,
    /// Whether the identity's key stands in the store file.
    key_in_store: bool,
    /// How many certificates of the chain stand in the store file; the rest is in the file of the chain.
    chain_in_store: usize,
    /// Whether the file of the chain has to be written.
    pub(super) chain_file_changed: bool,
}

impl Content {
    /// Reads all files. One that is missing counts as empty.
    pub(super) fn read(files: &Files) -> Result<Self, Error> {
        let store = blocks_of(&files.store)?;
        let mut content = Self { exists: store.is_some(), ..Self::default() };
        let store = store.unwrap_or_default();
        content.trusted = content.certificates(&files.store, &store);
        let chain = match &files.chain {
            Some(path) => content.certificates(path, &blocks_of(path)?.unwrap_or_default()),
            None => Vec::new(),
        };
        for block in &store {
            let stays = match block.kind() {
                Kind::Certificate => block.certificate().is_err(),
                Kind::PrivateKey | Kind::EncryptedPrivateKey => !content.key(&files.store, block, true),
                _ => true,
            };
            if stays {
                content.others.push(Zeroizing::new(block.text().to_owned()));
            }
        }
        if let Some(path) = &files.key {
            for block in blocks_of(path)?.unwrap_or_default().iter().filter(|block| is_key(block)) {
                content.key(path, block, false);
            }
        }
        if let Some(identity) = &mut content.identity {
            let more: Vec<_> = chain.into_iter().filter(|issuer| !identity.chain.contains(issuer)).collect();
            identity.chain.extend(more);
        }
        Ok(content)
    }

    /// Takes a new identity in, in the place of the old one and of any stray key.
    pub(super) fn set_identity(&mut self, files: &Files, identity: Identity) {
        self.trusted
            .retain(|certificate| *certificate != identity.leaf && !identity.chain.contains(certificate));
        self.others.retain(|text| !text.contains("PRIVATE KEY-----"));
        self.stray_keys = 0;
        self.key_in_store = files.key.is_none();
        self.chain_in_store = if files.chain.is_none() { identity.chain.len() } else { 0 };
        self.identity = Some(identity);
    }

    /// Whether the store file holds a private key and must not be read by others.
    pub(super) fn has_key_in_store(&self) -> bool {
        self.identity.is_some() && self.key_in_store
            || self.others.iter().any(|text| text.contains("PRIVATE KEY-----"))
    }

    /// The store file: leaf and chain first, as servers want them, then the key if it has no file of its own.
    pub(super) fn store_text(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(Vec::new());
        if let Some(identity) = &self.identity {
            text.extend(identity.leaf.to_pem().bytes());
            text.extend(pem::encode_certificates(identity.chain.iter().take(self.chain_in_store)).bytes());
            if self.key_in_store {
                text.extend(identity.key.to_pem().bytes());
            }
        }
        for other in &self.others {
            text.extend(other.bytes());
        }
        text.extend(pem::encode_certificates(&self.trusted).bytes());
        text
    }

    /// The file of the chain; nothing when there would be nothing in it.
    pub(super) fn chain_text(&self) -> Option<Zeroizing<Vec<u8>>> {
        let chain =
            self.identity.as_ref()?.chain.get(self.chain_in_store..).filter(|chain| !chain.is_empty())?;
        Some(Zeroizing::new(pem::encode_certificates(chain).into_bytes()))
    }

    /// The file of the key; nothing when there is no identity.
    pub(super) fn key_text(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.identity.as_ref().map(|identity| Zeroizing::new(identity.key.to_pem().as_bytes().to_vec()))
    }

    /// Takes a trusted certificate, or one of the chain, out.
    pub(super) fn take(&mut self, thumbprint: Thumbprint) -> bool {
        let before = self.count();
        self.trusted.retain(|certificate| certificate.thumbprint() != thumbprint);
        if let Some(identity) = &mut self.identity {
            let position =
                identity.chain.iter().position(|certificate| certificate.thumbprint() == thumbprint);
            if let Some(position) = position {
                identity.chain.remove(position);
                let in_store = position < self.chain_in_store;
                self.chain_in_store -= usize::from(in_store);
                self.chain_file_changed |= !in_store;
            }
        }
        self.count() != before
    }

    /// Whether a certificate stands anywhere in the files.
    pub(super) fn holds(&self, certificate: &Certificate) -> bool {
        let of_identity = self
            .identity
            .as_ref()
            .is_some_and(|it| it.leaf == *certificate || it.chain.contains(certificate));
        of_identity || self.trusted.contains(certificate)
    }

    fn count(&self) -> usize {
        self.trusted.len() + self.identity.as_ref().map_or(0, |identity| identity.chain.len())
    }

    fn certificates(&mut self, path: &Path, blocks: &[Block]) -> Vec<Certificate> {
        let mut read: Vec<Certificate> = Vec::new();
        for block in blocks.iter().filter(|block| block.kind() == Kind::Certificate) {
            match block.certificate() {
                Ok(certificate) if read.contains(&certificate) => {}
                Ok(certificate) => read.push(certificate),
                Err(error) => self.unreadable.push(unreadable(path, block, &error)),
            }
        }
        read
    }

    /// Takes a private key in; answers whether it is that of the identity.
    fn key(&mut self, path: &Path, block: &Block, in_store: bool) -> bool {
        let key = match block.private_key() {
            Ok(key) => key,
            Err(error) => {
                self.stray_keys += 1;
                self.unreadable.push(unreadable(path, block, &error));
                return false;
            }
        };
        if let Some(identity) = &self.identity {
            // The same key twice, in the store file and in its own, is one identity.
            if identity.key == key {
                return true;
            }
        } else if let Some(position) = self.trusted.iter().position(|certificate| key.matches(certificate)) {
            let leaf = self.trusted.remove(position);
            let chain = following(&leaf, &mut self.trusted, position);
            (self.key_in_store, self.chain_in_store) = (in_store, chain.len());
            self.identity = Some(Identity { leaf, chain, key });
            return true;
        }
        self.stray_keys += 1;
        let name = format!("{} line {}", shown(path), block.line());
        let reason = "this private key belongs to no certificate of the store, or to a second one".to_owned();
        self.unreadable.push(Unreadable { name, reason });
        false
    }
}

/// The certificates that stand right behind a leaf and issued it, one after the other.
fn following(leaf: &Certificate, certificates: &mut Vec<Certificate>, position: usize) -> Vec<Certificate> {
    let mut chain: Vec<Certificate> = Vec::new();
    while let Some(next) = certificates.get(position) {
        let last = chain.last().unwrap_or(leaf);
        if last.is_self_issued() || !last.names_as_issuer(next) {
            break;
        }
        chain.push(certificates.remove(position));
    }
    chain
}

fn blocks_of(path: &Path) -> Result<Option<Vec<Block>>, Error> {
    let Some(bytes) = paths::read(path, paths::MAX_FILE_BYTES)? else { return Ok(None) };
    // Comments may be in any encoding; armour and base64 are ASCII.
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    let blocks = pem::read(&text).map_err(|source| Error::Content { path: path.to_owned(), source })?;
    Ok(Some(blocks))
}

fn is_key(block: &Block) -> bool {
    matches!(block.kind(), Kind::PrivateKey | Kind::EncryptedPrivateKey)
}

fn unreadable(path: &Path, block: &Block, error: &sealift_pki::Error) -> Unreadable {
    Unreadable { name: format!("{} line {}", shown(path), block.line()), reason: error.to_string() }
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
