//! Texts of the account pages, of sessions and of notices.

use super::{counted, sentences, texts};

texts! {
    account_title => "Your account" / "Ihr Konto";
    profile => "Profile" / "Profil";
    sign_in_data => "Sign-in" / "Anmeldung";
    not_set => "Not set" / "Nicht angegeben";
    confirmed => "confirmed" / "bestätigt";
    not_confirmed => "not confirmed" / "nicht bestätigt";
    send_confirmation => "Send the confirmation again" / "Bestätigung noch einmal senden";
    password_set => "Set" / "Gesetzt";
    account_groups_none => "You are in no group." / "Sie sind in keiner Gruppe.";
    member_since => "Account since" / "Konto seit";
    delete_account => "Delete your account" / "Konto löschen";
    delete_account_row => "Your account and all its data are deleted for good." /
        "Ihr Konto und alle seine Daten werden endgültig gelöscht.";

    pending_title => "Your new e-mail address waits for confirmation" / "Ihre neue E-Mail-Adresse wartet auf Bestätigung";
    pending_why => "To protect your account, the links in both messages have to be confirmed." /
        "Zum Schutz Ihres Kontos müssen die Links in beiden Nachrichten bestätigt werden.";
    pending_waiting => "waiting" / "ausstehend";
    pending_withdraw => "Cancel the change" / "Änderung verwerfen";

    profile_title => "Change your profile" / "Profil ändern";
    name_hint => "Apps that you sign in to may show it." / "Apps, bei denen Sie sich anmelden, können ihn anzeigen.";
    email_title => "Change your e-mail address" / "E-Mail-Adresse ändern";
    new_email => "New e-mail address" / "Neue E-Mail-Adresse";
    email_change_why => "Two messages are sent, one to your present address and one to the new one. The address changes when you have confirmed both." /
        "Es werden zwei Nachrichten gesendet: eine an die bisherige und eine an die neue Adresse. Die Adresse ändert sich, wenn Sie beide bestätigt haben.";
    email_change_without_mail => "This server sends no mail. An administrator has to give you the two links that confirm the change." /
        "Dieser Server versendet keine E-Mails. Die Verwaltung muss Ihnen die beiden Links geben, die die Änderung bestätigen.";
    email_change_button => "Request the change" / "Änderung anfordern";
    password_title => "Change your password" / "Passwort ändern";
    current_password => "Current password" / "Bisheriges Passwort";
    password_change_ends => "All other devices will be signed out. This one stays signed in." /
        "Alle anderen Geräte werden abgemeldet. Dieses bleibt angemeldet.";
    password_button => "Change the password" / "Passwort ändern";

    delete_title => "Delete your account" / "Konto löschen";
    delete_data => "Your profile, your groups and your activity are deleted at once." /
        "Ihr Profil, Ihre Gruppen und Ihre Aktivität werden sofort gelöscht.";
    delete_apps => "Apps in which you used this account no longer know you. Data that they keep is not deleted." /
        "Apps, in denen Sie dieses Konto verwendet haben, kennen Sie nicht mehr. Daten, die dort liegen, werden nicht gelöscht.";
    delete_for_good => "This cannot be undone." / "Das lässt sich nicht rückgängig machen.";
    delete_last_admin => "You are the only administrator of this server. Make another account an administrator first." /
        "Sie verwalten diesen Server allein. Machen Sie zuerst ein weiteres Konto zum Verwaltungskonto.";
    type_email => "Type the e-mail address to confirm" / "Zur Bestätigung die E-Mail-Adresse eingeben";
    delete_button => "Delete the account" / "Konto löschen";
}

counted! {
    delete_sessions => "One device is signed out." | "{n} devices are signed out." /
        "Ein Gerät wird abgemeldet." | "{n} Geräte werden abgemeldet.";
}

sentences! {
    present_address(email) => "Your present address is {email}." / "Ihre bisherige Adresse ist {email}.";
    password_changed_on(date) => "Changed {date}" / "Geändert {date}";
}

// Sessions.
texts! {
    sessions_title => "Where you are signed in" / "Wo Sie angemeldet sind";
    sessions_intro => "Sign out of every device that you do not recognise, and then change your password." /
        "Melden Sie jedes Gerät ab, das Sie nicht kennen, und ändern Sie danach Ihr Passwort.";
    this_device => "This device" / "Dieses Gerät";
    kind_browser => "Browser" / "Browser";
    kind_app => "App" / "App";
    last_used => "Last used" / "Zuletzt verwendet";
    signed_in_since => "Signed in" / "Angemeldet";
    address => "Address" / "Adresse";
    device => "Device" / "Gerät";
    user_agent => "What the device says about itself" / "Wie sich das Gerät meldet";
    kind => "Kind" / "Art";
    ends_at_latest => "Ends at the latest" / "Endet spätestens";
    sign_out_device => "Sign out" / "Abmelden";
    only_this_device => "No other device is signed in." / "Kein anderes Gerät ist angemeldet.";
    session_name => "Your name for this device" / "Ihr Name für dieses Gerät";
    session_name_hint => "Such as “Work laptop”. Leave it empty to show its program and system." /
        "Zum Beispiel „Arbeitsrechner“. Bleibt das Feld leer, stehen dort Programm und System.";
    end_others => "Sign out all other devices" / "Alle anderen Geräte abmelden";
    end_others_keeps => "This device stays signed in." / "Dieses Gerät bleibt angemeldet.";
    end_others_apps => "Apps on those devices ask for your password the next time." /
        "Apps auf diesen Geräten fragen beim nächsten Mal nach Ihrem Passwort.";
    end_others_unknown => "If one of them is not yours, change your password as well." /
        "Wenn eines davon nicht Ihres ist, ändern Sie auch Ihr Passwort.";
}

