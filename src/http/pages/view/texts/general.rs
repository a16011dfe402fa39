//! Texts of the frame around every page, and words that many pages use.

use super::{counted, sentences, texts};

texts! {
    error_title(title: &str) => "Error: {title}" / "Fehler: {title}";
    skip_to_content => "Skip to the content" / "Zum Inhalt springen";
    main_navigation => "Main" / "Hauptbereiche";
    admin_navigation => "Administration" / "Verwaltung";

    account => "Account" / "Konto";
    sessions => "Sessions" / "Sitzungen";
    activity => "Activity" / "Aktivität";
    administration => "Administration" / "Verwaltung";
    sign_out => "Sign out" / "Abmelden";
    sign_in => "Sign in" / "Anmelden";

    back => "Back" / "Zurück";
    cancel => "Cancel" / "Abbrechen";
    save => "Save" / "Speichern";
    change => "Change" / "Ändern";
    create => "Create" / "Anlegen";
    copy => "Copy" / "Kopieren";
    copied => "Copied" / "Kopiert";
    show_password => "Show password" / "Passwort anzeigen";
    hide_password => "Hide password" / "Passwort verbergen";
    optional => "optional" / "freiwillig";
    older => "Older" / "Ältere";
    next_page => "Next" / "Weiter";
    first_page => "Back to the start" / "Zum Anfang";

    email => "E-mail address" / "E-Mail-Adresse";
    username => "Username" / "Benutzername";
    name => "Name" / "Name";
    password => "Password" / "Passwort";
    groups => "Groups" / "Gruppen";
    created => "Created" / "Angelegt";
    expires => "Expires" / "Läuft ab";
    id => "Id" / "ID";

    unknown_program => "Unknown program" / "Unbekanntes Programm";
    program_on(program: &str, system: &str) => "{program} on {system}" / "{program} unter {system}";
    unknown_program_on(system: &str) => "Unknown program on {system}" / "Unbekanntes Programm unter {system}";
}

counted! {
    errors_title => "There is a problem" | "There are {n} problems" / "Es gibt ein Problem" | "Es gibt {n} Probleme";
    member_count => "1 member" | "{n} members" / "1 Mitglied" | "{n} Mitglieder";
    ends_sessions => "This ends one session." | "This ends {n} sessions." / "Das beendet eine Sitzung." | "Das beendet {n} Sitzungen.";
}

sentences! {
    signed_in_as(email) => "Signed in as {email}" / "Angemeldet als {email}";
}
