use super::*;

const ALICE: &str = include_str!("../../tests/keys/alice.pkcs8.pem");
const ALICE_TRADITIONAL: &str = include_str!("../../tests/keys/alice.traditional.pem");
const ALICE_SPKI: &str = include_str!("../../tests/keys/alice.spki.pem");
const ALICE_PKCS1: &str = include_str!("../../tests/keys/alice.pkcs1.pem");
const MALLORY: &str = include_str!("../../tests/keys/mallory.pkcs8.pem");
const BIG: &str = include_str!("../../tests/keys/big.pkcs8.pem");

fn private(pem: &str) -> Result<RsaPrivateKey, Error> {
    RsaPrivateKey::from_pem(Secret::from(pem.to_owned()))
}

/// A public key of any two numbers.
fn public(modulus: &[u8], exponent: &[u8]) -> Result<RsaPublicKey, Error> {
    let numbers = Numbers { modulus, exponent };
    RsaPublicKey::from_pem(&pem::write("PUBLIC KEY", &numbers.spki()))
}

/// An odd number of that many bits.
fn odd(bits: usize) -> Vec<u8> {
    let mut number = vec![0xa5; bits.div_ceil(8)];
    let top = bits.wrapping_sub(1) % 8;
    number[0] = 1 << top;
    number
}

#[test]
fn every_form_of_a_key_is_one_key() {
    let spki = RsaPublicKey::from_pem(ALICE_SPKI).unwrap();
    let others = [
        RsaPublicKey::from_pem(ALICE_PKCS1).unwrap(),
        private(ALICE).unwrap().public(),
        private(ALICE_TRADITIONAL).unwrap().public(),
        RsaPublicKey::from_pem(&spki.to_spki_pem()).unwrap(),
    ];
    for other in others {
        assert_eq!(other, spki);
        assert_eq!(other.fingerprint(), spki.fingerprint());
        assert_eq!(other.to_spki_pem(), ALICE_SPKI);
    }
    // openssl pkey -pubin -in alice.spki.pem -outform DER | openssl dgst -sha256 -binary | basenc --base64url
    assert_eq!(spki.fingerprint(), FINGERPRINT);
    assert_ne!(private(MALLORY).unwrap().public(), spki);
}

#[test]
fn a_signature_is_checked_by_its_own_public_half_alone() {
    for pem in [ALICE, BIG] {
        let key = private(pem).unwrap();
        let signature = BASE64URL_NOPAD.encode(&key.sign(b"message").unwrap());
        assert_eq!(key.public().check(b"message", &signature), Ok(()));
        for (key, message) in [(&key, b"massage"), (&private(MALLORY).unwrap(), b"message")] {
            let answer = key.public().check(message, &signature);
            assert_eq!(answer, Err(Error::Signature));
        }
    }
}

#[test]
fn refuses_a_modulus_that_is_short_long_or_even() {
    for bits in [1024, 2040, 2047, 4097, 4104, 8192, 16_384] {
        let made = public(&odd(bits), &[1, 0, 1]);
        assert!(matches!(made, Err(Error::Key(_))), "{bits}");
    }
    for bits in [2048, 2049, 3072, 4096] {
        assert_eq!(public(&odd(bits), &[1, 0, 1]).unwrap().bits(), bits);
    }
    let mut even = odd(2048);
    even[255] &= 0xfe;
    assert_eq!(
        public(&even, &[1, 0, 1]),
        Err(Error::Key("the modulus is even"))
    );
}

