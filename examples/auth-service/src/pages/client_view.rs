//! The pages about client applications as values.

use askama::Template;

use super::view::{Frame, Here, Moment};

/// A field of a form, as it was typed, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Field {
    pub(crate) value: String,
    pub(crate) fault: Option<String>,
}

impl Field {
    /// What was typed, and whatever `check` finds wrong with it.
    pub(crate) fn checked<'text, T, E: ToString>(
        value: &'text str,
        check: impl FnOnce(&'text str) -> Result<T, E>,
    ) -> Self {
        Self {
            value: value.to_owned(),
            fault: check(value).err().map(|fault| fault.to_string()),
        }
    }

    pub(crate) const fn is_sound(&self) -> bool {
        self.fault.is_none()
    }
}

/// A word that stands out, and how much.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) class: &'static str,
    pub(crate) words: &'static str,
}

/// One of several, in a list to choose from.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) name: &'static str,
    pub(crate) words: &'static str,
    pub(crate) chosen: bool,
}

#[derive(Template)]
#[template(path = "clients.html")]
pub(crate) struct ClientsPage {
    pub(crate) frame: Frame,
    pub(crate) notice: Option<&'static str>,
    pub(crate) alert: Option<String>,
    /// Whether a change would ask for a fresh code first.
    pub(crate) code_due: bool,
    pub(crate) next: String,
    pub(crate) clients: Vec<ClientRow>,
    /// Clients whose keys were not looked at.
    pub(crate) more: Vec<String>,
    pub(crate) name: Field,
    pub(crate) tiers: Vec<Choice>,
    pub(crate) networks: Field,
    /// The reader's own address.
    pub(crate) example: String,
}

#[derive(Debug)]
pub(crate) struct ClientRow {
    pub(crate) id: String,
    pub(crate) tier: &'static str,
    pub(crate) state: Tag,
    pub(crate) networks: String,
    /// How many of its keys count.
    pub(crate) counting: usize,
    pub(crate) warnings: Vec<Tag>,
}

#[derive(Template)]
#[template(path = "client.html")]
pub(crate) struct ClientPage {
    pub(crate) frame: Frame,
    pub(crate) notice: Option<&'static str>,
    pub(crate) alert: Option<String>,
    pub(crate) code_due: bool,
    pub(crate) next: String,
    pub(crate) id: String,
    pub(crate) enabled: bool,
    pub(crate) state: Tag,
    pub(crate) registered: Moment,
    pub(crate) keys: Vec<KeyRow>,
    pub(crate) new: NewKeyForms,
    pub(crate) networks: Field,
    pub(crate) tiers: Vec<Choice>,
    pub(crate) unused: Field,
    pub(crate) example: String,
}

/// A key, and what can be done to it.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    /// As it is read.
    pub(crate) id: String,
    /// As it stands in an address.
    pub(crate) path: String,
    pub(crate) kind: &'static str,
    pub(crate) label: String,
    pub(crate) detail: String,
    pub(crate) age: String,
    pub(crate) ends: Moment,
    pub(crate) used: Used,
    pub(crate) state: Tag,
    /// Until when the secret before the present one counts.
    pub(crate) previous: Option<Moment>,
    pub(crate) revoked: Option<Moment>,
    /// Whether it counts no more, and may be taken off the list.
    pub(crate) over: bool,
}

/// What is known of a key's last use.
#[derive(Clone, Debug)]
pub(crate) enum Used {
    Never,
    At(Moment),
    /// Of these kinds it is not kept.
    NotKept,
}

/// The three forms that make a key.
#[derive(Debug, Default)]
pub(crate) struct NewKeyForms {
    /// Good for one sending.
    pub(crate) once: String,
    pub(crate) api_label: Field,
    pub(crate) scopes: Field,
    pub(crate) signing_label: Field,
    pub(crate) forms: Vec<Choice>,
    pub(crate) public_label: Field,
    pub(crate) issuer: Field,
    pub(crate) pem: Field,
}

/// A question before what cannot be taken back.
#[derive(Template)]
#[template(path = "key_ask.html")]
pub(crate) struct AskPage {
    pub(crate) frame: Frame,
    pub(crate) notice: Option<&'static str>,
    pub(crate) alert: Option<String>,
    pub(crate) client: String,
    pub(crate) title: &'static str,
    pub(crate) text: String,
    /// The keys it is about.
    pub(crate) keys: Vec<KeyRow>,
    /// Where the answer goes.
    pub(crate) action: String,
    /// What the button says; none where there is nothing to do.
    pub(crate) button: Option<&'static str>,
    pub(crate) danger: bool,
    pub(crate) once: Option<String>,
    pub(crate) days: Option<u32>,
    pub(crate) pem: Option<Field>,
}

/// A secret, shown once.
#[derive(Template)]
#[template(path = "key_secret.html")]
pub(crate) struct SecretPage<'a> {
    pub(crate) frame: Frame,
    pub(crate) client: String,
    pub(crate) title: &'static str,
    pub(crate) notice: Option<String>,
    pub(crate) secret: &'a str,
    pub(crate) label: String,
    /// What a request names the secret by, where it does.
    pub(crate) key_id: Option<String>,
    /// Its name in an environment.
    pub(crate) variable: String,
    pub(crate) how: &'static str,
}
