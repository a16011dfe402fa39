//! Texts of the administration.

use super::{counted, sentences, texts};

texts! {
    overview => "Overview" / "Übersicht";
    accounts => "Accounts" / "Konten";
    invitations => "Invitations" / "Einladungen";
    events => "Events" / "Ereignisse";
    outbox => "Outgoing mail" / "Ausgehende Post";
    locked => "Locked accounts" / "Anmeldesperren";
    keys => "Signing keys" / "Signaturschlüssel";
    settings => "Settings" / "Einstellungen";

    about_accounts => "Find, create, disable and delete accounts" / "Konten suchen, anlegen, sperren und löschen";
    about_invitations => "Let people create their own account" / "Menschen ihr Konto selbst anlegen lassen";
    about_groups => "What apps may know about an account" / "Was Apps über ein Konto wissen dürfen";
    about_events => "Sign-ins, failures and changes" / "Anmeldungen, Fehlschläge und Änderungen";
    about_outbox => "Messages that wait, and why" / "Nachrichten, die warten, und warum";
    about_locked => "Too many wrong passwords" / "Zu viele falsche Passwörter";
    about_keys => "What signs the tokens of apps" / "Was die Tokens der Apps signiert";
    about_settings => "Values in force, and their source" / "Geltende Werte und ihre Herkunft";
    all_well => "Nothing needs your attention." / "Es gibt nichts zu tun.";
    needs_attention => "Needs your attention" / "Bitte ansehen";

    search_label => "E-mail address, username or name" / "E-Mail-Adresse, Benutzername oder Name";
    search => "Search" / "Suchen";
    new_account => "New account" / "Neues Konto";
    no_accounts_title => "No account yet" / "Noch kein Konto";
    no_accounts => "Create one, or invite people to create their own." / "Legen Sie eines an, oder laden Sie Menschen ein.";
    no_hits_title => "Nothing found" / "Nichts gefunden";
    no_hits => "Check the spelling, or search for the beginning of the address." /
        "Prüfen Sie die Schreibweise, oder suchen Sie nach dem Anfang der Adresse.";
    show_all => "Show all accounts" / "Alle Konten zeigen";
    search_cut => "The search stopped early. Type more of the address to see the rest." /
        "Die Suche hat vorzeitig aufgehört. Geben Sie mehr von der Adresse ein, um den Rest zu sehen.";
    is_admin => "Administrator" / "Verwaltung";
    is_disabled => "Disabled" / "Gesperrt";
    is_locked => "Locked" / "Anmeldesperre";
    is_unconfirmed => "Not confirmed" / "Nicht bestätigt";
    status => "Status" / "Status";
    active => "Active" / "Aktiv";
    every_status => "All" / "Alle";
    error_search_long => "Search for at most 254 characters." / "Suchen Sie nach höchstens 254 Zeichen.";

    last_sign_in => "Last sign-in" / "Letzte Anmeldung";
    never => "Never" / "Nie";
    password_none => "None yet" / "Noch keines";
    password_temporary => "Temporary, has to be changed" / "Vorläufig, muss geändert werden";
    pending_email => "New address, waiting" / "Neue Adresse, ausstehend";
    no_sessions => "No device is signed in." / "Kein Gerät ist angemeldet.";
    no_groups => "In no group." / "In keiner Gruppe.";
    add_to_group => "Add to a group" / "In eine Gruppe aufnehmen";
    add => "Add" / "Aufnehmen";
    remove => "Remove" / "Entfernen";
    events_of_account => "Events of this account" / "Ereignisse dieses Kontos";
    actions => "Actions" / "Aktionen";
    disable => "Disable" / "Sperren";
    enable => "Enable" / "Freigeben";
    delete => "Delete" / "Löschen";
    unlock => "Unlock" / "Sperre aufheben";
    end_sessions => "End all sessions" / "Alle Sitzungen beenden";
    end_session => "End" / "Beenden";
    reset_link => "Reset link" / "Link für neues Passwort";
    about_reset_link => "Lets the account owner choose a new password." / "Damit wählt die Person ein neues Passwort.";
    about_end_sessions => "Signs out every device." / "Meldet jedes Gerät ab.";
    about_disable => "Nobody can sign in until you enable it again." / "Niemand kann sich anmelden, bis Sie es freigeben.";
    about_enable => "The account owner can sign in again." / "Die Person kann sich wieder anmelden.";
    about_delete => "Deletes the account for good. Disable it if you may need it again." /
        "Löscht das Konto endgültig. Sperren Sie es, wenn Sie es noch brauchen könnten.";
    about_unlock => "The account owner can sign in at once." / "Die Person kann sich sofort anmelden.";
    own_account => "This is your own account." / "Das ist Ihr eigenes Konto.";
    own_account_note => "You cannot disable, delete or demote your own account here. Another administrator can." /
        "Ihr eigenes Konto können Sie hier nicht sperren, löschen oder herabstufen. Das kann ein anderes Verwaltungskonto.";
    last_admin_note => "This is the only administrator. It cannot be disabled, deleted or demoted." /
        "Das ist das einzige Verwaltungskonto. Es lässt sich nicht sperren, löschen oder herabstufen.";
    change_names => "Change the name or username" / "Namen oder Benutzernamen ändern";
    change_names_title => "Name and username" / "Name und Benutzername";
    promote => "Make administrator" / "Zum Verwaltungskonto machen";
    demote => "Remove as administrator" / "Verwaltung entziehen";
    about_promote => "Lets the account owner administer this server." / "Damit darf die Person diesen Server verwalten.";
    about_demote => "The account owner can no longer administer this server." / "Die Person darf diesen Server nicht mehr verwalten.";
    error_too_many_groups => "The account is in as many groups as an account can be: 32." /
        "Das Konto ist schon in 32 Gruppen; mehr geht nicht.";
    error_no_such_group => "There is no group of this name." / "Eine Gruppe dieses Namens gibt es nicht.";
    error_groups_full => "There are 1,000 groups already. Delete one that no app uses." /
        "Es gibt schon 1.000 Gruppen. Löschen Sie eine, die keine App verwendet.";

    create_account_title => "New account" / "Neues Konto";
    make_admin => "May administer this server" / "Darf diesen Server verwalten";
    temporary_password => "Temporary password" / "Vorläufiges Passwort";
    temporary_password_hint => "It has to be changed at the first sign-in. Leave it empty to get a link with which the account owner chooses one." /
        "Es muss bei der ersten Anmeldung geändert werden. Bleibt das Feld leer, erhalten Sie einen Link, über den die Person eines wählt.";
    create_account_button => "Create the account" / "Konto anlegen";

    confirm_promote_title => "Make this account an administrator?" / "Darf dieses Konto verwalten?";
    confirm_promote_what => "Its owner can change and delete every account, and see all events." /
        "Die Person kann dann jedes Konto ändern und löschen und sieht alle Ereignisse.";
    confirm_demote_title => "Remove this administrator?" / "Diesem Konto die Verwaltung entziehen?";
    confirm_demote_what => "Its owner can no longer administer this server, from this moment. Nothing else changes." /
        "Die Person darf ab sofort nicht mehr verwalten. Sonst ändert sich nichts.";
    confirm_disable_title => "Disable this account?" / "Dieses Konto sperren?";
    confirm_disable_what => "Its owner cannot sign in until you enable it again. Nothing is deleted." /
        "Die Person kann sich nicht anmelden, bis Sie es freigeben. Es wird nichts gelöscht.";
    confirm_end_title => "End all sessions of this account?" / "Alle Sitzungen dieses Kontos beenden?";
    confirm_end_what => "Its owner has to sign in again on every device." / "Die Person muss sich auf jedem Gerät neu anmelden.";
    confirm_delete_title => "Delete this account?" / "Dieses Konto löschen?";
    confirm_delete_data => "Its profile, its groups and its events are deleted at once." /
        "Sein Profil, seine Gruppen und seine Ereignisse werden sofort gelöscht.";
    confirm_delete_alternative => "Disable the account if you may need it again." /
        "Sperren Sie das Konto, wenn Sie es noch brauchen könnten.";
    confirm_reset_title => "Create a reset link?" / "Link für ein neues Passwort anlegen?";
    confirm_reset_what => "With it the account owner chooses a new password. It works once, for 15 minutes, and replaces earlier links." /
        "Damit wählt die Person ein neues Passwort. Er gilt einmal und 15 Minuten lang und ersetzt frühere Links.";
    confirm_reset_ends => "When it is used, all devices of the account are signed out." /
        "Wenn er verwendet wird, werden alle Geräte des Kontos abgemeldet.";
    reset_show => "Show the link here" / "Link hier anzeigen";
    reset_mail => "Mail the link" / "Link per E-Mail senden";
    confirm_group_title => "Delete this group?" / "Diese Gruppe löschen?";
    confirm_group_what => "Apps that let only its members in will let nobody in." /
        "Apps, die nur ihre Mitglieder zulassen, lassen dann niemanden mehr zu.";
    confirm_rotate_title => "Rotate the signing key?" / "Signaturschlüssel wechseln?";
    confirm_rotate_what => "A new key is created now. It signs in an hour, when apps have fetched it." /
        "Ein neuer Schlüssel wird jetzt angelegt. Er signiert in einer Stunde, wenn Apps ihn geladen haben.";
    confirm_rotate_kept => "Tokens that the present key signed stay valid. This also happens by itself, so you need not do it." /
        "Tokens des bisherigen Schlüssels bleiben gültig. Der Wechsel geschieht auch von selbst.";
    confirm_withdraw_title => "Withdraw this invitation?" / "Diese Einladung zurückziehen?";
    confirm_withdraw_what => "Its link stops working at once." / "Ihr Link gilt dann sofort nicht mehr.";

    link_reset_title => "The link for a new password" / "Der Link für ein neues Passwort";
    link_invitation_title => "The invitation" / "Die Einladung";
    link_created_title => "The account was created" / "Das Konto wurde angelegt";
    link_once => "This link is shown only now. Copy it before you leave this page." /
        "Dieser Link wird nur jetzt angezeigt. Kopieren Sie ihn, bevor Sie die Seite verlassen.";
    link_send => "Give it to the account owner over a channel that only they read. Anyone who has it can use it." /
        "Geben Sie ihn der Person auf einem Weg, den nur sie liest. Jeder, der ihn hat, kann ihn verwenden.";
    link_label => "Link" / "Link";
    done => "Done" / "Fertig";

    new_invitation => "New invitation" / "Neue Einladung";
    invitations_intro => "Each invitation lets one person create one account." /
        "Jede Einladung reicht für eine Person und ein Konto.";
    no_invitations_title => "No invitation" / "Keine Einladung";
    no_invitations => "Create one and send its link to the person." / "Legen Sie eine an, und senden Sie der Person den Link.";
    invitations_closed => "Registration is closed, so no invitation can be used. Set `registration = \"invite\"`." /
        "Die Registrierung ist geschlossen; Einladungen gelten nicht. Setzen Sie `registration = \"invite\"`.";
    for_anyone => "For any address" / "Für jede Adresse";
    state_open => "Open" / "Offen";
    state_used => "Used" / "Verwendet";
    state_withdrawn => "Withdrawn" / "Zurückgezogen";
    state_expired => "Expired" / "Abgelaufen";
    withdraw => "Withdraw" / "Zurückziehen";
    group => "Group" / "Gruppe";
    no_group => "No group" / "Keine Gruppe";
    invitation_email_hint => "Only this address can then be registered. Leave it empty for any address." /
        "Nur diese Adresse lässt sich dann registrieren. Bleibt das Feld leer, ist es jede.";
    valid_for => "Valid for" / "Gilt";
    mail_invitation => "Mail the invitation to this address" / "Einladung an diese Adresse senden";
    error_too_many_invitations => "There are 1,000 open invitations already. Withdraw some first." /
        "Es gibt schon 1.000 offene Einladungen. Ziehen Sie zuerst einige zurück.";
    create_invitation => "Create the invitation" / "Einladung anlegen";
    by_mail => "by mail" / "per E-Mail";

    new_group => "New group" / "Neue Gruppe";
    groups_intro => "Apps learn the groups of an account and decide what its owner may do. authd itself gives groups no rights." /
        "Apps erfahren die Gruppen eines Kontos und entscheiden, was die Person darf. authd selbst gibt Gruppen keine Rechte.";
    group_name_hint => "Lower-case letters, digits, dots, hyphens and underscores. It cannot be changed later." /
        "Kleinbuchstaben, Ziffern, Punkte, Binde- und Unterstriche. Er lässt sich später nicht ändern.";
    no_group_yet_title => "No group" / "Keine Gruppe";
    no_group_yet => "Create the first one above." / "Legen Sie oben die erste an.";
    members => "Members" / "Mitglieder";
    no_members_title => "No member" / "Kein Mitglied";
    no_members => "Add the first one above." / "Nehmen Sie oben das erste auf.";
    add_member => "Add a member" / "Mitglied aufnehmen";
    delete_group => "Delete the group" / "Gruppe löschen";
    all_groups => "All groups" / "Alle Gruppen";

    keys_intro => "Apps check tokens with the public half of these keys. authd replaces the signing key in time." /
        "Apps prüfen Tokens mit der öffentlichen Hälfte dieser Schlüssel. authd wechselt den Schlüssel rechtzeitig.";
    key_id => "Key id" / "Schlüssel-ID";
    algorithm => "Algorithm" / "Verfahren";
    signs_from => "Signs from" / "Signiert ab";
    key_next => "Next" / "Nächster";
    key_signing => "Signing" / "Signiert";
    key_retired => "Retired" / "Abgelöst";
    rotate => "Rotate the key" / "Schlüssel wechseln";

    event_account_filter => "Account" / "Konto";
    event_kind_filter => "Kind of event" / "Art des Ereignisses";
    event_address_filter => "IP address" / "IP-Adresse";
    error_event_kind => "There is no such kind of event. Choose one from the list." /
        "Eine solche Art gibt es nicht. Wählen Sie eine aus der Liste.";
    error_ip => "Enter an IP address such as 192.0.2.10." / "Geben Sie eine IP-Adresse wie 192.0.2.10 ein.";
    all_kinds => "All kinds" / "Alle Arten";
    filter => "Filter" / "Filtern";
    no_events_title => "No events" / "Keine Ereignisse";
    no_events => "Nothing matches these filters." / "Auf diese Filter passt nichts.";
    remove_filters => "Remove the filters" / "Filter entfernen";

    outbox_intro => "A message is tried again by itself, after growing waits, for two days." /
        "Eine Nachricht wird von selbst wieder versucht, in wachsenden Abständen, zwei Tage lang.";
    outbox_off => "This server sends no mail: set `mail`. Print links here and hand them over instead." /
        "Dieser Server versendet keine E-Mails: setzen Sie `mail`. Zeigen Sie Links hier an, und geben Sie sie weiter.";
    outbox_empty_title => "No message waits" / "Keine Nachricht wartet";
    outbox_empty => "All messages have left." / "Alle Nachrichten sind versendet.";
    waiting_since => "Waiting since" / "Wartet seit";
    next_try => "Next try" / "Nächster Versuch";
    confirm_message_title => "Delete this message?" / "Diese Nachricht löschen?";
    confirm_message_what => "It is never sent, and a link in it never works." /
        "Sie wird nie gesendet, und ein Link darin gilt nie.";
    error_reset_link_disabled => "The account is disabled, so no link is mailed. Enable it first, or show the link here." /
        "Das Konto ist gesperrt; ein Link wird nicht gesendet. Geben Sie es zuerst frei, oder zeigen Sie den Link hier.";
    error_no_mail => "This server sends no mail. Show the link here, and hand it over." /
        "Dieser Server versendet keine E-Mails. Zeigen Sie den Link hier, und geben Sie ihn weiter.";
    send_again => "Send again now" / "Jetzt noch einmal senden";
    topic_password_reset => "Link for a new password" / "Link für ein neues Passwort";
    topic_email_verification => "Confirmation of an address" / "Bestätigung einer Adresse";
    topic_email_change_present => "Change of address, to the present one" / "Adressänderung, an die bisherige";
    topic_email_change_new => "Change of address, to the new one" / "Adressänderung, an die neue";
    topic_registration => "Registration" / "Registrierung";
    topic_already_registered => "The address has an account" / "Die Adresse hat ein Konto";
    topic_password_changed => "Password changed" / "Passwort geändert";
    topic_email_changed => "Address changed" / "Adresse geändert";
    topic_account_deleted => "Account deleted" / "Konto gelöscht";
    topic_many_failures => "Many wrong passwords" / "Viele falsche Passwörter";
    topic_invitation => "Invitation" / "Einladung";

    locked_intro => "After many wrong passwords even the right one is refused for a while, except from places where the account owner signed in before." /
        "Nach vielen falschen Passwörtern wird auch das richtige eine Weile abgewiesen, außer von Orten, an denen sich die Person schon angemeldet hat.";
    locked_empty_title => "No account is locked" / "Keine Anmeldesperre";
    locked_empty => "There were not too many wrong passwords for any account." /
        "Für kein Konto gab es zu viele falsche Passwörter.";
    last_failure_at => "Last one" / "Zuletzt";
    locked_until => "Locked until" / "Gesperrt bis";
    their_addresses => "From" / "Von";

    settings_intro => "Change them in the settings file, the environment or on the command line, and start authd again." /
        "Ändern Sie sie in der Datei, der Umgebung oder auf der Befehlszeile, und starten Sie authd neu.";
    setting => "Setting" / "Einstellung";
    value => "Value" / "Wert";
    source => "Source" / "Herkunft";
    is_default => "default" / "Vorgabe";
    empty_value => "empty" / "leer";
}

