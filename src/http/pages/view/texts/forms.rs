//! Texts of signing in, signing up, recovery, and what is wrong with a value.

use super::{counted, sentences, texts};

// Signing in.
texts! {
    sign_in_title(brand: &str) => "Sign in to {brand}" / "Bei {brand} anmelden";
    login => "E-mail address or username" / "E-Mail-Adresse oder Benutzername";
    keep_signed_in => "Keep me signed in on this device" / "Auf diesem Gerät angemeldet bleiben";
    forgot_password => "Forgot your password?" / "Passwort vergessen?";
    no_account_yet => "No account yet?" / "Noch kein Konto?";
    create_account => "Create an account" / "Konto anlegen";
    have_an_account => "Already have an account?" / "Sie haben schon ein Konto?";
    sign_in_instead => "Sign in" / "Anmelden";

    choose_password_title => "Choose your own password" / "Wählen Sie ein eigenes Passwort";
    choose_password_why => "Your password was set by an administrator. Choose one that only you know to finish signing in." /
        "Ihr Passwort hat die Verwaltung festgelegt. Wählen Sie ein eigenes, das nur Sie kennen, um die Anmeldung abzuschließen.";
    save_and_sign_in => "Save and sign in" / "Speichern und anmelden";

    step_up_title => "Confirm that it is you" / "Bestätigen Sie, dass Sie es sind";
    step_up_email => "Enter your password again to change your e-mail address." /
        "Geben Sie Ihr Passwort noch einmal ein, um Ihre E-Mail-Adresse zu ändern.";
    step_up_deletion => "Enter your password again to delete your account." /
        "Geben Sie Ihr Passwort noch einmal ein, um Ihr Konto zu löschen.";
    step_up_administration => "Enter your password again to administer this server." /
        "Geben Sie Ihr Passwort noch einmal ein, um diesen Server zu verwalten.";
    step_up_sign_in => "An app asks you to sign in again. Enter your password to go on." /
        "Eine App möchte, dass Sie sich noch einmal anmelden. Geben Sie Ihr Passwort ein, um weiterzugehen.";
    step_up_lasts => "You will not be asked again for the next 10 minutes." /
        "In den nächsten 10 Minuten werden Sie nicht wieder gefragt.";
    confirm => "Confirm" / "Bestätigen";
}

