// Runs the publishers' tag on a page of stubs and writes the address that it asks
// for an ad, one line a case; then how it calls the tracking URLs.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const tag = readFileSync(new URL("../tag.js", import.meta.url), "utf8");

// tcf and gpp call back like a platform that knows the answer.
const tcf = (...answers) => (command, version, back) => {
  if (command !== "addEventListener") return;
  answers.forEach((answer, i) => setTimeout(() => back({ listenerId: 1, ...answer }, true), 10 * i));
};
const gpp = (ping) => (command, back) => command === "addEventListener" && back({ listenerId: 1, pingData: ping }, true);

const cases = {
  "all attributes": [{}, {
    "data-hayate-keywords": "topic=tea, section=a b", "data-hayate-segments": "vip, acme/1",
    "data-hayate-categories": "IAB8,IAB8-18", "data-hayate-cattax": "1",
  }],
  "consent given before": [{ __tcfapi: tcf({ eventStatus: "tcloaded", gdprApplies: true, tcString: "CXX.IA" }) }],
  "consent given now": [{ __tcfapi: tcf({ eventStatus: "cmpuishown" }, { eventStatus: "useractioncomplete", tcString: "CXX" }) }],
  "still asking": [{ __tcfapi: tcf({ eventStatus: "cmpuishown" }) }],
  "no answer": [{ __tcfapi: () => {} }],
  "broken": [{ __tcfapi: () => { throw new Error("broken"); } }],
  "not in Europe": [{ __tcfapi: tcf({ gdprApplies: false }) }],
  "GPP": [{ __gpp: gpp({ signalStatus: "ready", gppString: "DBABM~x", applicableSections: [2, 6] }) }],
  "GPP not ready": [{ __gpp: gpp({ signalStatus: "not ready" }) }],
  "US Privacy": [{ __uspapi: (command, version, back) => back({ uspString: "1YNN" }, true) }],
  "Global Privacy Control": [{ navigator: { globalPrivacyControl: true } }],
  "too long": [{ __tcfapi: tcf({ eventStatus: "tcloaded", tcString: "C".repeat(7000) }) }],
};

for (const [name, [page, attributes]] of Object.entries(cases)) {
  const address = await new Promise((resolve) => run(page, attributes, resolve));
  console.log(name + ": " + address.replace("https://ads.example/v1/ad?format=json&placement=2", ""));
}

const calls = [];
await new Promise((resolve) => {
  const filled = { impressions: ["/t/i/1", "/t/i/2"], viewables: ["/t/v/1"], html: "", width: 300, height: 250 };
  const frame = { style: {}, setAttribute() {}, addEventListener: (name, loaded) => setTimeout(loaded) };
  run({
    document: { createElement: () => frame, addEventListener() {}, removeEventListener() {}, visibilityState: "visible" },
    IntersectionObserver: class {
      constructor(seen) { this.seen = seen; }
      observe() { setTimeout(() => this.seen([{ isIntersecting: true, intersectionRatio: 1 }])); }
      disconnect() {}
    },
    fetch(address, options) {
      if (address.startsWith("https:")) return Promise.resolve({ ok: true, json: () => Promise.resolve({ decisions: [filled] }) });
      calls.push(`${address} ${options.credentials}`);
      if (address === "/t/i/2" && calls.length === 2) return Promise.resolve({ status: 503 });
      if (calls.length === 4) resolve();
      return Promise.resolve({ status: 200, arrayBuffer: () => Promise.resolve() });
    },
  }, {}, () => {});
});
console.log("calls: " + calls.join(", "));

function run(page, attributes, resolve) {
  const own = { "data-hayate-placement": "2", "data-hayate-lazy": "off", ...attributes };
  const slot = {
    childNodes: [], style: {}, getAttribute: (name) => own[name] ?? null, hasAttribute: (name) => name in own,
    dispatchEvent() {}, appendChild() {},
  };
  const script = { src: "https://ads.example/tag.js", getAttribute: () => null, hasAttribute: () => false };
  const window = {
    location: { protocol: "https:", origin: "https://news.example", pathname: "/sports/a" }, navigator: {},
    setTimeout, clearTimeout, console, CustomEvent: class {},
    fetch(address) {
      resolve(address);
      return Promise.resolve({ ok: true, json: () => Promise.resolve({ decisions: [{ no_fill: "no_match" }] }) });
    },
    ...page,
  };
  window.document = { currentScript: script, readyState: "complete", querySelectorAll: () => [slot], ...page.document };
  window.window = window;
  vm.runInNewContext(tag, window);
}
