/*
The page of a request, live. Each event says that something has changed; the page's part is then fetched as the server
renders it, and put in place where it differs. Where no stream can be had it is asked for again and again. What is
being typed stays. Without this script the page works by reload and its forms.
*/
"use strict";

(() => {
  const page = document.getElementById("page");
  const { stream, events } = page.dataset;

  const POLL_MS = 3000;
  const SAFETY_MS = 30000;

  let loading = false;
  let again = false;
  let source = null;

  const shown = () => document.getElementById("request");
  const ended = () => shown().hasAttribute("data-ended");

  function showConnection(words, status) {
    const badge = document.getElementById("connection");
    badge.hidden = false;
    badge.dataset.status = status;
    badge.textContent = words;
  }

  /** The form of what waits to be confirmed, as long as it is the same: something may be typed there. */
  const typed = (old, fresh) => old.id === "confirm" && old.dataset.confirm === fresh.dataset.confirm;

  function say(was) {
    const badge = shown().querySelector(".badge");
    const step = shown().querySelector('[aria-current="step"] .row span');
    const words = [badge?.textContent, step?.textContent, document.getElementById("confirm-title")?.textContent];
    const now = words.filter(Boolean).join(", ");
    if (now !== was) document.getElementById("live").textContent = now;
    return now;
  }

  let told = "";

  async function load() {
    if (loading) return (again = true);
    loading = true;
    try {
      do {
        again = false;
        const response = await fetch(location.pathname, { headers: { "X-Fragment": "1" } });
        if (response.status === 404 || response.redirected) return stop("this is no longer yours to see");
        if (!response.ok) break;
        const template = document.createElement("template");
        template.innerHTML = await response.text();
        patch(shown(), template.content.firstElementChild, typed);
        told = say(told);
      } while (again);
      if (ended()) stop("ended");
    } catch {
      // The server is away; the next event, or the next look, comes.
    } finally {
      loading = false;
    }
  }

  function stop(words) {
    source?.close();
    source = null;
    clearInterval(looking);
    showConnection(words, "offline");
  }

  function follow() {
    source = new EventSource(stream);
    source.onopen = () => {
      showConnection("live", "online");
      load();
    };
    for (const name of events.split(" ")) source.addEventListener(name, load);
    source.onmessage = load;
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return showConnection("connection lost, reconnecting", "offline");
      source = null; // It has ended, or is not for us: look now and then.
      showConnection("live", "online");
      load();
    };
  }

  let passed = 0;
  const looking = setInterval(() => {
    passed += POLL_MS;
    const due = source ? passed >= SAFETY_MS : passed >= POLL_MS;
    if (!due || document.hidden) return;
    passed = 0;
    load();
  }, POLL_MS);

  told = say("");
  document.getElementById("live").textContent = "";
  if (ended()) showConnection("ended", "offline");
  else follow();
})();