counted! {
    open_invitations => "1 open" | "{n} open" / "1 offen" | "{n} offen";
    locked_count => "1 account is locked after wrong passwords" | "{n} accounts are locked after wrong passwords" /
        "1 Konto ist nach falschen Passwörtern gesperrt" | "{n} Konten sind nach falschen Passwörtern gesperrt";
    failing_messages => "1 message could not be sent yet" | "{n} messages could not be sent yet" /
        "1 Nachricht ließ sich noch nicht senden" | "{n} Nachrichten ließen sich noch nicht senden";
    failures => "1 wrong password" | "{n} wrong passwords" / "1 falsches Passwort" | "{n} falsche Passwörter";
    tries => "1 try" | "{n} tries" / "1 Versuch" | "{n} Versuche";
    confirm_group_members => "One account leaves the group." | "{n} accounts leave the group." /
        "Ein Konto verlässt die Gruppe." | "{n} Konten verlassen die Gruppe.";
    confirm_ends_sessions => "One device is signed out." | "{n} devices are signed out." /
        "Ein Gerät wird abgemeldet." | "{n} Geräte werden abgemeldet.";
    valid_days => "1 day" | "{n} days" / "1 Tag" | "{n} Tage";
}

sentences! {
    link_for(email) => "For {email}" / "Für {email}";
    used_by(email) => "Used by {email}" / "Verwendet von {email}";
    hits_for(query) => "Accounts that match {query}" / "Konten zu {query}";
    no_hits_for(query) => "No account matches {query}." / "Kein Konto passt zu {query}.";
}
