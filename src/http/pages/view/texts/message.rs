//! Texts of pages that only say something: errors, links that no longer work, what was done.

use super::{sentences, texts};

texts! {
    not_found_title => "There is no such page" / "Diese Seite gibt es nicht";
    not_found_why => "The address may be mistyped, or what it showed was deleted." /
        "Vielleicht ist die Adresse falsch geschrieben, oder das Gezeigte wurde gelöscht.";
    not_found_signed_out => "Go to the sign-in page" / "Zur Anmeldung";

    bad_request_title => "The server did not understand this request" / "Der Server hat die Anfrage nicht verstanden";
    bad_request_why => "Go back, load the page again, and fill in the form once more." /
        "Gehen Sie zurück, laden Sie die Seite neu, und füllen Sie das Formular noch einmal aus.";

    form_refused_title => "The form was not accepted" / "Das Formular wurde nicht angenommen";
    form_refused_why => "It was open for too long, or another website sent it. Nothing was changed." /
        "Es war zu lange offen, oder eine andere Website hat es gesendet. Es wurde nichts geändert.";
    form_refused_next => "Open the page again and repeat what you wanted to do. If that does not help, allow cookies for this address." /
        "Öffnen Sie die Seite noch einmal, und wiederholen Sie die Eingabe. Wenn das nicht hilft, erlauben Sie Cookies für diese Adresse.";
    open_page_again => "Open the page again" / "Seite noch einmal öffnen";

    forbidden_title => "This page is for administrators" / "Diese Seite ist nur für die Verwaltung";
    forbidden_why => "Your account may not administer this server." / "Ihr Konto darf diesen Server nicht verwalten.";

    too_many_title => "Too many attempts" / "Zu viele Versuche";
    too_many_why(wait: &str) => "To protect the accounts here, further attempts have to wait. Try again in {wait}." /
        "Zum Schutz der Konten müssen weitere Versuche warten. Versuchen Sie es in {wait} wieder.";
    too_many_reset => "A new password ends the wait at once." / "Ein neues Passwort beendet die Wartezeit sofort.";

    app_refused_title => "The app could not sign you in" / "Die App konnte Sie nicht anmelden";
    app_unknown_why => "An app sent you here that this server does not know. Nothing was sent back to it." /
        "Eine App hat Sie hierher geschickt, die dieser Server nicht kennt. An sie wurde nichts gesendet.";
    app_unknown_next => "The person who runs the app can register it with “authd client add”, or correct the client ID in its settings." /
        "Wer die App betreibt, kann sie mit „authd client add“ eintragen oder die Client-ID in ihren Einstellungen berichtigen.";
    app_address_why => "The app wants to send you on to an address that is not registered for it. So nothing was sent there." /
        "Die App möchte Sie zu einer Adresse weiterleiten, die nicht für sie eingetragen ist. Dorthin wurde nichts gesendet.";
    app_address_next => "The person who runs the app can register its exact redirect address: every character counts, also the slash at the end." /
        "Wer die App betreibt, kann ihre genaue Weiterleitungsadresse eintragen: jedes Zeichen zählt, auch der Schrägstrich am Ende.";
    app_forbidden_title => "You may not use this app" / "Sie dürfen diese App nicht benutzen";
    app_forbidden_why(app: &str) => "{app} is for the members of certain groups, and your account is in none of them." /
        "{app} ist den Mitgliedern bestimmter Gruppen vorbehalten, und Ihr Konto ist in keiner davon.";
    app_forbidden_next => "Ask the person who runs this server if you need it." /
        "Fragen Sie die Person, die diesen Server betreibt, wenn Sie sie brauchen.";

    server_error_title => "Something went wrong on the server" / "Auf dem Server ist ein Fehler aufgetreten";
    server_error_why => "This is not your fault. Try again, and tell the operator of this server if it happens again." /
        "Das liegt nicht an Ihnen. Versuchen Sie es noch einmal, und melden Sie es der Verwaltung des Servers, wenn es wieder geschieht.";
    request_id => "Request id" / "Kennung der Anfrage";
    unavailable_title => "The server is busy" / "Der Server ist ausgelastet";
    unavailable_why(wait: &str) => "Nothing was changed. Try again in {wait}." /
        "Es wurde nichts geändert. Versuchen Sie es in {wait} wieder.";

    link_dead_title => "This link no longer works" / "Dieser Link gilt nicht mehr";
    link_dead_why => "It was used already, a newer link replaced it, or its time is over." /
        "Er wurde schon verwendet, ein neuerer hat ihn ersetzt, oder seine Zeit ist abgelaufen.";
    link_dead_reset => "Request a new link to choose a password." / "Fordern Sie einen neuen Link an, um ein Passwort zu wählen.";
    link_dead_reset_button => "Request a new link" / "Neuen Link anfordern";
    link_dead_verify => "Sign in and have the confirmation sent again." /
        "Melden Sie sich an, und lassen Sie die Bestätigung noch einmal senden.";
    link_dead_registration => "Register again with the same address." / "Registrieren Sie sich mit derselben Adresse noch einmal.";
    link_dead_invitation => "Ask the person who invited you for a new invitation." /
        "Bitten Sie die Person, die Sie eingeladen hat, um eine neue Einladung.";
    link_dead_setup => "The operator can print a new link with this command:" /
        "Die Person, die den Server betreibt, erhält einen neuen Link mit diesem Befehl:";

    already_set_up_title => "This server is set up" / "Dieser Server ist eingerichtet";
    already_set_up_why => "There is an administrator already. Sign in to go on." /
        "Es gibt schon ein Verwaltungskonto. Melden Sie sich an, um fortzufahren.";

    signed_out_title => "You are signed out" / "Sie sind abgemeldet";
    signed_out_why => "Close the browser if other people use this device." /
        "Schließen Sie den Browser, wenn andere Menschen dieses Gerät benutzen.";
    sign_in_again => "Sign in again" / "Wieder anmelden";

    account_deleted_title => "Your account was deleted" / "Ihr Konto wurde gelöscht";
    account_deleted_why => "A last message about it goes to your e-mail address, if this server sends mail." /
        "Eine letzte Nachricht darüber geht an Ihre E-Mail-Adresse, wenn dieser Server E-Mails versendet.";

    closed_title => "Registration is closed" / "Die Registrierung ist geschlossen";
    closed_why => "Accounts on this server are created by its operator. Ask them for one." /
        "Konten legt hier die Verwaltung des Servers an. Bitten Sie dort um eines.";
    invitation_needed_title => "You need an invitation" / "Sie brauchen eine Einladung";
    invitation_needed_why => "Accounts on this server are created by invitation. Ask the operator for a link." /
        "Konten gibt es hier nur mit Einladung. Bitten Sie die Verwaltung des Servers um einen Link.";

    no_mail_title => "Ask the operator for a link" / "Bitten Sie die Verwaltung um einen Link";
    no_mail_why => "This server sends no mail. Its operator can give you a link to choose a new password." /
        "Dieser Server versendet keine E-Mails. Seine Verwaltung kann Ihnen einen Link geben, über den Sie ein neues Passwort wählen.";
    no_mail_command => "The operator gets it in the administration, or with this command:" /
        "Die Verwaltung erhält ihn auf ihren Seiten oder mit diesem Befehl:";
}

sentences! {
    forbidden_signed_in(email) => "You are signed in as {email}. Sign out to use another account." /
        "Sie sind als {email} angemeldet. Melden Sie sich ab, um ein anderes Konto zu verwenden.";
}
