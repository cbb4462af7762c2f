// The picker of models: a search over its boxes, and how many are chosen. Without this file it is a plain list of boxes.
(() => {
  "use strict";

  const count = (picker) => {
    const chosen = picker.querySelectorAll("input[type=checkbox]:checked").length;
    picker.querySelector("[data-picker-count]").textContent = chosen
      ? picker.dataset.some.replace("{count}", String(chosen))
      : picker.dataset.none;
  };

  const search = (picker, text) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    picker.querySelectorAll("[data-picker-part]").forEach((part) => {
      let inPart = 0;
      part.querySelectorAll("label[data-words]").forEach((label) => {
        const fits = words.every((word) => label.dataset.words.includes(word));
        label.hidden = !fits;
        if (fits) inPart += 1;
      });
      part.hidden = inPart === 0;
      shown += inPart;
    });
    picker.querySelector("[data-picker-nothing]").hidden = shown > 0;
  };

  const start = () => {
    document.querySelectorAll("[data-picker]").forEach((picker) => {
      picker.querySelector("[data-picker-search]").hidden = false;
      count(picker);
    });
  };

  document.addEventListener("input", (event) => {
    const picker = event.target.closest?.("[data-picker]");
    if (!picker) return;
    if (event.target.matches("[data-picker-search]")) search(picker, event.target.value);
    else count(picker);
  });
  // Enter in the search would send the form.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches?.("[data-picker-search]")) event.preventDefault();
  });
  document.addEventListener("htmx:afterSettle", start);
  start();
})();