// Apps.
texts! {
    consent_title(app: &str) => "Sign in to {app}" / "Bei {app} anmelden";
    consent_new(app: &str) => "{app} wants to sign you in with your account here." /
        "{app} möchte Sie mit Ihrem Konto hier anmelden.";
    consent_again(app: &str) => "Go on to {app} with this account?" / "Mit diesem Konto zu {app} weitergehen?";
    consent_other_account(app: &str) => "{app} expects another account than the one that is signed in here." /
        "{app} erwartet ein anderes Konto als das, das hier angemeldet ist.";
    consent_gets(app: &str) => "{app} will be able to:" / "{app} kann dann:";
    scope_openid => "know that it is you" / "Sie wiedererkennen";
    scope_profile => "see your name and your username" / "Ihren Namen und Ihren Benutzernamen sehen";
    scope_email => "see your e-mail address" / "Ihre E-Mail-Adresse sehen";
    scope_groups => "see in which groups you are" / "sehen, in welchen Gruppen Sie sind";
    scope_offline_access => "keep you signed in after you close this browser" /
        "Sie angemeldet lassen, auch wenn Sie diesen Browser schließen";
    scope_other(name: &str) => "use the permission “{name}”" / "die Berechtigung „{name}“ nutzen";
    allow => "Allow" / "Erlauben";
    go_on => "Go on" / "Weiter";
    consent_destination(host: &str) => "You go on to {host}." / "Sie gehen weiter zu {host}.";
    consent_switch => "Sign out here and use another account" / "Hier abmelden und ein anderes Konto verwenden";
    device_title => "Sign in on a device" / "Auf einem Gerät anmelden";
    device_why => "Type the code that the device or the program shows." /
        "Geben Sie den Code ein, den das Gerät oder das Programm anzeigt.";
    device_code => "Code" / "Code";
    device_code_hint => "Eight letters, such as BCDF-GHJK." / "Acht Buchstaben, zum Beispiel BCDF-GHJK.";
    device_warning => "Do this only if you started it yourself. Whoever sent you a code wants to be signed in as you." /
        "Tun Sie das nur, wenn Sie es selbst begonnen haben. Wer Ihnen einen Code schickt, möchte in Ihrem Namen angemeldet werden.";
    device_allow_title(app: &str) => "Sign in to {app} on a device?" / "Auf einem Gerät bei {app} anmelden?";
    device_allow_why(app: &str) => "A device shows this code and wants to be signed in to {app} with your account." /
        "Ein Gerät zeigt diesen Code und möchte mit Ihrem Konto bei {app} angemeldet werden.";
    device_asks => "Asked by" / "Angefragt von";
    device_done_title => "The device is signed in" / "Das Gerät ist angemeldet";
    device_done_why(app: &str) => "It may take some seconds until {app} notices. You can close this page." /
        "Es kann einige Sekunden dauern, bis {app} es bemerkt. Sie können diese Seite schließen.";
    device_denied_title => "The device was refused" / "Das Gerät wurde abgewiesen";
    device_denied_why(app: &str) => "It gets no access to {app}. If you did not start this yourself, there is nothing else to do." /
        "Es erhält keinen Zugang zu {app}. Wenn Sie das nicht selbst begonnen haben, ist nichts weiter zu tun.";
    error_device_code => "No device waits with this code. Codes are valid for 10 minutes; start again on the device." /
        "Kein Gerät wartet mit diesem Code. Codes gelten 10 Minuten; beginnen Sie auf dem Gerät von vorn.";
    this_app => "This app" / "Diese App";
    go_to_apps => "Your apps" / "Ihre Apps";

    apps => "Apps" / "Apps";
    apps_title => "Apps that you signed in to" / "Apps, bei denen Sie angemeldet sind";
    apps_intro => "These apps know you from here. End the access of those that you do not use any more." /
        "Diese Apps kennen Sie von hier. Beenden Sie den Zugang derer, die Sie nicht mehr nutzen.";
    apps_empty_title => "No apps yet" / "Noch keine Apps";
    apps_empty => "Apps that you sign in to with this account will be listed here." /
        "Apps, bei denen Sie sich mit diesem Konto anmelden, stehen hier.";
    app_since => "Allowed" / "Erlaubt";
    app_end => "End access" / "Zugang beenden";
    apps_end_means => "An app whose access ends is signed out everywhere, and asks again at the next sign-in. What it stored about you stays with it." /
        "Eine App, deren Zugang endet, wird überall abgemeldet und fragt bei der nächsten Anmeldung wieder. Was sie über Sie gespeichert hat, bleibt bei ihr.";
    sign_out_title => "Sign out?" / "Abmelden?";
    sign_out_app(app: &str) => "{app} asks whether you want to sign out here, too." /
        "{app} fragt, ob Sie sich auch hier abmelden möchten.";
    sign_out_unknown => "An app asks whether you want to sign out here, too." /
        "Eine App fragt, ob Sie sich auch hier abmelden möchten.";
    sign_out_apps => "Apps that you signed in to from this browser will ask you to sign in again." /
        "Apps, bei denen Sie sich aus diesem Browser angemeldet haben, fragen dann wieder nach Ihrer Anmeldung.";
    form_post_title => "One moment" / "Einen Augenblick";
    form_post_why => "You are signed in and go on to the app." / "Sie sind angemeldet und gehen weiter zur App.";
}

// Signing up.
texts! {
    register_title => "Create your account" / "Konto anlegen";
    invited_by_operator => "You are invited to create an account here." /
        "Sie sind eingeladen, hier ein Konto anzulegen.";
    your_name => "Your name" / "Ihr Name";
    username_hint => "A short name to sign in with, in place of the e-mail address." /
        "Ein kurzer Name, mit dem Sie sich statt mit der E-Mail-Adresse anmelden können.";
    email_fixed => "The invitation is for this address." / "Die Einladung gilt für diese Adresse.";
    password_hint(min: usize) => "At least {min} characters. A few unrelated words are easy to remember." /
        "Mindestens {min} Zeichen. Einige Wörter ohne Zusammenhang lassen sich gut merken.";

    check_mail_title => "Check your mail" / "Sehen Sie in Ihr Postfach";
    check_mail_next => "Open the link in the message to finish. It works once, within 24 hours." /
        "Öffnen Sie den Link in der Nachricht, um fertig zu werden. Er gilt einmal und 24 Stunden lang.";
    check_mail_nothing => "No message after a few minutes? Look in the spam folder, and check the address." /
        "Nach einigen Minuten keine Nachricht? Sehen Sie im Spam-Ordner nach, und prüfen Sie die Adresse.";
    use_another_address => "Use another address" / "Andere Adresse verwenden";

    finish_registration_title => "Finish your registration" / "Registrierung abschließen";
    finish_registration_why => "Enter the password that you chose when you registered. It shows that you are the person who made the request." /
        "Geben Sie das Passwort ein, das Sie bei der Registrierung gewählt haben. So ist klar, dass Sie das Konto angelegt haben.";
    finish_registration_forgotten => "Forgot it? Register again with the same address." /
        "Vergessen? Registrieren Sie sich mit derselben Adresse noch einmal.";
    register_again => "Register again" / "Noch einmal registrieren";

    setup_title => "Set up this server" / "Diesen Server einrichten";
    setup_why => "Create the first account. It may administer this server." /
        "Legen Sie das erste Konto an. Es darf diesen Server verwalten.";
    setup_button => "Create the administrator" / "Verwaltungskonto anlegen";
}

