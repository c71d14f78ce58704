//! The operating system's randomness, asked for at the edge and handed down as bytes.

/// The operating system gave no randomness; nothing secret can be made until it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
#[non_exhaustive]
pub struct EntropyUnavailable;

/// `N` bytes from the operating system's generator.
///
/// Pure code takes such bytes as an argument; constructors and guards call this.
///
/// # Errors
/// [`EntropyUnavailable`] when the system refuses; there is no weaker source to fall back on.
///
/// ```
/// let nonce: [u8; 16] = portcullis_core::entropy()?;
/// assert_ne!(nonce, [0; 16]);
/// # Ok::<(), portcullis_core::EntropyUnavailable>(())
/// ```
pub fn entropy<const N: usize>() -> Result<[u8; N], EntropyUnavailable> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| EntropyUnavailable)?;
    Ok(bytes)
}
