// The list of models, narrowed to lines that have a text. "/" goes there.
export function filter() {
  const input = document.getElementById("filter");
  if (!input) return;
  const apply = () => {
    const text = input.value.trim().toLowerCase();
    for (const row of document.querySelectorAll("#models tr[data-key]")) row.hidden = !row.textContent.toLowerCase().includes(text);
  };
  input.addEventListener("input", apply);
  document.addEventListener("taken", apply);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    input.focus();
  });
}
