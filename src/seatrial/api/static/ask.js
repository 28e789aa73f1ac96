// Buttons ask in a dialog over the page instead of on a page of their own; the form and the server's answer are the same.
const dialog = document.getElementById("dialog");

export function asks() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("a[data-ask]");
    if (!button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(button.href);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-cancel]")) {
      event.preventDefault();
      dialog.close();
    }
  });
  dialog.addEventListener("submit", (event) => {
    event.preventDefault();
    send(event.target, event.submitter);
  });
}

async function open(address) {
  try {
    show(await (await fetch(address, { headers: { accept: "text/html" } })).text());
  } catch {
    location.href = address;
  }
}

async function send(form, button) {
  if (button) button.disabled = true; // once is enough
  try {
    const headers = { accept: "text/html", "content-type": "application/x-www-form-urlencoded" };
    const response = await fetch(form.action, { method: "POST", headers, body: new URLSearchParams(new FormData(form)) });
    if (response.redirected) location.href = response.url;
    else if (response.headers.get("content-type")?.startsWith("application/json")) complain(form, await response.json());
    else show(await response.text());
  } catch {
    complain(form, { code: "", message: "The control plane does not answer.", remedy: "Nothing is known to have changed." });
  }
  if (button) button.disabled = false;
}

function show(text) {
  const card = new DOMParser().parseFromString(text, "text/html").querySelector("main .card");
  dialog.replaceChildren(document.importNode(card, true));
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("[autofocus]")?.focus();
}

function complain(form, { code, message, remedy }) {
  form.querySelector(".error")?.remove();
  const line = document.createElement("p");
  line.className = "error";
  line.setAttribute("role", "alert");
  line.textContent = `✖ ${code} ${message} ${remedy}`;
  form.querySelector("h1").after(line);
}