sentences! {
    invited_to_group(group) => "You will be a member of the group {group}." / "Sie werden Mitglied der Gruppe {group}.";
    invited_by(person) => "{person} invites you to create an account here." / "{person} lädt Sie ein, hier ein Konto anzulegen.";
    check_mail_sent(email) => "A message is on its way to {email}." / "Eine Nachricht an {email} ist unterwegs.";
    completes_account(email) => "This creates the account for {email}." / "Damit wird das Konto für {email} angelegt.";
}

// Recovery.
texts! {
    forgot_title => "Choose a new password" / "Neues Passwort wählen";
    forgot_why => "Enter your e-mail address. You get a message with a link to choose a new password." /
        "Geben Sie Ihre E-Mail-Adresse ein. Sie erhalten eine Nachricht mit einem Link, über den Sie ein neues Passwort wählen.";
    forgot_button => "Send the link" / "Link senden";
    back_to_sign_in => "Back to sign-in" / "Zurück zur Anmeldung";
    forgot_sent_next => "If an account has this address, the message arrives within a few minutes. Its link works once, for 15 minutes." /
        "Wenn ein Konto diese Adresse hat, kommt die Nachricht in einigen Minuten an. Ihr Link gilt einmal und 15 Minuten lang.";

    reset_title => "Choose a new password" / "Neues Passwort wählen";
    reset_ends_sessions => "Every device that is signed in will be signed out." /
        "Alle angemeldeten Geräte werden abgemeldet.";
    new_password => "New password" / "Neues Passwort";
    reset_button => "Save the new password" / "Neues Passwort speichern";
    reset_done_title => "Your password was changed" / "Ihr Passwort wurde geändert";
    reset_done_next => "All devices were signed out. Sign in with the new password." /
        "Alle Geräte wurden abgemeldet. Melden Sie sich mit dem neuen Passwort an.";

    verify_title => "Confirm your e-mail address" / "E-Mail-Adresse bestätigen";
    verify_warning => "Confirm only if the account is yours and you asked for this." /
        "Bestätigen Sie nur, wenn das Konto Ihres ist und Sie darum gebeten haben.";
    verify_change_title => "Confirm the change of your e-mail address" / "Änderung der E-Mail-Adresse bestätigen";
    verified_title => "Your e-mail address is confirmed" / "Ihre E-Mail-Adresse ist bestätigt";
    verified_next => "You do not need to do anything else." / "Mehr ist nicht zu tun.";
    half_confirmed_title => "One confirmation is still missing" / "Eine Bestätigung fehlt noch";
    half_confirmed_why => "Your e-mail address changes when the links in both messages were confirmed." /
        "Ihre E-Mail-Adresse ändert sich, wenn die Links in beiden Nachrichten bestätigt sind.";
    email_changed_title => "Your e-mail address was changed" / "Ihre E-Mail-Adresse wurde geändert";
    go_to_account => "Go to your account" / "Zum Konto";
}

sentences! {
    reset_for(email) => "For the account {email}." / "Für das Konto {email}.";
    verify_why(email) => "This confirms that you read mail at {email}." /
        "Damit bestätigen Sie, dass Sie Nachrichten an {email} lesen.";
    verify_change_why(old, new) => "The address of your account will change from {old} to {new}." /
        "Die Adresse Ihres Kontos wird von {old} zu {new} geändert.";
    verified_address(email) => "{email} now belongs to your account." / "{email} gehört jetzt zu Ihrem Konto.";
    missing_at(email) => "The link in the message to {email} was not confirmed yet. Open it as well." /
        "Der Link in der Nachricht an {email} ist noch nicht bestätigt. Öffnen Sie auch ihn.";
    email_is_now(email) => "The address of your account is now {email}. Sign in with it from now on." /
        "Die Adresse Ihres Kontos ist jetzt {email}. Melden Sie sich künftig damit an.";
}

