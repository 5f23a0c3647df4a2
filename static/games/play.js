/*
The play page, live. An event says which request has changed; its entry is fetched, as the server renders it, and put
in place. Actions go through the socket, each with an id of its own, and stay in their box until they are acknowledged.
Without this script the page works by links and its form.
*/
"use strict";

(() => {
  const page = document.getElementById("play");
  const form = document.getElementById("action-form");
  if (!page || !form) return; // An earlier part of the log, which no longer changes.

  const log = document.getElementById("log");
  const { game, socket: path, entryUrl, stateUrl } = page.dataset;
  const text = form.elements.namedItem("text");
  const key = form.elements.namedItem("key");
  const buttons = [...form.querySelectorAll("button")];

  const RETRY_MS = 500;
  const RETRY_CAP_MS = 15000;
  const SEEN_MS = 300;
  const ALIVE_MS = 20000;
  const POST_INSTEAD_MS = 3000;
  const ENDED = {
    4401: "You are signed out. Sign in again to go on.",
    4403: "You are no longer a member of this game.",
    4404: "This game is gone.",
  };
  const MOVES_THE_LINE = new Set(["awaiting_approval", "completed", "rejected", "failed", "cancelled"]);

  const pause = (ms) => new Promise((done) => setTimeout(done, ms * (0.5 + Math.random())));

  // What is shown

  const loading = new Map(); // What is being fetched, and whether it has changed again meanwhile.

  async function keepNew(name, load) {
    if (loading.has(name)) return loading.set(name, true);
    do {
      loading.set(name, false);
      try {
        await load();
      } catch {
        await pause(RETRY_CAP_MS / 5);
        loading.set(name, true);
      }
    } while (loading.get(name));
    loading.delete(name);
  }

  async function fetched(url) {
    const response = await fetch(url);
    if (response.status >= 500) throw new Error(response.statusText);
    return response.ok && !response.redirected ? response : null;
  }

  async function fragment(url) {
    const response = await fetched(url);
    const template = document.createElement("template");
    template.innerHTML = response ? await response.text() : "";
    return template.content.firstElementChild;
  }

  function place(fresh) {
    const entries = [...log.children];
    if (entries.length && fresh.dataset.request < entries[0].dataset.request) return; // Before what this page shows.
    log.insertBefore(fresh, entries.find((entry) => entry.dataset.request > fresh.dataset.request) ?? null);
  }

  function showEntry(id) {
    keepNew(id, async () => {
      const fresh = await fragment(entryUrl.replace("__id__", id));
      if (!fresh) return;
      const view = document.documentElement;
      const atEnd = view.scrollTop + view.clientHeight > view.scrollHeight - 100;
      const shown = document.getElementById(fresh.id);
      shown ? patch(shown, fresh) : place(fresh);
      showWriting(id);
      if (atEnd) view.scrollTop = view.scrollHeight;
    });
  }

  const writing = new Map(); // What the storyteller has written so far, until the server renders it as a whole.

  function hearWriting(id, { attempt, index, content }) {
    const known = writing.get(id);
    const words = index === 0 || known?.attempt !== attempt ? content : known.words + content;
    writing.set(id, { attempt, words });
    showWriting(id);
  }

  function showWriting(id) {
    const entry = document.getElementById(`request-${id}`);
    if (!entry || !writing.has(id)) return;
    if (entry.querySelector(".prose:not(.writing)")) return writing.delete(id);
    const shown = entry.querySelector(".writing") ?? document.createElement("p");
    Object.assign(shown, { className: "prose writing", dir: "auto", textContent: writing.get(id).words });
    shown.setAttribute("aria-hidden", "true"); // Read out once it is whole.
    entry.append(shown);
  }

  function showLine() {
    for (const entry of log.querySelectorAll('.entry[data-status="queued"]')) showEntry(entry.dataset.request);
  }

  function showState() {
    keepNew("state", async () => {
      const fresh = await fragment(stateUrl);
      if (fresh) patch(document.getElementById("state"), fresh);
    });
  }

  function showWhoIsThere() {
    keepNew("presence", async () => {
      const response = await fetched(`/v1/games/${game}`);
      if (!response) return;
      const status = (await response.json()).dm_online ? "online" : "offline";
      const badge = document.getElementById("dm-online");
      if (badge.dataset.status === status) return;
      badge.dataset.status = status;
      badge.textContent = status === "online" ? "DM online" : "no DM online";
      showLine();
    });
  }

  function showConnection(words, status) {
    const badge = document.getElementById("connection");
    const news = badge.textContent && badge.textContent !== words;
    badge.hidden = false;
    badge.dataset.status = status;
    badge.textContent = words;
    if (news) document.getElementById("live").textContent = words;
  }

  function showError(words) {
    const notice = document.createElement("p");
    notice.className = "notice";
    notice.dataset.level = "error";
    notice.setAttribute("role", "alert");
    notice.textContent = words;
    document.getElementById("action-error").replaceChildren(...(words ? [notice] : []));
    text.setAttribute("aria-invalid", Boolean(words));
  }

  // The socket

  let socket = null;
  let live = false;
  let heard = false;
  let failures = 0;
  let retry = 0;
  let seen = 0;
  let cursor = Number(page.dataset.cursor);

  function connect() {
    clearTimeout(retry);
    if (socket?.readyState === WebSocket.CONNECTING) return;
    const address = new URL(path, location.href);
    address.protocol = location.protocol.replace("http", "ws");
    socket = new WebSocket(address);
    socket.onmessage = ({ data }) => receive(JSON.parse(data));
    socket.onclose = ({ code }) => lose(code);
  }

  function lose(code) {
    socket.onclose = socket.onmessage = null;
    socket.close();
    live = false;
    if (ENDED[code]) {
      release();
      return showConnection(ENDED[code], "offline");
    }
    showConnection("connection lost, reconnecting", "offline");
    const wait = Math.min(RETRY_CAP_MS, RETRY_MS * 2 ** failures++);
    retry = setTimeout(connect, wait * (0.5 + Math.random()));
  }

  function send(frame) {
    if (live) socket.send(JSON.stringify(frame));
  }

  const obey = {
    welcome() {
      live = true;
      failures = 0;
      showConnection("live", "online");
      send({ type: "hello", cursor });
      deliver();
      showWhoIsThere();
    },
    event({ seq, event, request_id: id, status, data }) {
      if (seq === undefined) return event === "chat.chunk" ? hearWriting(id, data) : undefined; // It passes by.
      cursor = seq;
      seen ||= setTimeout(acknowledge, SEEN_MS);
      if (MOVES_THE_LINE.has(status)) writing.delete(id);
      if (id) showEntry(id);
      if (event === "game.state_updated") showState();
      if (MOVES_THE_LINE.has(status)) showLine();
    },
    head: acknowledge,
    reset() {
      location.reload(); // The server was set back to before what this page shows.
    },
    ack({ id, request_id: request }) {
      if (unsent?.id !== id) return;
      empty();
      showEntry(request);
    },
    error({ id, code, detail }) {
      if (!unsent || unsent.id !== id) return;
      if (code === "unavailable") return setTimeout(deliver, RETRY_CAP_MS / 5);
      if (code !== "internal") key.value = newKey(); // Who can't know whether it was done must not ask twice.
      release();
      showError(detail);
    },
  };

  function receive(frame) {
    heard = true;
    obey[frame.type]?.(frame);
  }

  function acknowledge() {
    clearTimeout(seen);
    seen = 0;
    send({ type: "seen", seq: cursor });
  }

  function checkAlive() {
    if (!live) return;
    if (!heard) return lose();
    heard = false;
    send({ type: "ping" });
    if (!document.hidden) showWhoIsThere();
  }

  // The form

  let unsent = null; // The action that is on its way: sent again, under the same id, until it is answered.

  function newKey() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function typedValue(words) {
    try {
      return JSON.parse(words);
    } catch {
      return words;
    }
  }

  /** The rows of changes as the server's form reads them, each with what the page shows at its path. */
  function changes() {
    const shown = JSON.parse(form.elements.namedItem("shown").value);
    const rows = [...form.querySelectorAll(".change")].map((row) =>
      [...row.children].map((control) => control.value.trim()),
    );
    const has = (holder, name) => holder !== null && typeof holder === "object" && Object.hasOwn(holder, name);
    const was = (at) => at.split(".").reduce((holder, name) => (has(holder, name) ? holder[name] : null), shown);
    return rows
      .filter(([at, , value]) => at || value)
      .map(([at, op, value]) => ({ path: at, op, was: was(at), ...(value && { value: typedValue(value) }) }));
  }

  function hold() {
    text.readOnly = true;
    form.setAttribute("aria-busy", "true");
    for (const button of buttons) button.setAttribute("aria-disabled", "true");
  }

  function release() {
    unsent = null;
    text.readOnly = false;
    form.removeAttribute("aria-busy");
    for (const button of buttons) button.removeAttribute("aria-disabled");
  }

  function empty() {
    release();
    showError("");
    key.value = newKey();
    for (const box of [text, ...form.querySelectorAll(".change input")]) box.value = "";
  }

  function deliver() {
    if (unsent) send(unsent);
  }

  /** Without a connection, what was typed is posted as any form, under the same key. */
  function postInstead() {
    if (!unsent || live) return;
    const chats = unsent.type === "chat";
    release();
    if (chats) form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "ask", value: "chat" }));
    form.submit();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (unsent) return;
    const wanted = changes();
    const asked = { id: key.value, text: text.value };
    unsent =
      event.submitter?.value === "chat"
        ? { type: "chat", ...asked }
        : { type: "action", ...asked, ...(wanted.length && { changes: wanted }) };
    hold();
    if (live) return deliver();
    connect();
    setTimeout(postInstead, POST_INSTEAD_MS);
  });

  text.addEventListener("keydown", ({ key: pressed, ctrlKey, metaKey, shiftKey }) => {
    if (pressed === "Enter" && (ctrlKey || metaKey)) form.requestSubmit(buttons[shiftKey ? 1 : 0]);
  });

  addEventListener("offline", () => live && lose()); // The socket itself would notice only by and by.
  addEventListener("online", () => live || connect());
  setInterval(checkAlive, ALIVE_MS);
  if (!location.hash) log.lastElementChild?.scrollIntoView({ block: "nearest" });
  connect();
})();
