// The publisher's tag of Hayate.
//
//   <div data-hayate-placement="12" data-hayate-size="300x250"
//        data-hayate-keywords="topic=go,topic=rust,level=beginner">
//     shown when there is no ad (optional)
//   </div>
//   <script async src="https://ads.example/tag.js"></script>
//
// A slot is any element with data-hayate-placement. Its size is reserved before
// the ad arrives, so that the page does not jump. What stands inside the element
// is shown when there is no ad; an element with nothing inside is then collapsed.
// data-hayate-lazy="off" asks for the ad at once, even below the fold, and
// data-hayate-test on a slot or on the script asks for ads that nobody pays for.
// data-hayate-debug on the script writes to the console what happens.
//
// data-hayate-segments names audience segments ("vip,acme/4711") and
// data-hayate-categories what the page is about (ids of the IAB's content taxonomy,
// of the version that data-hayate-cattax says), on a slot or on the script. They
// go with the page's address, without its query. What the visitor allows is asked
// of the page's consent platform (TCF, GPP, US Privacy) before each request; there
// is nothing to configure. A platform that does not answer within a second, or
// still waits for the visitor, is taken for a no: the ad is chosen by the page alone.
//
// A single-page application calls Hayate.refresh() after it has changed the page:
// new slots are filled and old ones ask again. Hayate.refresh(element) refreshes
// one. Each slot says what became of it with an event "hayate" that bubbles, its
// detail {placement, filled, reason}.
//
// The ad lives in a sandboxed frame without our or the page's origin: it can
// neither read the page nor navigate it without a click.
(function () {
  "use strict";

  var script = document.currentScript;
  if (window.Hayate) {
    window.Hayate.refresh(); // the tag stands twice on the page
    return;
  }
  if (!script || !script.src) return;

  var server = script.src.replace(/\/tag\.js([?#].*)?$/, "");
  var RETRY_MS = 2000; // a lease is fetched on first demand, and takes about a second
  var TIMEOUT_MS = 5000;
  var CONSENT_MS = 1000;
  var MAX_URL = 6000; // servers take 8 KB of request line and headers
  var VIEWABLE_MS = 1000; // half of the ad for one second: the MRC's viewable impression
  var VIEWABLE_PART = 0.5;
  var SANDBOX = "allow-scripts allow-popups allow-popups-to-escape-sandbox " +
    "allow-top-navigation-by-user-activation";

  // What we know of a slot, by element: turn counts its refreshes, so that an
  // answer to an older one is dropped; stop ends what observes the slot.
  var slots = new WeakMap();

  function debug() {
    if (script.hasAttribute("data-hayate-debug")) {
      console.log.apply(console, ["hayate:"].concat([].slice.call(arguments)));
    }
  }

  // safely runs what must never break the page.
  function safely(run) {
    return function () {
      try {
        return run.apply(null, arguments);
      } catch (error) {
        debug("error", error);
      }
    };
  }

  function refresh(element) {
    if (element) return load(element);
    [].forEach.call(document.querySelectorAll("[data-hayate-placement]"), safely(load));
  }

  // load begins a new turn of a slot.
  function load(element) {
    var before = slots.get(element);
    if (before) before.stop();
    var slot = {
      element: element,
      placement: element.getAttribute("data-hayate-placement"),
      turn: before ? before.turn + 1 : 1,
      fallback: before ? before.fallback : [].slice.call(element.childNodes),
      display: before ? before.display : element.style.display,
      stops: [],
      stop: function () {
        slot.stops.forEach(function (stop) { stop(); });
        slot.stops = [];
      },
    };
    slots.set(element, slot);
    reserve(slot);
    whenNear(slot, function () { request(slot, 1); });
  }

  // reserve takes the ad's place on the page, and hides what would stand there
  // without one.
  function reserve(slot) {
    var size = /^(\d+)x(\d+)$/.exec(slot.element.getAttribute("data-hayate-size") || "");
    slot.element.style.display = slot.display;
    if (size) {
      slot.element.style.minHeight = size[2] + "px";
      slot.element.style.maxWidth = "100%";
      slot.element.style.width = size[1] + "px";
    }
    if (slot.turn === 1) show(slot, []);
  }

  // show puts nodes into the slot in place of what is there.
  function show(slot, nodes) {
    while (slot.element.firstChild) slot.element.removeChild(slot.element.firstChild);
    nodes.forEach(function (node) { slot.element.appendChild(node); });
  }

  // whenNear runs once the slot is on the screen, or will soon be.
  function whenNear(slot, run) {
    run = safely(run);
    if (!window.IntersectionObserver || slot.element.getAttribute("data-hayate-lazy") === "off") {
      return run();
    }
    var observer = new IntersectionObserver(function (entries) {
      if (!entries.some(function (entry) { return entry.isIntersecting; })) return;
      observer.disconnect();
      run();
    }, { rootMargin: "400px 0px" });
    // An empty element without a size has no area, yet it does intersect.
    observer.observe(slot.element);
    slot.stops.push(function () { observer.disconnect(); });
  }

  function request(slot, attempt) {
    consent(safely(function (signals) { send(slot, attempt, signals); }));
  }

  function send(slot, attempt, signals) {
    if (slots.get(slot.element) !== slot) return; // refreshed meanwhile
    var abort = window.AbortController ? new AbortController() : null;
    var timer = setTimeout(function () { if (abort) abort.abort(); }, TIMEOUT_MS);
    fetch(url(slot, signals), { credentials: "omit", signal: abort ? abort.signal : undefined })
      .then(function (response) {
        if (!response.ok) throw new Error("the ad server answered " + response.status);
        return response.json();
      })
      .then(function (answer) { return answer.decisions[0]; })
      .catch(function (error) {
        debug("slot", slot.placement, error);
        return { no_fill: "error" };
      })
      .then(safely(function (decision) {
        clearTimeout(timer);
        if (slots.get(slot.element) !== slot) return;
        if (decision.no_fill === "no_lease" && attempt === 1) {
          var retry = setTimeout(function () { request(slot, 2); }, RETRY_MS);
          slot.stops.push(function () { clearTimeout(retry); });
          return;
        }
        if (decision.no_fill) return empty(slot, decision.no_fill);
        fill(slot, decision);
      }));
  }

  // url asks for a slot's ad. Where everything together is too long for a request
  // line, the page's address is left out, and then what a string would allow.
  function url(slot, signals) {
    var about = parameters(slot);
    var page = location.protocol.indexOf("http") === 0 ? parameter("url", location.origin + location.pathname) : "";
    var begin = server + "/v1/ad?format=json&placement=" + encodeURIComponent(slot.placement) + about;
    if ((begin + page + signals).length <= MAX_URL) return begin + page + signals;
    if ((begin + signals).length <= MAX_URL) return begin + signals;
    return begin + NO_CONSENT;
  }

  function parameters(slot) {
    var text = "";
    list(slot, "keywords").forEach(function (pair) {
      var equals = pair.indexOf("=");
      var key = pair.slice(0, equals).trim();
      var value = pair.slice(equals + 1).trim();
      if (equals > 0 && key && value) text += parameter("kw." + key, value);
    });
    list(slot, "segments").forEach(function (name) { text += parameter("seg", name); });
    list(slot, "categories").forEach(function (id) { text += parameter("cat", id); });
    list(slot, "cattax").forEach(function (id) { text += parameter("cattax", id); });
    if (slot.element.hasAttribute("data-hayate-test") || script.hasAttribute("data-hayate-test")) {
      text += "&test=1";
    }
    return text;
  }

  function parameter(name, value) {
    return "&" + encodeURIComponent(name) + "=" + encodeURIComponent(value);
  }

  // list reads an attribute of the slot, or else of the script.
  function list(slot, name) {
    var attribute = "data-hayate-" + name;
    var text = slot.element.getAttribute(attribute) || script.getAttribute(attribute) || "";
    return text.split(",").map(function (part) { return part.trim(); }).filter(Boolean);
  }

  // What the server cannot read is a no.
  var NO_CONSENT = "&gdpr_consent=unknown";

  // consent asks the page's consent platform what the visitor allows, and hands
  // on the answers as parameters. Whoever has not answered in time said no.
  function consent(done) {
    var questions = [askTCF, askGPP, askUSP].filter(function (ask) { return typeof window[ask.api] === "function"; });
    var text = navigator.globalPrivacyControl ? "&gpc=1" : "";
    var open = questions.length;
    if (!open) return done(text);
    var timer = setTimeout(function () { finish(NO_CONSENT); }, CONSENT_MS);
    function finish(more) {
      if (open < 0) return;
      text += more;
      open = -1;
      clearTimeout(timer);
      done(text);
    }
    questions.forEach(function (ask) {
      var answered = false;
      function answer(more) {
        if (answered || open < 0) return;
        answered = true;
        text += more;
        if (--open === 0) finish("");
      }
      try {
        ask(answer);
      } catch (error) {
        debug("consent", error);
        answer(NO_CONSENT);
      }
    });
  }

  // askTCF waits for the visitor's choice, or for one made earlier.
  function askTCF(answer) {
    window.__tcfapi("addEventListener", 2, function (data, success) {
      if (!success || !data) return answer(NO_CONSENT);
      if (data.gdprApplies === false) {
        answer("&gdpr=0");
      } else if (data.eventStatus === "tcloaded" || data.eventStatus === "useractioncomplete") {
        answer("&gdpr=1" + parameter("gdpr_consent", data.tcString || "unknown"));
      } else {
        return; // the visitor is being asked
      }
      window.__tcfapi("removeEventListener", 2, function () {}, data.listenerId);
    });
  }
  askTCF.api = "__tcfapi";

  function askGPP(answer) {
    window.__gpp("addEventListener", function (event, success) {
      var ping = event && event.pingData;
      if (success === false || !ping) return answer(NO_CONSENT);
      if (ping.signalStatus !== "ready") return;
      var sections = ping.applicableSections || [];
      answer((ping.gppString ? parameter("gpp", ping.gppString) : "") +
        (sections.length ? parameter("gpp_sid", sections.join(",")) : ""));
      window.__gpp("removeEventListener", function () {}, event.listenerId);
    });
  }
  askGPP.api = "__gpp";

  function askUSP(answer) {
    window.__uspapi("getUSPData", 1, function (data, success) {
      answer(success && data && data.uspString ? parameter("us_privacy", data.uspString) : NO_CONSENT);
    });
  }
  askUSP.api = "__uspapi";

  // empty shows the fallback, or takes the slot's place away.
  function empty(slot, reason) {
    debug("slot", slot.placement, "no ad:", reason);
    show(slot, slot.fallback);
    slot.element.style.minHeight = "";
    var something = slot.fallback.some(function (node) {
      return node.nodeType === 1 || (node.nodeType === 3 && node.nodeValue.trim());
    });
    if (!something) slot.element.style.display = "none";
    tell(slot, { placement: slot.placement, filled: false, reason: reason });
  }

  function fill(slot, decision) {
    var frame = document.createElement("iframe");
    frame.setAttribute("sandbox", SANDBOX);
    frame.title = "Advertisement";
    frame.width = decision.width;
    frame.height = decision.height;
    frame.scrolling = "no";
    frame.style.border = "0";
    frame.style.display = "block";
    frame.style.maxWidth = "100%";
    // A link of the ad opens a window of its own, never the ad's frame.
    frame.srcdoc = "<!doctype html><meta charset=utf-8><base target=_blank>" +
      "<style>html,body{margin:0;overflow:hidden}</style>" + decision.html;
    frame.addEventListener("load", safely(function () {
      debug("slot", slot.placement, "shows creative", decision.creative);
      decision.impressions.forEach(function (address) { ping(address, "include", 1); });
      whenViewable(slot, frame, function () {
        decision.viewables.forEach(function (address) { ping(address, "omit", 1); });
      });
    }), { once: true });
    show(slot, [frame]);
    tell(slot, { placement: slot.placement, filled: true });
  }

  // whenViewable runs once half of the frame has been on the screen for a second
  // without a break.
  function whenViewable(slot, frame, run) {
    if (!window.IntersectionObserver) return;
    var timer = null;
    var inView = false;
    function update() {
      var visible = inView && document.visibilityState === "visible";
      if (visible && !timer) {
        timer = setTimeout(function () {
          stop();
          safely(run)();
        }, VIEWABLE_MS);
      } else if (!visible && timer) {
        clearTimeout(timer);
        timer = null;
      }
    }
    var observer = new IntersectionObserver(function (entries) {
      inView = entries[entries.length - 1].intersectionRatio >= VIEWABLE_PART;
      update();
    }, { threshold: [VIEWABLE_PART] });
    function stop() {
      observer.disconnect();
      document.removeEventListener("visibilitychange", update);
      clearTimeout(timer);
    }
    observer.observe(frame);
    document.addEventListener("visibilitychange", update);
    slot.stops.push(stop);
  }

  // ping calls a tracking URL. The server counts each only once, so that one
  // more try after a failure can do no harm. With the credentials of an impression
  // the browser keeps the cookie that remembers it for a conversion, if the server
  // sends one: it does when the visitor allowed that. None is ever sent along, as
  // the cookie is for another address.
  function ping(address, credentials, attempt) {
    fetch(address, { credentials: credentials, keepalive: true, cache: "no-store" })
      .then(function (response) {
        if (response.status === 503) throw new Error("not recorded");
        return response.arrayBuffer(); // an answer left unread keeps its request open
      })
      .catch(function (error) {
        debug("tracking", error);
        if (attempt === 1) setTimeout(function () { ping(address, credentials, 2); }, RETRY_MS);
      });
  }

  function tell(slot, detail) {
    slot.element.dispatchEvent(new CustomEvent("hayate", { bubbles: true, detail: detail }));
  }

  window.Hayate = Object.freeze({ refresh: safely(refresh) });
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", function () { window.Hayate.refresh(); }, { once: true });
  } else {
    window.Hayate.refresh();
  }
})();
