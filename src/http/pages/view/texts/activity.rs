//! Texts of events, and of a theft that was detected.

use super::{counted, sentences, texts};

texts! {
    activity_title => "What happened to your account" / "Was mit Ihrem Konto geschehen ist";
    activity_intro => "If you do not recognise something, change your password." /
        "Wenn Sie etwas nicht wiedererkennen, ändern Sie Ihr Passwort.";
    activity_empty_title => "Nothing yet" / "Noch nichts";
    activity_empty => "Sign-ins and changes of your account will be listed here." /
        "Anmeldungen und Änderungen Ihres Kontos stehen hier.";
    activity_end => "This is the earliest event that is kept." / "Das ist das älteste Ereignis, das aufbewahrt wird.";
    by_operator => "by the operator of this server" / "durch den Betreiber dieses Servers";
    by_administrator => "by an administrator" / "durch die Verwaltung";

    event_account_created => "The account was created" / "Das Konto wurde angelegt";
    event_account_changed => "The profile was changed" / "Das Profil wurde geändert";
    event_account_disabled => "The account was disabled" / "Das Konto wurde gesperrt";
    event_account_enabled => "The account was enabled" / "Das Konto wurde freigegeben";
    event_account_unlocked => "The wait after wrong passwords was lifted" / "Die Wartezeit nach falschen Passwörtern wurde aufgehoben";
    event_account_deleted => "An account was deleted" / "Ein Konto wurde gelöscht";
    event_administrator_promoted => "The account became an administrator" / "Das Konto wurde ein Verwaltungskonto";
    event_administrator_demoted => "The account is no longer an administrator" / "Das Konto ist kein Verwaltungskonto mehr";
    event_group_created => "A group was created" / "Eine Gruppe wurde angelegt";
    event_group_granted => "The account joined a group" / "Das Konto kam in eine Gruppe";
    event_group_revoked => "The account left a group" / "Das Konto verließ eine Gruppe";
    event_group_deleted => "A group was deleted" / "Eine Gruppe wurde gelöscht";
    event_invitation_created => "An invitation was created" / "Eine Einladung wurde angelegt";
    event_invitation_used => "An invitation was used" / "Eine Einladung wurde verwendet";
    event_invitation_withdrawn => "An invitation was withdrawn" / "Eine Einladung wurde zurückgezogen";
    event_password_changed => "The password was changed" / "Das Passwort wurde geändert";
    event_password_changed_by_link => "The password was changed with a link" / "Das Passwort wurde über einen Link geändert";
    event_password_reset_requested => "A link to choose a new password was requested" /
        "Ein Link für ein neues Passwort wurde angefordert";
    event_email_verification_requested => "A link to confirm the e-mail address was requested" /
        "Ein Link zur Bestätigung der E-Mail-Adresse wurde angefordert";
    event_email_verified => "The e-mail address was confirmed" / "Die E-Mail-Adresse wurde bestätigt";
    event_email_change_requested => "A change of the e-mail address was requested" /
        "Eine Änderung der E-Mail-Adresse wurde angefordert";
    event_email_changed => "The e-mail address was changed" / "Die E-Mail-Adresse wurde geändert";
    event_mail_failed => "A message could not be delivered" / "Eine Nachricht war nicht zustellbar";
    event_mail_limited => "Messages were held back: too many were requested" /
        "Nachrichten wurden zurückgehalten: zu viele wurden angefordert";
    event_mail_retried => "A message was sent again" / "Eine Nachricht wurde noch einmal gesendet";
    event_mail_deleted => "A message that waited was deleted" / "Eine wartende Nachricht wurde gelöscht";
    event_sign_in => "Sign-in" / "Anmeldung";
    event_sign_in_failed => "A sign-in failed: wrong password" / "Eine Anmeldung schlug fehl: falsches Passwort";
    event_sign_in_failed_other => "A sign-in failed" / "Eine Anmeldung schlug fehl";
    event_sign_in_throttled => "A sign-in was refused: too many wrong passwords" /
        "Eine Anmeldung wurde abgewiesen: zu viele falsche Passwörter";
    event_sign_in_incomplete => "A sign-in with the right password was not completed" /
        "Eine Anmeldung mit dem richtigen Passwort wurde nicht abgeschlossen";
    event_session_ended => "A device was signed out" / "Ein Gerät wurde abgemeldet";
    event_session_ended_by_limit => "The device that was unused longest was signed out: there were too many" /
        "Das am längsten unbenutzte Gerät wurde abgemeldet: es waren zu viele";
    event_refresh_refused => "An app was refused: its session had ended" /
        "Eine App wurde abgewiesen: ihre Sitzung war beendet";
    event_refresh_replayed_elsewhere => "Another device used the sign-in data of an app" /
        "Ein anderes Gerät hat die Anmeldedaten einer App verwendet";
    event_refresh_token_reused => "A theft was detected, and the device was signed out" /
        "Ein Diebstahl wurde erkannt, und das Gerät wurde abgemeldet";
    event_file_rolled_back => "An old copy of the database was put in place; a session was ended" /
        "Eine alte Kopie der Datenbank wurde eingespielt; eine Sitzung wurde beendet";
    event_client_created => "An app was registered" /
        "Eine App wurde eingetragen";
    event_client_changed => "The settings of an app were changed" /
        "Die Einstellungen einer App wurden geändert";
    event_client_secret_rotated => "An app got a new secret" /
        "Eine App erhielt ein neues Geheimnis";
    event_client_deleted => "An app was deleted" /
        "Eine App wurde gelöscht";
    event_app_allowed => "An app was allowed to use the account" /
        "Einer App wurde der Zugang zum Konto erlaubt";
    event_app_sign_in => "Sign-in to an app" /
        "Anmeldung bei einer App";
    event_device_allowed => "A device was signed in to an app" /
        "Ein Gerät wurde bei einer App angemeldet";
    event_app_access_ended => "The access of an app was ended" /
        "Der Zugang einer App wurde beendet";
    event_authorization_code_reused => "The sign-in to an app was copied; its access was ended" /
        "Die Anmeldung bei einer App wurde kopiert; ihr Zugang wurde beendet";
    event_signing_key_rotated => "A new signing key was created" / "Ein neuer Signaturschlüssel wurde angelegt";
    event_database_restored => "The database was restored from a backup" / "Die Datenbank wurde aus einer Sicherung wiederhergestellt";

    because_operator => "by an administrator" / "durch die Verwaltung";
    because_password => "because the password was changed" / "weil das Passwort geändert wurde";
    because_disabled => "because the account was disabled" / "weil das Konto gesperrt wurde";
    because_reuse => "because a theft was detected" / "weil ein Diebstahl erkannt wurde";
    because_restored => "because the database was restored" / "weil die Datenbank wiederhergestellt wurde";

    theft_title => "Someone else may have used your account" / "Möglicherweise hat jemand anders Ihr Konto verwendet";
    theft_copied => "Two devices used the same sign-in data. One of them holds a copy." /
        "Zwei Geräte haben dieselben Anmeldedaten verwendet. Eines davon besitzt eine Kopie.";
    theft_late => "A device used sign-in data that had been replaced. Either its network failed for a while, or another device holds a copy." /
        "Ein Gerät hat Anmeldedaten verwendet, die schon ersetzt waren. Entweder war sein Netz gestört, oder ein anderes Gerät besitzt eine Kopie.";
    theft_ended => "The session was ended at once. Neither device can use it any more." /
        "Die Sitzung wurde sofort beendet. Keines der Geräte kann sie weiter verwenden.";
    theft_first => "First use" / "Erste Verwendung";
    theft_second => "Second use" / "Zweite Verwendung";
    theft_do_now => "What to do now" / "Was jetzt zu tun ist";
    theft_step_recognise => "Do you recognise both devices and addresses? Then the network was probably the cause, and signing in again is enough." /
        "Kennen Sie beide Geräte und Adressen? Dann war wohl das Netz die Ursache, und es genügt, sich wieder anzumelden.";
    theft_step_password => "If not, change your password. That signs out all other devices." /
        "Wenn nicht, ändern Sie Ihr Passwort. Das meldet alle anderen Geräte ab.";
    theft_step_device => "Check the device that you use for unwanted programs and browser extensions." /
        "Prüfen Sie Ihr Gerät auf unerwünschte Programme und Browser-Erweiterungen.";
}

counted! {
    app_sessions => "signed in on one device" | "signed in on {n} devices" /
        "auf einem Gerät angemeldet" | "auf {n} Geräten angemeldet";
    event_sessions_ended => "A device was signed out" | "{n} devices were signed out" /
        "Ein Gerät wurde abgemeldet" | "{n} Geräte wurden abgemeldet";
}

sentences! {
    theft_device(name) => "It concerns the device {name}." / "Es betrifft das Gerät {name}.";
    theft_interval(span) => "{span} later" / "{span} später";
    event_app(app) => "App {app}" / "App {app}";
    event_by(email) => "By {email}" / "Durch {email}";
    event_group(group) => "Group {group}" / "Gruppe {group}";
    event_to(email) => "New address {email}" / "Neue Adresse {email}";
    event_from_to(old, new) => "From {old} to {new}" / "Von {old} zu {new}";
}
