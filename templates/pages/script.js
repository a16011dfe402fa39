// What the pages do better with a script. Nothing here is needed: without it no button of these is shown.
(() => {
  const all = (selector, act) => document.querySelectorAll(selector).forEach(act);

  // Show and hide a password. The type is restored before the form is sent, so that browsers save it as a password.
  all(".reveal", (button) => {
    const input = document.getElementById(button.getAttribute("aria-controls"));
    const words = button.title;
    const show = (shown) => {
      input.type = shown ? "text" : "password";
      button.setAttribute("aria-pressed", shown);
      button.title = shown ? button.dataset.hide : words;
    };
    button.hidden = false;
    button.addEventListener("click", () => show(input.type === "password"));
    input.form.addEventListener("submit", () => show(false));
  });

  // Carry an answer on to an app.
  all("[data-send]", (form) => form.submit());

  // Copy a link that is shown once.
  if (navigator.clipboard) {
    all("[data-copy]", (button) => {
      const field = document.getElementById(button.dataset.copy);
      button.hidden = false;
      button.addEventListener("click", () =>
        navigator.clipboard.writeText(field.value).then(() => {
          button.textContent = button.dataset.done;
        }, () => field.select()));
    });
  }

  // Times in the zone of the browser.
  const lang = document.documentElement.lang;
  const locale = navigator.language.startsWith(lang) ? navigator.language : lang;
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  all("time", (time) => {
    const local = format.format(new Date(time.dateTime));
    if (time.title) time.title = local;
    else time.textContent = local;
  });

  // A screen reader begins with the list of errors.
  all("#errors", (errors) => errors.focus());
})();