// What is wrong with a value, for `FieldError`.
texts! {
    error_login_empty => "Enter your e-mail address or username." / "Geben Sie Ihre E-Mail-Adresse oder Ihren Benutzernamen ein.";
    error_password_empty => "Enter your password." / "Geben Sie Ihr Passwort ein.";
    error_credentials => "The e-mail address, the username or the password is wrong." /
        "E-Mail-Adresse, Benutzername oder Passwort ist falsch.";
    error_wrong_password => "This is not your password. Enter it again." / "Das ist nicht Ihr Passwort. Geben Sie es noch einmal ein.";
    error_too_many(wait: &str) => "There were too many attempts. Try again in {wait}." /
        "Es gab zu viele Versuche. Versuchen Sie es in {wait} wieder.";
    error_email_empty => "Enter an e-mail address." / "Geben Sie eine E-Mail-Adresse ein.";
    error_email_invalid => "Enter an e-mail address such as ann@example.org." /
        "Geben Sie eine E-Mail-Adresse ein, zum Beispiel anna@example.org.";
    error_email_taken => "Another account has this e-mail address." / "Ein anderes Konto hat diese E-Mail-Adresse.";
    error_email_same => "This is already the address of the account." / "Das ist schon die Adresse des Kontos.";
    error_email_mismatch => "The address is not the one of the account. Type it as it stands above." /
        "Das ist nicht die Adresse des Kontos. Schreiben Sie sie so, wie sie oben steht.";
    error_username_invalid => "Use letters, digits, dots, hyphens and underscores of one script, at most 64 of them." /
        "Verwenden Sie Buchstaben einer Schrift, Ziffern, Punkte, Binde- und Unterstriche, höchstens 64.";
    error_username_taken => "Another account has this username." / "Ein anderes Konto hat diesen Benutzernamen.";
    error_name_invalid => "Use at most 200 characters." / "Verwenden Sie höchstens 200 Zeichen.";
    error_password_common => "Attackers try this password first. Choose another one." /
        "Dieses Passwort probieren Angreifer zuerst. Wählen Sie ein anderes.";
    error_password_contextual => "This password is little more than a name of yours or of this server. Choose another one." /
        "Dieses Passwort besteht fast nur aus Ihrem Namen oder dem des Servers. Wählen Sie ein anderes.";
    error_password_same => "This is the temporary password. Choose another one." /
        "Das ist das vorläufige Passwort. Wählen Sie ein anderes.";
    error_password_long => "This password is too long. Choose a shorter one." /
        "Dieses Passwort ist zu lang. Wählen Sie ein kürzeres.";
    error_device_name => "Use at most 100 characters." / "Verwenden Sie höchstens 100 Zeichen.";
    error_group_name => "Use lower-case letters (a-z), digits, dots, hyphens and underscores, at most 64 of them." /
        "Verwenden Sie Kleinbuchstaben (a-z), Ziffern, Punkte, Binde- und Unterstriche, höchstens 64.";
    error_group_taken => "A group with this name already exists." / "Eine Gruppe mit diesem Namen gibt es schon.";
    error_no_such_account => "No account has this e-mail address or username." /
        "Kein Konto hat diese E-Mail-Adresse oder diesen Benutzernamen.";
    error_email_needed_for_mail => "Enter the address to which the invitation is to be mailed." /
        "Geben Sie die Adresse an, an die die Einladung gehen soll.";
    error_own_account => "This is your own account. Another administrator can do this." /
        "Das ist Ihr eigenes Konto. Ein anderes Verwaltungskonto kann das tun.";
    error_last_administrator => "This is the only administrator. Make another account an administrator first." /
        "Das ist das einzige Verwaltungskonto. Machen Sie zuerst ein weiteres Konto dazu.";
}

counted! {
    error_password_short => "Use at least one character." | "Use at least {n} characters." /
        "Verwenden Sie mindestens ein Zeichen." | "Verwenden Sie mindestens {n} Zeichen.";
}
