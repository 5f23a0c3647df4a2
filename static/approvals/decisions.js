/*
The decision queue, live. The socket says that something has changed; the list is fetched as the server renders it and
what differs is put in place, but nothing at or above the card in use is moved or taken away. Decisions are posted from
the list without leaving it. Without this script the pages work by links and forms.
*/
"use strict";

(() => {
  const page = document.getElementById("decisions");
  const queue = document.getElementById("queue"); // Not on the page of a single card.
  const dialog = document.getElementById("keys");
  const skew = Date.parse(page.dataset.now) - Date.now();

  const RETRY_MS = 500;
  const RETRY_CAP_MS = 15000;
  const ALIVE_MS = 20000;
  const ENDED = { 4401: "You are signed out. Sign in again to go on.", 4403: "You decide in no game any more." };

  const cards = () => [...page.querySelectorAll("[data-approval]")];
  const cardOf = (element) => element?.closest?.("[data-approval]");
  const precedes = (one, other) => Boolean(one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING);

  function announce(words) {
    document.getElementById("live").textContent = words;
  }

  // Times

  function span(ms) {
    const seconds = Math.floor(ms / 1000);
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
    return minutes < 1440 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} days`;
  }

  function showTimes() {
    const now = Date.now() + skew;
    for (const time of page.querySelectorAll("time[data-until], time[data-since]")) {
      time.title ||= time.textContent;
      const left = Date.parse(time.dateTime) - now;
      if ("since" in time.dataset) {
        time.textContent = `${span(Math.max(-left, 0))} ago`;
      } else {
        time.textContent = left > 0 ? `in ${span(left)}` : "now";
        time.toggleAttribute("data-late", left < 60000);
      }
    }
  }

  // The list

  /** What the server renders; null for who is signed out or may not see it any more. */
  async function fragment(url) {
    const response = await fetch(url, { headers: { "X-Fragment": "1" } });
    if (response.status >= 500) throw new Error(response.statusText);
    return response.ok && !response.redirected ? parsed(await response.text()) : null;
  }

  function parsed(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  }

  /** Whether somebody is writing in this card, or has something in it that would be lost. */
  function inUse(card) {
    const boxes = [...card.querySelectorAll("textarea, input:not([type=hidden])")];
    return Boolean(card.querySelector("[data-actions] details[open], textarea[readonly]"))
      || boxes.some((box) => box.value !== box.defaultValue);
  }

  let refreshing = false;
  let again = false;

  async function refresh() {
    again = refreshing;
    if (refreshing) return;
    refreshing = true;
    do {
      again = false;
      try {
        await (queue ? refreshList() : check(cards()[0]));
      } catch {
        retry();
      }
    } while (again);
    refreshing = false;
  }

  const retry = () => setTimeout(refresh, RETRY_CAP_MS / 3);

  async function refreshList() {
    const fresh = await fragment(queue.dataset.url);
    if (fresh) holdStill(() => reconcile(fresh));
  }

  const inHand = () => page.querySelector("[data-approval]:focus-within") ?? page.querySelector("[data-approval]:hover");

  /** Change the page so that the card in use stays where it is on the screen. */
  function holdStill(change) {
    const at = inHand();
    const before = at?.getBoundingClientRect().top;
    change();
    if (at?.isConnected) scrollBy(0, at.getBoundingClientRect().top - before);
  }

  function reconcile(fresh) {
    const list = queue.querySelector("[data-cards]");
    const at = inHand();
    const wanted = new Map([...fresh.querySelectorAll("[data-approval]")].map((card) => [card.id, card]));
    for (const card of cards()) {
      const next = wanted.get(card.id);
      if (next?.dataset.version === card.dataset.version || "sending" in card.dataset) continue;
      if ((at && (card === at || precedes(card, at))) || inUse(card)) check(card, next).catch(retry);
      else next ? card.replaceWith(next) : card.remove();
    }
    let previous = null;
    for (const next of wanted.values()) {
      const shown = document.getElementById(next.id);
      if (!shown) {
        const spot = at && (!previous || precedes(previous, at)) ? at : previous;
        spot ? spot.after(next) : list.prepend(next);
        announce(`New: ${next.querySelector("h2").textContent}`);
      }
      previous = shown ?? next;
    }
    for (const part of ["[data-empty]", "[data-next]"]) {
      queue.querySelector(part).replaceWith(fresh.querySelector(part));
    }
    queue.querySelector("[data-empty]").hidden = cards().length > 0;
    showTimes();
  }

  /** Say in a card that stays what has become of it, and let nobody decide on what is no longer asked. */
  async function check(card, next) {
    const fresh = next ?? (await fragment(card.querySelector("h2 a").href))?.querySelector("[data-approval]");
    if (!fresh) return;
    const { version, status } = fresh.dataset;
    if (version === card.dataset.version && status === card.dataset.status) return;
    if (card.dataset.gone === `${version} ${status}`) return;
    card.dataset.gone = `${version} ${status}`;
    for (const button of card.querySelectorAll("[data-actions] button")) button.disabled = true;
    show(card, fresh.querySelector("[data-outcome]") ?? newer(card, fresh));
  }

  function newer(card, fresh) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = "Show it";
    button.addEventListener("click", () => {
      card.replaceWith(fresh);
      fresh.focus();
      showTimes();
    });
    const box = notice(`Version ${fresh.dataset.version} waits now. `, "warning");
    box.append(button);
    return box;
  }

  function notice(words, level) {
    const box = document.createElement("div");
    box.className = "notice";
    box.dataset.level = level;
    box.dataset.outcome = "";
    box.append(words);
    return box;
  }

  function show(card, box) {
    box.setAttribute("role", "alert");
    holdStill(() => {
      for (const old of card.querySelectorAll(":scope > [data-outcome]")) old.remove();
      card.querySelector("header").after(box);
    });
  }

  // Deciding

  async function decide(event) {
    const { target: form, submitter } = event;
    const card = cardOf(form);
    if (!card) return;
    event.preventDefault();
    if ("sending" in card.dataset) return;
    card.dataset.sending = "";
    card.setAttribute("aria-busy", "true");
    try {
      await send(card, form, new FormData(form, submitter));
    } catch {
      show(card, notice("This did not get through. Nothing was decided, or you will see it here; try again.", "error"));
    }
    delete card.dataset.sending;
    card.removeAttribute("aria-busy");
    refresh();
  }

  async function send(card, form, body) {
    const response = await fetch(form.action, { method: "POST", body, headers: { "X-Fragment": "1" } });
    const fresh = response.redirected ? null : parsed(await response.text()).querySelector("[data-approval]");
    if (!fresh) {
      if (response.status >= 500) throw new Error(response.statusText);
      const words = "You are signed out, or may no longer decide here. Copy what you wrote and reload the page.";
      return show(card, notice(words, "error"));
    }
    if (response.ok) return leave(card, fresh);
    card.replaceWith(fresh);
    showTimes();
    (fresh.querySelector("[aria-invalid=true], [data-actions] details[open] textarea") ?? fresh).focus();
  }

  function leave(card, fresh) {
    const next = card.nextElementSibling ?? card.previousElementSibling;
    announce(fresh.querySelector("[data-outcome]")?.textContent.trim() ?? "Done.");
    card.remove();
    next?.focus();
  }

  // Keys

  function move(by) {
    const all = cards();
    const at = all.indexOf(cardOf(document.activeElement));
    const next = at < 0 ? all[by > 0 ? 0 : all.length - 1] : all[at + by];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  function use(key) {
    const card = cardOf(document.activeElement) ?? (queue ? null : cards()[0]);
    const part = card?.querySelector(`[data-actions] [data-key="${key}"]`);
    if (!part) return;
    if (part instanceof HTMLDetailsElement) {
      part.open = true;
      part.querySelector("textarea").focus();
    } else if (!part.disabled) {
      part.form.requestSubmit(part);
    }
  }

  function close() {
    const card = cardOf(document.activeElement);
    const open = card?.querySelector("[data-actions] details[open]");
    if (!open) return;
    open.open = false;
    card.focus();
  }

  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    a: () => use("a"),
    e: () => use("e"),
    r: () => use("r"),
    t: () => use("t"),
    "?": () => dialog.showModal(),
  };

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || dialog.open) return;
    if (event.key === "Escape") return close();
    if (event.target.matches("input, textarea, select") || !Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  }

  // The socket

  let socket = null;
  let heard = false;
  let failures = 0;
  let comeback = 0;

  function showConnection(words, status) {
    const badge = document.getElementById("connection");
    if (badge.textContent && badge.textContent !== words) announce(words);
    badge.hidden = false;
    badge.dataset.status = status;
    badge.textContent = words;
  }

  function connect() {
    clearTimeout(comeback);
    if (socket?.readyState === WebSocket.CONNECTING) return;
    const address = new URL(page.dataset.socket, location.href);
    address.protocol = location.protocol.replace("http", "ws");
    socket = new WebSocket(address);
    socket.onmessage = ({ data }) => receive(JSON.parse(data));
    socket.onclose = ({ code }) => lose(code);
  }

  function receive({ type }) {
    heard = true;
    if (type !== "changed") return;
    failures = 0;
    showConnection("live", "online");
    refresh();
  }

  function lose(code) {
    socket.onclose = socket.onmessage = null;
    socket.close();
    if (ENDED[code]) return showConnection(ENDED[code], "offline");
    showConnection("connection lost, reconnecting", "offline");
    const wait = Math.min(RETRY_CAP_MS, RETRY_MS * 2 ** failures++);
    comeback = setTimeout(connect, wait * (0.5 + Math.random()));
  }

  function checkAlive() {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (!heard) return lose();
    heard = false;
    socket.send(JSON.stringify({ type: "ping" }));
  }

  if (queue) queue.addEventListener("submit", decide);
  const help = document.getElementById("show-keys");
  if (help) {
    help.hidden = false;
    help.addEventListener("click", () => dialog.showModal());
  }
  addEventListener("keydown", press);
  addEventListener("offline", () => socket.readyState === WebSocket.OPEN && lose()); // It would notice only by and by.
  addEventListener("online", () => socket.readyState === WebSocket.OPEN || connect());
  setInterval(showTimes, 1000);
  setInterval(checkAlive, ALIVE_MS);
  showTimes();
  connect();
})();
