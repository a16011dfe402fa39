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
    step_up_lasts => "You will not be asked again for the next 10 minutes." /
        "In den nächsten 10 Minuten werden Sie nicht wieder gefragt.";
    confirm => "Confirm" / "Bestätigen";
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