// Notices after something was done.
texts! {
    notice_signed_out => "You are signed out." / "Sie sind abgemeldet.";
    notice_signed_in => "You are signed in." / "Sie sind angemeldet.";
    notice_profile_saved => "Your profile was saved." / "Ihr Profil wurde gespeichert.";
    notice_email_requested => "Two messages are on their way. Confirm both to change your address." /
        "Zwei Nachrichten sind unterwegs. Bestätigen Sie beide, um die Adresse zu ändern.";
    notice_email_withdrawn => "The change of your e-mail address was cancelled." / "Die Änderung der E-Mail-Adresse wurde verworfen.";
    notice_confirmation_sent => "A message with a link is on its way." / "Eine Nachricht mit einem Link ist unterwegs.";
    notice_password_changed => "Your password was changed. All other devices were signed out." /
        "Ihr Passwort wurde geändert. Alle anderen Geräte wurden abgemeldet.";
    notice_session_named => "The name of the device was saved." / "Der Name des Geräts wurde gespeichert.";
    notice_app_ended => "The app has no access any more." / "Die App hat keinen Zugang mehr.";
    notice_session_ended => "The device was signed out." / "Das Gerät wurde abgemeldet.";
    notice_session_gone => "This device was signed out already." / "Dieses Gerät war schon abgemeldet.";
    notice_sessions_ended => "All other devices were signed out." / "Alle anderen Geräte wurden abgemeldet.";
    notice_account_deleted => "Your account was deleted." / "Ihr Konto wurde gelöscht.";
    notice_account_created => "The account was created." / "Das Konto wurde angelegt.";
    notice_account_disabled => "The account was disabled, and its sessions were ended." /
        "Das Konto wurde gesperrt, und seine Sitzungen wurden beendet.";
    notice_account_enabled => "The account was enabled." / "Das Konto wurde freigegeben.";
    notice_account_unlocked => "The account was unlocked. Its owner can sign in at once." /
        "Die Anmeldesperre ist aufgehoben. Die Person kann sich sofort anmelden.";
    notice_other_account_deleted => "The account was deleted." / "Das Konto wurde gelöscht.";
    notice_account_sessions_ended => "The sessions of the account were ended." / "Die Sitzungen des Kontos wurden beendet.";
    notice_link_mailed => "A message with a link is on its way to the account owner." /
        "Eine Nachricht mit einem Link an die Person ist unterwegs.";
    notice_invitation_mailed => "The invitation is on its way." / "Die Einladung ist unterwegs.";
    notice_invitation_withdrawn => "The invitation was withdrawn." / "Die Einladung wurde zurückgezogen.";
    notice_group_created => "The group was created." / "Die Gruppe wurde angelegt.";
    notice_group_deleted => "The group was deleted." / "Die Gruppe wurde gelöscht.";
    notice_member_added => "The account is now in the group." / "Das Konto ist jetzt in der Gruppe.";
    notice_member_removed => "The account is no longer in the group." / "Das Konto ist nicht mehr in der Gruppe.";
    notice_key_rotated => "A new key was created. It signs as soon as apps had the time to fetch it." /
        "Ein neuer Schlüssel wurde angelegt. Er signiert, sobald Apps ihn laden konnten.";
    notice_message_due => "The message is sent again now." / "Die Nachricht wird jetzt noch einmal gesendet.";
    notice_message_deleted => "The message was deleted." / "Die Nachricht wurde gelöscht.";
    notice_message_gone => "This message no longer waits: it was sent or deleted." /
        "Diese Nachricht wartet nicht mehr: sie wurde gesendet oder gelöscht.";
    notice_invitation_gone => "This invitation no longer works: it was used, withdrawn or has expired." /
        "Diese Einladung gilt nicht mehr: sie wurde verwendet, zurückgezogen oder ist abgelaufen.";
    notice_account_gone => "This account was deleted." / "Dieses Konto wurde gelöscht.";
    notice_names_changed => "The names were saved." / "Die Namen wurden gespeichert.";
    notice_administrator_promoted => "The account is an administrator now." / "Das Konto ist jetzt ein Verwaltungskonto.";
    notice_administrator_demoted => "The account is no longer an administrator." / "Das Konto ist kein Verwaltungskonto mehr.";
}
