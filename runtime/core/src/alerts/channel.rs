//! Channels: where notifications are sent, and as what.

use crate::ids::{DeploymentName, SecretName};

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailTls {
    /// By TLS from the first byte on.
    Implicit,
    /// By TLS after a greeting in clear text. A server without TLS gets nothing.
    StartTls,
    /// Not at all. Only for a server on this machine.
    None,
}

impl EmailTls {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Implicit, Self::StartTls, Self::None];

    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::StartTls => "starttls",
            Self::None => "none",
        }
    }

    /// Returns the port that mail servers have for it.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Implicit => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// How e-mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailSpec {
    /// The host name of the mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: EmailTls,
    /// The address of the sender.
    pub from: String,
    /// The addresses of the receivers.
    pub to: Vec<String>,
    /// The name and the secret with which the host logs in, if the server requires them.
    pub login: Option<(String, SecretName)>,
}

/// Where notifications are sent. Secrets are named, and never in the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelSpec {
    /// An incoming webhook of Slack or of a compatible service. Its URL is a secret as a whole.
    Slack {
        /// The secret with the URL.
        url_secret: SecretName,
    },
    /// A webhook that is signed as Standard Webhooks prescribe.
    Webhook {
        /// The URL.
        url: String,
        /// The secret with the key, `whsec_` and base64.
        secret: SecretName,
    },
    /// E-mail.
    Email(EmailSpec),
    /// A run of a deployment, with the alert as its input.
    Workflow {
        /// The deployment.
        deployment: DeploymentName,
    },
}

impl ChannelSpec {
    /// The names of the kinds.
    pub const KINDS: [&str; 4] = ["slack", "webhook", "email", "workflow"];

    /// Its kind in the configuration and in the API.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
            Self::Email(_) => "email",
            Self::Workflow { .. } => "workflow",
        }
    }

    /// Describes where it leads, without a secret.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Slack { url_secret } => format!("the URL in secret {url_secret}"),
            Self::Webhook { url, .. } => url.clone(),
            Self::Email(email) => email.to.join(", "),
            Self::Workflow { deployment } => deployment.to_string(),
        }
    }
}
