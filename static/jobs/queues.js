/* The queues, live: the socket tells how they stand, and what differs is put in place. Without it, reload the page. */
"use strict";

(() => {
  const page = document.getElementById("queues");
  const badge = document.getElementById("connection");
  const asOf = document.getElementById("as-of");
  const alerts = document.getElementById("alerts");

  const RETRY_MS = 500;
  const RETRY_CAP_MS = 15000;
  const ENDED = { 4401: "signed out", 4403: "not for you any more" };

  const SHOWN = {
    depth: (queue) => queue.depth,
    oldest_seconds: (queue) => (queue.oldest_seconds === null ? "–" : `${Math.round(queue.oldest_seconds)} s`),
    running: (queue) => queue.running,
    delayed: (queue) => queue.delayed,
    workers: (queue) => (queue.slots ? `${queue.workers} (${queue.slots} slots)` : queue.workers),
    per_minute: (queue) => queue.per_minute,
  };

  const clock = (stamp) => `${stamp.slice(11, 19)} UTC`;

  function put(element, text) {
    if (element.textContent !== String(text)) element.textContent = text;
  }

  function showQueue(queue) {
    const row = page.querySelector(`[data-queue="${CSS.escape(queue.name)}"]`);
    if (!row) return location.reload(); // One that was not there when the page was made.
    for (const [field, words] of Object.entries(SHOWN)) put(row.querySelector(`[data-field="${field}"]`), words(queue));
    row.querySelector('[data-field="paused"]').hidden = !queue.paused;
  }

  function showAlerts(open) {
    const words = open.map((alert) => `${alert.detail}, since ${clock(alert.since)}`);
    if (words.join("\n") === [...alerts.children].map((item) => item.textContent).join("\n")) return;
    alerts.replaceChildren(...words.map((text) => {
      const item = document.createElement("li");
      item.className = "notice";
      item.dataset.level = "error";
      item.textContent = text;
      return item;
    }));
    document.getElementById("live").textContent = words.length ? `Open incidents: ${words.join("; ")}` : "No incidents.";
  }

  function show(status) {
    asOf.dateTime = status.at;
    put(asOf, clock(status.at));
    status.queues.forEach(showQueue);
    showAlerts(status.alerts);
  }

  function showConnection(status, words) {
    badge.hidden = false;
    badge.dataset.status = status;
    put(badge, words);
  }

  function connect(wait) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${page.dataset.socket}`);
    let next = wait;
    socket.addEventListener("message", (message) => {
      const frame = JSON.parse(message.data);
      if (frame.type !== "queue.status") return;
      next = RETRY_MS;
      showConnection("online", "live");
      show(frame);
    });
    socket.addEventListener("close", ({ code }) => {
      showConnection("offline", ENDED[code] ?? "offline, trying again");
      if (code in ENDED) return;
      setTimeout(() => connect(Math.min(next * 2, RETRY_CAP_MS)), next * (0.5 + Math.random() / 2));
    });
  }

  connect(RETRY_MS);
})();
