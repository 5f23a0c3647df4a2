/* A job's page in the admin, live: while the job has not ended, the part that changes is fetched again. */
"use strict";

(() => {
  const EVERY_MS = 1000;
  const SLOWER_MS = 5000;

  async function renew() {
    const shown = document.getElementById("job-live");
    if (!shown || !("open" in shown.dataset)) return;
    let wait = EVERY_MS;
    try {
      const response = await fetch(shown.dataset.url);
      if (response.redirected || (response.status >= 400 && response.status < 500)) return; // Signed out, or it is gone.
      if (!response.ok) throw new Error(response.statusText);
      const template = document.createElement("template");
      template.innerHTML = await response.text();
      const fresh = template.content.firstElementChild;
      // A reader of the page, or of the screen, is disturbed by what is new only.
      if (fresh && !fresh.isEqualNode(shown) && !shown.contains(document.activeElement)) shown.replaceWith(fresh);
    } catch {
      wait = SLOWER_MS;
    }
    setTimeout(renew, document.hidden ? SLOWER_MS : wait);
  }

  setTimeout(renew, EVERY_MS);
})();
