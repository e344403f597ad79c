// The hour-of-week grid: a click on a day or an hour sets or clears its whole row or column.
export function hourGrid() {
  for (const grid of document.querySelectorAll("[data-hours]")) {
    grid.addEventListener("click", (event) => {
      const button = event.target.closest("[data-select]");
      if (!button) return;
      const boxes = [...grid.querySelectorAll(button.dataset.select)];
      const on = !boxes.every((box) => box.checked);
      for (const box of boxes) box.checked = on;
    });
  }
}
