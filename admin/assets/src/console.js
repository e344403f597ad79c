// The console works without this script; it makes some things quicker.
import "htmx.org";
import { chart } from "./chart.js";
import { hourGrid } from "./hours.js";

// The markup carries no inline handlers: the content security policy forbids them.
function navigation() {
  const button = document.querySelector("[data-nav-toggle]");
  const menu = document.getElementById("navigation");
  button?.addEventListener("click", () => {
    const open = menu.classList.toggle("show");
    button.setAttribute("aria-expanded", String(open));
  });
}

function copyButtons() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = button.dataset.copied;
      setTimeout(() => (button.textContent = label), 2000);
    });
  }
}

// Fields that only one choice of a select or a radio group needs are hidden while another is chosen.
function choices() {
  const update = (control) => {
    const value = control.type === "radio" ? document.querySelector(`[name="${control.name}"]:checked`)?.value : control.value;
    for (const part of document.querySelectorAll(`[data-when^="${control.name}="]`)) {
      part.hidden = part.dataset.when !== `${control.name}=${value}`;
    }
  };
  for (const control of document.querySelectorAll("[data-choice]")) {
    control.addEventListener("change", () => update(control));
    update(control);
  }
}

// Asking before what cannot be undone, and one submit per form.
function forms() {
  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm;
    if (question && !window.confirm(question)) {
      event.preventDefault();
      return;
    }
    if (!event.defaultPrevented && event.target.method === "post") {
      setTimeout(() => event.submitter && (event.submitter.disabled = true));
    }
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button[type=submit]:disabled")) button.disabled = false;
  });
}

function theme() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
  dark.addEventListener("change", apply);
  apply();
}

theme();
document.addEventListener("DOMContentLoaded", () => {
  navigation();
  copyButtons();
  choices();
  forms();
  hourGrid();
  document.querySelectorAll("[data-chart]").forEach(chart);
});
document.addEventListener("htmx:afterSwap", copyButtons);
