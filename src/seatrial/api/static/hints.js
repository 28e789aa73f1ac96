// Relative times beside absolute ones. A replay's clock stands still between looks: there "now" is what the page said.
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const offset = Date.parse(document.body.dataset.now) - Date.now();

function now() {
  const body = document.body.dataset;
  return body.clock === "replay" ? Date.parse(body.now) : Date.now() + offset;
}

function words(seconds) {
  const size = Math.abs(seconds);
  if (size < 5) return "now";
  const [unit, name] = UNITS.find(([unit]) => size >= unit);
  const amount = `${Math.floor(size / unit)} ${name}`;
  return seconds < 0 ? `in ${amount}` : `${amount} ago`;
}

export function update() {
  for (const time of document.querySelectorAll("time[data-hint]")) {
    const seconds = (now() - Date.parse(time.dateTime)) / 1000;
    if (Number.isFinite(seconds)) time.dataset.ago = words(seconds);
  }
}

export function hint() {
  update();
  setInterval(update, 5000);
}
