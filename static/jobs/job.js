/*
A job's page in the admin, live. Its stream brings the lines of the log as they are written, and says when the job stands
otherwise; how is then fetched as the server renders it. Without a stream it is asked for again and again, without this
script the page is as old as its load.
*/
"use strict";

(() => {
  const AT_MOST_EVERY_MS = 1000;
  const POLL_MS = 3000;
  const LINES = 50;

  const shown = () => document.getElementById("job-live");
  const log = () => document.getElementById("job-log");
  const open = () => shown() && "open" in shown().dataset;
  const lastLine = () => Number(log()?.lastElementChild?.dataset.line ?? 0);

  let source = null;
  let loading = false;
  let again = false;

  function keepLast() {
    while (log().childElementCount > LINES) log().firstElementChild.remove();
  }

  function append({ lastEventId: id, data }) {
    if (!log() || Number(id) <= lastLine()) return; // It came with a fragment.
    const { at, text } = JSON.parse(data);
    const line = document.createElement("li");
    line.dataset.line = id;
    const time = Object.assign(document.createElement("time"), { dateTime: at, textContent: at.slice(11, 19) });
    line.append(time, ` ${text}`);
    const atEnd = log().scrollTop + log().clientHeight > log().scrollHeight - 20;
    log().append(line);
    keepLast();
    if (atEnd) log().scrollTop = log().scrollHeight;
  }

  /** Put in place what the server renders now, at most once in a while. Lines that came since then stay. */
  async function renew() {
    if (loading) return (again = true);
    loading = true;
    again = false;
    try {
      const response = await fetch(shown().dataset.url);
      if (response.redirected || (response.status >= 400 && response.status < 500)) return stop(); // Signed out, or gone.
      if (response.ok) {
        const template = document.createElement("template");
        template.innerHTML = await response.text();
        const newest = Number([...template.content.querySelectorAll("[data-line]")].at(-1)?.dataset.line ?? 0);
        patch(shown(), template.content.firstElementChild, (old) => old.id === "job-log" && lastLine() >= newest);
        if (!open()) stop();
      }
    } catch {
      // The server is away; the stream comes back, or the next look.
    }
    setTimeout(() => {
      loading = false;
      if (again) renew();
    }, AT_MOST_EVERY_MS);
  }

  function stop() {
    source?.close();
    source = null;
    clearInterval(looking);
  }

  function follow() {
    source = new EventSource(`${shown().dataset.stream}?last_event_id=${lastLine()}`);
    source.addEventListener("job.log", append);
    source.addEventListener("job.changed", renew);
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) source = null; // It has ended, or can't be had: look now and then.
    };
  }

  const looking = setInterval(() => {
    if (!source && open() && !document.hidden) renew();
  }, POLL_MS);

  if (open()) {
    if (log()) log().scrollTop = log().scrollHeight;
    follow();
  } else {
    clearInterval(looking);
  }
})();