#[test]
fn refuses_an_exponent_that_is_small_even_or_endless() {
    for bad in [
        [1].as_slice(),
        &[3],
        &[17],
        &[0xff, 0xff],
        &[1, 0, 0],
        &[1, 0, 2],
        &[2, 0, 0, 0, 1],
        &[1, 0, 0, 0, 0],
        &[0xff; 9],
        &[0xa5; 256],
    ] {
        assert_eq!(
            public(&odd(2048), bad),
            Err(Error::Key("the exponent is not odd and 65537 to 2^33")),
            "{bad:02x?}"
        );
    }
    for good in [
        [1, 0, 1].as_slice(),
        &[1, 0, 3],
        &[1, 0, 0, 0, 1],
        &[1, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert!(public(&odd(2048), good).is_ok(), "{good:02x?}");
    }
}

#[test]
fn refuses_a_private_key_where_a_public_one_belongs_and_the_reverse() {
    for pem in [ALICE, ALICE_TRADITIONAL] {
        let Err(Error::Key(why)) = RsaPublicKey::from_pem(pem) else {
            panic!("a private key was registered");
        };
        assert!(why.starts_with("that is a private key"), "{why}");
    }
    for pem in [ALICE_SPKI, ALICE_PKCS1] {
        let Err(Error::Key(why)) = private(pem) else {
            panic!("a public key signs");
        };
        assert!(why.starts_with("that is a public key"), "{why}");
    }
}

#[test]
fn refuses_keys_under_another_label_than_their_own() {
    for (from, to) in [
        ("PUBLIC KEY", "RSA PUBLIC KEY"),
        ("PUBLIC KEY", "CERTIFICATE"),
        ("PUBLIC KEY", "EC PUBLIC KEY"),
        ("PUBLIC KEY", "PRIVATE KEY"),
        ("PUBLIC KEY", ""),
    ] {
        let pem = ALICE_SPKI.replace(from, to);
        assert!(
            matches!(RsaPublicKey::from_pem(&pem), Err(Error::Key(_))),
            "{to}"
        );
        assert!(matches!(private(&pem), Err(Error::Key(_))), "{to}");
    }
    let pem = ALICE_PKCS1.replace("RSA PUBLIC KEY", "PUBLIC KEY");
    assert!(matches!(RsaPublicKey::from_pem(&pem), Err(Error::Key(_))));
    for (from, to) in [
        ("PRIVATE KEY", "RSA PRIVATE KEY"),
        ("PRIVATE KEY", "EC PRIVATE KEY"),
        ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        ("PRIVATE KEY", "OPENSSH PRIVATE KEY"),
    ] {
        let pem = ALICE.replace(from, to);
        assert!(matches!(private(&pem), Err(Error::Key(_))), "{to}");
    }
}

#[test]
fn refuses_a_key_of_another_algorithm() {
    // openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout
    let curve = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEN9y2PXMxbw1jS/zmepA+qUvJ8Pl2\n\
        /BrdTDv3uPgGRl8fIJsGIbDiYSqoyQrIar6ga5Mmsp51MfTfqD4OspLJCw==\n\
        -----END PUBLIC KEY-----\n";
    assert_eq!(
        RsaPublicKey::from_pem(curve),
        Err(Error::Key("the key is not an RSA key"))
    );
}

#[test]
fn refuses_a_private_key_with_bytes_changed_cut_or_added() {
    let der = Block::read(ALICE_TRADITIONAL).unwrap().decode().unwrap();
    let der = der.expose();
    assert!(private(&pem::write("RSA PRIVATE KEY", der)).is_ok());
    let refused = |der: &[u8]| {
        let made = private(&pem::write("RSA PRIVATE KEY", der));
        assert!(matches!(made, Err(Error::Key(_))));
    };
    refused(&der[..der.len() - 1]);
    refused(&[der, &[0]].concat());
    // One byte in the modulus, the private exponent and the first prime.
    for at in [100, 400, 700] {
        let mut changed = der.to_vec();
        changed[at] ^= 4;
        refused(&changed);
    }
}

#[test]
fn debug_shows_fingerprints_and_nothing_of_a_private_key() {
    let key = private(ALICE).unwrap();
    let text = format!("{key:?}");
    let public = format!("RsaPublicKey {{ bits: 2048, fingerprint: {FINGERPRINT:?} }}");
    assert_eq!(text, format!("RsaPrivateKey {{ public: {public}, .. }}"));
}

/// Where both backends are built, each reads what the other signs and refuses what the other refuses.
#[cfg(all(feature = "aws-lc", feature = "rust-crypto"))]
#[test]
fn both_backends_agree_on_signatures_and_on_forgeries() {
    for pem in [ALICE_TRADITIONAL, BIG] {
        let key = private(pem).unwrap();
        let block = Block::read(pem).unwrap();
        let der = block.decode().unwrap();
        let pkcs1 = match block.label {
            "PRIVATE KEY" => der::private_pkcs1_of_pkcs8(der.expose()).unwrap(),
            _ => der.expose(),
        };
        let public = Numbers::of_private_pkcs1(pkcs1).unwrap().pkcs1();
        let one = aws_lc::Verifying::new(&public).unwrap();
        let other = rust_crypto::Verifying::new(&public).unwrap();
        let length = key.public().signature_bytes();
        let mut signature = rust_crypto::Signing::new(pkcs1)
            .unwrap()
            .sign(b"message", length)
            .unwrap();
        assert_eq!(signature, key.sign(b"message").unwrap());
        assert!(one.check(b"message", &signature) && other.check(b"message", &signature));
        for at in (0..length).step_by(7) {
            for bit in [1, 128] {
                signature[at] ^= bit;
                assert!(!one.check(b"message", &signature) && !other.check(b"message", &signature));
                signature[at] ^= bit;
            }
        }
        for bad in [&signature[1..], &[], &vec![0; length], &vec![0xff; length]] {
            assert!(!one.check(b"message", bad) && !other.check(b"message", bad));
        }
    }
}

const FINGERPRINT: &str = "J6IsXTjDTHsDC-soIENyRGxHQ_30einlNyAsizd8xCk";
