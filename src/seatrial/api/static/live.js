// Keeps the page current: the server says that something changed, the page asks for itself again and takes over what differs.
import { update } from "./hints.js";
import { morph } from "./morph.js";

const RETRY_MS = 1000, SILENCE_MS = 31000, GATHER_MS = 150;

let source, watchdog, retry, gathering, lostSince = null;

function topics() {
  return (document.body.dataset.topics ?? "").split(" ").filter(Boolean);
}

export function live() {
  if (!topics().length) return;
  // A browser has few connections to one server: pages that nobody sees give theirs back, and catch up when they are seen.
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : connect()));
  if (!document.hidden) connect();
}

function rest() {
  source?.close();
  clearTimeout(watchdog);
  clearTimeout(retry);
}

function connect() {
  rest();
  source = new EventSource("/events");
  source.addEventListener("hello", () => { found(); refresh(); });
  source.addEventListener("quiet", found);
  source.addEventListener("changed", (event) => {
    found();
    const mine = topics();
    if (mine.includes("*") || JSON.parse(event.data).some((topic) => mine.includes(topic))) soon();
  });
  source.onerror = lost;
  watchdog = setTimeout(lost, SILENCE_MS);
}

function found() {
  lostSince = null;
  clearTimeout(watchdog);
  watchdog = setTimeout(lost, SILENCE_MS);
  say("● live", false);
}

function lost() {
  rest();
  lostSince ??= new Date();
  say(`▲ disconnected since ${lostSince.toISOString().slice(11, 16)}`, true);
  retry = setTimeout(connect, RETRY_MS * (1 + Math.random()));
}

function say(text, isLost) {
  const link = document.getElementById("link");
  link.hidden = false;
  link.classList.toggle("lost", isLost);
  if (link.textContent !== text) link.textContent = text;
}

function soon() {
  clearTimeout(gathering);
  gathering = setTimeout(refresh, GATHER_MS * (1 + 3 * Math.random())); // not all pages at the same moment
}

async function refresh() {
  let text;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!response.ok) return;
    text = await response.text();
  } catch {
    return; // the stream says that the connection is lost, and asks again when it is back
  }
  take(new DOMParser().parseFromString(text, "text/html"));
}

function take(fresh) {
  Object.assign(document.body.dataset, { ...fresh.body.dataset });
  for (const region of fresh.querySelectorAll("[data-live]")) {
    const old = document.getElementById(region.id);
    if (!old) continue;
    const before = texts(old);
    morph(old, region);
    for (const [key, text] of texts(old)) if (before.has(key) && before.get(key) !== text) flash(old, key);
  }
  update();
  document.dispatchEvent(new Event("taken"));
}

function texts(region) {
  return new Map([...region.querySelectorAll("[data-key]")].map((row) => [row.dataset.key, row.textContent]));
}

function flash(region, key) {
  const row = region.querySelector(`[data-key="${CSS.escape(key)}"]`);
  row.classList.remove("changed");
  void row.offsetWidth; // begin the animation anew
  row.classList.add("changed");
}
