//! The kinds of event. Their names are stable: programs filter by them.

/// Defines the kinds and their names in one place.
macro_rules! kinds {
    ($($kind:ident = $name:literal,)*) => {
        /// A kind of event.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(in crate::service) enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }

            /// Whether there is a kind of this name.
            pub fn is_known(name: &str) -> bool {
                EVENT_KINDS.contains(&name)
            }
        }

        /// The stable names of all kinds of event.
        pub const EVENT_KINDS: &[&str] = &[$($name,)*];
    };
}

kinds! {
    AccountCreated = "account_created",
    AccountChanged = "account_changed",
    AccountDisabled = "account_disabled",
    AccountEnabled = "account_enabled",
    AccountUnlocked = "account_unlocked",
    AccountDeleted = "account_deleted",
    AdministratorPromoted = "administrator_promoted",
    AdministratorDemoted = "administrator_demoted",
    GroupCreated = "group_created",
    GroupGranted = "group_granted",
    GroupRevoked = "group_revoked",
    GroupDeleted = "group_deleted",
    InvitationCreated = "invitation_created",
    InvitationUsed = "invitation_used",
    InvitationWithdrawn = "invitation_withdrawn",
    PasswordChanged = "password_changed",
    PasswordResetRequested = "password_reset_requested",
    EmailVerificationRequested = "email_verification_requested",
    EmailVerified = "email_verified",
    EmailChangeRequested = "email_change_requested",
    EmailChanged = "email_changed",
    MailFailed = "mail_failed",
    MailLimited = "mail_limited",
    MailRetried = "mail_retried",
    MailDeleted = "mail_deleted",
    SignIn = "sign_in",
    SignInFailed = "sign_in_failed",
    SignInThrottled = "sign_in_throttled",
    SignInIncomplete = "sign_in_incomplete",
    SessionEnded = "session_ended",
    SessionsEnded = "sessions_ended",
    RefreshRefused = "refresh_refused",
    RefreshReplayedElsewhere = "refresh_replayed_elsewhere",
    RefreshTokenReused = "refresh_token_reused",
    FileRolledBack = "file_rolled_back",
    ClientCreated = "client_created",
    ClientChanged = "client_changed",
    ClientSecretRotated = "client_secret_rotated",
    ClientDeleted = "client_deleted",
    AppAllowed = "app_allowed",
    AppSignIn = "app_sign_in",
    DeviceAllowed = "device_allowed",
    AppAccessEnded = "app_access_ended",
    AuthorizationCodeReused = "authorization_code_reused",
    SigningKeyRotated = "signing_key_rotated",
    DatabaseRestored = "database_restored",
}
