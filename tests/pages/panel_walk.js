// A reader, a line and a server that do anything at any time, around the real panel of panel_bench.py; and what must hold
// whatever they do. One seed is one walk. Time, frames and the line are this file's own, so that a walk is the same in
// every run and takes no time.
//
// Every image has counts of its own: what was drawn last says which case a key or click was made against.

function walks(templates, pictures) {
  let now = 0;
  let chance = null; // 0 ... 1, from the seed
  const timers = new Map();
  let frames = [];
  let nTimers = 0;
  const on = (target, name, value) => Object.defineProperty(target, name, { value, configurable: true, writable: true });
  on(performance, "now", () => now);
  on(window, "setTimeout", (then, ms = 0) => { timers.set(nTimers += 1, { at: now + Math.max(0, ms), then }); return nTimers; });
  on(window, "setInterval", (then, ms) => { timers.set(nTimers += 1, { at: now + ms, then, ms }); return nTimers; });
  for (const name of ["clearTimeout", "clearInterval"]) on(window, name, (id) => timers.delete(id));
  on(window, "requestAnimationFrame", (then) => frames.push(then));
  let isOnline = true;
  let isHidden = false;
  Object.defineProperty(navigator, "onLine", { get: () => isOnline, configurable: true });
  Object.defineProperty(document, "hidden", { get: () => isHidden, configurable: true });

  // ---- what is on the screen --------------------------------------------------------------------------------------

  let painted = { number: 0, at: Infinity }; // the picture on the canvas, and since when
  const paint = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...given) {
    if (this.canvas.isConnected) {
      const shown = colours.indexOf(room.panel.viewer.image?.pixels[0]) + 1;
      if (shown !== painted.number) painted = { number: shown, at: now };
    }
    return paint.apply(this, given);
  };
  const clear = CanvasRenderingContext2D.prototype.clearRect;
  CanvasRenderingContext2D.prototype.clearRect = function (...given) {
    if (this.canvas.isConnected && !room.panel?.viewer?.image) painted = { number: 0, at: now };
    return clear.apply(this, given);
  };
  const colours = pictures.map(([picture]) => picture.views[0].pixels[0]);
  const part = (name) => room.querySelector(`[data-part="${name}"]`);
  const isCovered = () => ["pause", "sheet", "over", "card"].some((name) => !part(name).hidden);
  const said = () => `${part("status").textContent} ${part("hint").textContent}`;

  // Which case the panel says it shows, and the answer that stands there.
  function shown() {
    if (!room.panel || room.panel.isClosed) return null;
    const number = Number(/\d+/.exec(part(part("notice").hidden ? "position" : "notice").textContent)?.[0] ?? 0);
    const chosen = (group) => room.querySelector(`[data-part=${group}] [aria-checked=true]`)?.dataset.key ?? "";
    const isUnreadable = part("flag").getAttribute("aria-checked") === "true";
    const answer = [chosen("classes"), isUnreadable ? "" : chosen("confidence"), isUnreadable, part("comment").value.trim(),
      isUnreadable ? part("reason").value.trim() : ""];
    return { number, isCorrection: !part("notice").hidden, answer: JSON.stringify(answer) };
  }

  // A message as the screen would show it.
  function asShown(message) {
    const { classes } = templates[0];
    const at = classes.findIndex(({ key }) => key === message.class_key) + 1;
    return JSON.stringify([at ? `class ${at}` : "", message.confidence ? `step ${message.confidence}` : "",
      message.is_unreadable, message.comment, message.unreadable_reason]);
  }

  // ---- the server -------------------------------------------------------------------------------------------------

  let store = new Map(); // by presentation: the stored messages, oldest first
  let line = []; // what is on its way, in both directions
  let server = {};
  const refused = new Map(); // by submit_id
  const faults = [];
  const told = new Map(); // by submit_id: whether the reader was told that it is not saved
  let messages = []; // every answer that the panel ever sent, once each
  let log = [];
  const number = (id) => Number(id.split("-")[1]);
  const code = (submitId) => submitId.slice(0, 4).toUpperCase();

  function save(message) {
    const { presentation_id: id, submit_id } = message;
    const stored = store.get(id) || [];
    const receipt = (state, text = "") => ({ submit_id, state, message: text, code: code(submit_id), saved_at: "2026-01-02", feedback: "" });
    if (refused.has(submit_id)) return refused.get(submit_id); // copies of one request do not arrive in another time
    if (!server.isSignedIn) {
      refused.set(submit_id, 401);
      return 401;
    }
    if (server.isBusy) return receipt("try-again", "the store is busy.");
    if (stored.some((one) => one.submit_id === submit_id)) return receipt("saved");
    if (!server.isOpen) {
      refused.set(submit_id, receipt("refused", "Not saved: the study is not open any more."));
      return refused.get(submit_id);
    }
    if (message.expected_revision === 0 && stored.length && stored[0].submit_id !== "ffff") fault(`case ${number(id)} was answered twice by this window`);
    if (message.expected_revision !== stored.length) return receipt("refused", "Not saved: this case has been answered in another window.");
    store.set(id, [...stored, message]);
    return receipt("saved");
  }

  // A frame as pack_frame makes it, of what the server knows now.
  function frame(submitId, have) {
    const open = templates.filter(({ presentation_id: id }) => !store.has(id));
    let header = open[0];
    const last = server.correcting && store.get(server.correcting);
    if (last) {
      const saved = last.at(-1);
      header = { ...templates[number(server.correcting) - 1], mode: "correct", revision: last.length,
        draft_key: `${server.correcting}:${last.length}`, previous: { ...saved, probabilities: null } };
    }
    if (!header || !server.isOpen || !server.isSignedIn) return null; // the page shows something else
    const after = last ? open : open.slice(1);
    header = { ...header, done: store.size, can_correct: store.size > 0, ahead: after.slice(0, 2),
      receipt: submitId && { submit_id: submitId, state: "done", message: "", code: "", saved_at: "", feedback: "" } };
    const places = have.length ? [header, ...header.ahead] : [header];
    const wanted = places.map((one) => one.presentation_id).filter((id) => !have.includes(id) && !server.sent.has(id));
    wanted.forEach((id) => server.sent.add(id));
    const images = wanted.map((id) => pictures[number(id) - 1][0]);
    const about = images.map(({ presentation_id, views }) => ({ presentation_id, views: views.map(({ pixels, ...view }) => view) }));
    const text = new TextEncoder().encode(JSON.stringify({ ...header, images: about }));
    const bodies = images.flatMap(({ views }) => views.map(({ pixels }) => pixels));
    const bytes = new Uint8Array(4 + text.length + bodies.reduce((sum, one) => sum + one.length, 0));
    new DataView(bytes.buffer).setUint32(0, text.length, true);
    bytes.set(text, 4);
    bodies.reduce((at, body) => { bytes.set(body, at); return at + body.length; }, 4 + text.length);
    return bytes;
  }

  // Draw the page of a frame: the panel, or (null) a screen without one.
  function draw(bytes) {
    if (bytes === null) {
      close?.();
      close = null;
      painted = { number: 0, at: now };
      return;
    }
    close = component({ data: bytes, parentElement: document.body, setTriggerValue: (_, value) => ask(value) });
  }

  function ask(value) {
    line.push({ kind: "ask", value });
  }

  on(window, "fetch", (address, options = {}) => new Promise((resolve, reject) => {
    const path = String(address);
    if (path.endsWith("/reading/answer")) {
      const message = JSON.parse(options.body);
      if (!told.has(message.submit_id)) heard(message);
      if (isOnline) line.push({ kind: "answer", message, resolve, reject });
      else reject(new TypeError("offline"));
    } else if (!isOnline || server.isDead) reject(new TypeError("offline"));
    else {
      const status = !server.isSignedIn ? 401 : path.includes("/pulse/") && !server.isOpen ? 410 : 204;
      resolve({ ok: status < 300, status: status === 204 && path.includes("/pulse/") ? 200 : status });
    }
  }));

  // The panel sends an answer for the first time: it must be what the reader saw and did.
  function heard(message) {
    const at = number(message.presentation_id);
    told.set(message.submit_id, false);
    messages.push(message);
    if (message.is_typed_ahead && mayTypeAhead) return; // it is marked
    const { classes } = templates[0];
    const did = deeds.get(at) || new Set();
    const needed = message.is_unreadable ? ["X"] : [`class ${classes.findIndex(({ key }) => key === message.class_key) + 1}`, `step ${message.confidence}`];
    const previous = (store.get(message.presentation_id) || []).at(-1);
    const before = previous ? JSON.parse(asShown(previous)) : [];
    for (const one of needed) {
      if (!did.has(one) && !before.includes(one) && !(one === "X" && before[2])) fault(`case ${at}: ${one} was never chosen on it`);
    }
    if (!did.has("Enter")) fault(`case ${at}: Enter was never pressed on it`);
    if (!(seen.get(at) || new Set()).has(asShown(message))) fault(`case ${at}: sent ${asShown(message)}, not on the screen at Enter`);
  }

  function fault(text) {
    faults.push(`${text}\n      ${log.slice(-25).join("\n      ")}`);
  }

  // One thing that is on its way arrives, or is lost.
  function arrive(index, isLost = false) {
    const [one] = line.splice(index, 1);
    if (one.kind === "answer") {
      if (isLost || server.isDead) return one.reject(new TypeError("lost"));
      const reply = save(one.message);
      line.push({ kind: "receipt", reply, resolve: one.resolve, reject: one.reject, of: one.message.submit_id });
    } else if (one.kind === "receipt") {
      if (isLost) return one.reject(new TypeError("lost"));
      if (one.reply === 401) return one.resolve({ ok: false, status: 401, headers: new Headers() });
      one.resolve({ ok: true, status: 200, json: async () => one.reply });
    } else if (one.kind === "ask") {
      if (isLost || server.isDead) return undefined;
      const { kind, submit_id, have, presentation_id: id } = one.value;
      if (/images|cancel|correct/.test(kind) && submit_id !== server.followed) server.sent.clear();
      server.followed = submit_id;
      if (one.value.unsaved) tellOf(`Case ${one.value.number} was not saved`); // by the page, where the panel goes
      if (/next|cancel|correct/.test(kind)) server.correcting = null;
      if (kind === "correct") {
        const earlier = [...store.keys()].filter((name) => name !== id);
        server.correcting = earlier.at(-1) ?? null;
      }
      line.push({ kind: "frame", bytes: frame(submit_id, kind === "images" ? [] : have) });
    } else if (!isLost) draw(one.bytes);
    return undefined;
  }

  // ---- the reader -------------------------------------------------------------------------------------------------

  const deeds = new Map(); // by case: what was pressed or clicked while its image was on the screen and nothing over it
  const seen = new Map(); // by case: what stood on the screen when Enter was pressed on it
  const left = new Map(); // by case: what stood there when it was last on the screen
  const add = (map, key, value) => map.set(key, (map.get(key) || new Set()).add(value));

  const KEYS = { 1: "Digit1", 2: "Digit2", 3: "Digit3", 4: "Digit4", q: "KeyQ", w: "KeyW", e: "KeyE", r: "KeyR", t: "KeyT",
    Enter: "Enter", " ": "Space", x: "KeyX", u: "KeyU", p: "KeyP", "?": "Slash", c: "KeyC", i: "KeyI", Escape: "Escape",
    ArrowDown: "ArrowDown", m: "KeyM", j: "KeyJ" };
  const NAMES = { q: "step 1", w: "step 2", e: "step 3", r: "step 4", t: "step 5", 1: "class 1", 2: "class 2", 3: "class 3",
    4: "class 4", x: "X", Enter: "Enter", " ": "Enter" };

  // What an act that was made just now is made against.
  function against(name, lateness = 0) {
    const before = shown();
    const isSeen = before !== null && painted.at < now - lateness && !isCovered();
    if (isSeen && name) add(deeds, painted.number, name);
    if (isSeen && name === "Enter" && before.number === painted.number) add(seen, painted.number, before.answer);
    return { before, isSeen };
  }

  // A key or click of a choice is taken by the image that it was made against, or refused in words.
  function answered(name, { before, isSeen }, isField) {
    if (isField || !/^(class|step)/.test(name || "")) return;
    const after = shown();
    if (after === null || before === null) return;
    const isTaken = JSON.parse(after.answer).includes(name);
    const isNew = isTaken && !JSON.parse(before.answer).includes(name);
    if (isNew && !mayTypeAhead && after.number !== before.number && left.get(String(after.number)) !== after.answer) fault(`${name} on case ${before.number} answers case ${after.number}`);
    if (isNew && !isSeen && !mayTypeAhead) fault(`${name} was taken by case ${after.number}, which was not on the screen`);
    if (!isTaken && isSeen && after.number === before.number && !/ot taken|unreadable|typed ahead/i.test(said())) {
      fault(`${name} on case ${before.number} was passed over in silence`);
    }
  }

  function event(Kind, type, given, target, lateness = 0) {
    const made = new Kind(type, { bubbles: true, composed: true, cancelable: true, ...given });
    on(made, "timeStamp", now - lateness);
    target.dispatchEvent(made);
    return made;
  }

  const { may_type_ahead: mayTypeAhead } = templates[0];

  // `lateness`: the browser was busy, and hands the key over so long after it was pressed.
  function press(key, lateness = 0) {
    const target = document.activeElement && room.contains(document.activeElement) ? document.activeElement : document.body;
    const isField = /^(TEXTAREA|INPUT)$/.test(target.tagName);
    const name = NAMES[key];
    const deed = against(isField && !(key === "Enter" && target === part("reason")) ? "" : name, lateness);
    if (key === "ArrowDown" && target.closest?.("[role=radiogroup]")) {
      const radios = [...target.parentElement.children];
      against(radios[(radios.indexOf(target) + 1) % radios.length].dataset.key);
    }
    const made = event(KeyboardEvent, "keydown", { key, code: KEYS[key] }, target, lateness);
    if (isField && !made.defaultPrevented && key.length === 1 && !target.readOnly && document.activeElement === target) {
      target.value += key;
      event(InputEvent, "input", {}, target);
    }
    answered(name, deed, isField);
    look();
  }

  async function click(name, wait) {
    const button = [...room.querySelectorAll(`button[data-key="${name}"]`)].find((one) => one.checkVisibility() && !one.disabled);
    if (!button || !room.panel) return;
    const deed = against(name); // it began going down
    event(PointerEvent, "pointerdown", { pointerType: "mouse", button: 0 }, button);
    if (wait) {
      await pass(wait);
      if (chance() < 0.5 && line.length) arrive(0);
      await pass(1);
    }
    if (!button.isConnected) return;
    event(PointerEvent, "click", { pointerType: "mouse", button: 0 }, button);
    answered(name, deed, false);
    look();
  }

  // ---- time, and what must hold at every moment -------------------------------------------------------------------

  const rest = async () => { for (let turn = 0; turn < 12; turn += 1) await null; };

  async function pass(ms) {
    const end = now + ms;
    for (let turn = 0; turn < 5000; turn += 1) {
      await rest();
      const due = [...timers].filter(([, one]) => one.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      const next = !isHidden && frames.length ? Math.floor(now / 16 + 1) * 16 : Infinity;
      if (next <= end && next <= (due?.[1].at ?? Infinity)) {
        now = next;
        frames.splice(0).forEach((then) => then(now));
      } else if (due) {
        now = Math.max(now, due[1].at);
        if (due[1].ms) due[1].at = now + due[1].ms;
        else timers.delete(due[0]);
        due[1].then();
      } else break;
    }
    now = end;
    await rest();
    look();
  }

  let lastNumber = "";
  function look() {
    const here = shown();
    const note = document.querySelector("[data-reading-outcome]")?.textContent ?? "";
    tellOf(note);
    if (here === null) {
      lastNumber = "";
      return;
    }
    const { panel } = room;
    const status = part("status");
    for (const id of [panel.pending, panel.queued].filter((one) => one?.kind === "answer").map((one) => one.submit_id)) {
      if (/not saved/i.test(said())) told.set(id, true);
    }
    tellOf(status.textContent);
    const receipt = /^(?:Case|Correction of case) (\d+) saved, receipt (\w+)/.exec(status.textContent);
    if (receipt) {
      const stored = store.get(`presentation-${receipt[1]}`) || [];
      if (!stored.some((one) => code(one.submit_id) === receipt[2])) fault(`"${status.textContent}", but it is not stored`);
    }
    if (status.dataset.tone === "saved" && !isOnline) fault("green while offline");
    const state = panel.state();
    visited.add(state);
    const locked = panel.queued ?? (panel.held ? null : panel.pending?.kind === "answer" ? panel.pending : null);
    if (locked && /sending|late|queued/.test(state)) {
      if (number(locked.presentation_id) !== here.number) fault(`case ${here.number} is on the screen while another is locked`);
      else if (asShown(locked) !== here.answer) fault(`on the screen ${here.answer}, sent ${asShown(locked)}`);
    }
    const key = `${here.number}${here.isCorrection ? "c" : ""}`;
    if (panel.isDrawn && panel.draft) {
      if (painted.number !== here.number) fault(`the canvas shows ${painted.number}, the panel says ${here.number}`);
      if (key !== lastNumber && !mayTypeAhead && !here.isCorrection && left.has(key) && !store.has(`presentation-${here.number}`)) {
        if (left.get(key) !== here.answer) fault(`the draft of case ${here.number} was ${left.get(key)}, and came back as ${here.answer}`);
      }
      lastNumber = key;
      left.set(key, here.answer);
    } else lastNumber = "";
  }

  // Cases that a text calls not saved.
  function tellOf(text) {
    for (const [, at] of text.matchAll(/case (\d+) (?:was|is) not saved/gi)) {
      messages.filter((one) => number(one.presentation_id) === Number(at)).forEach((one) => told.set(one.submit_id, true));
    }
  }

  const isStored = (message) => (store.get(message.presentation_id) || []).some((one) => one.submit_id === message.submit_id);
  let visited = new Set();

  function reload() {
    event(Event, "pagehide", {}, window);
    if (room.panel) { // its page is gone: nothing of it goes on
      room.panel.unlisten.forEach((undo) => undo());
      room.panel.isClosed = true;
    }
    close = null;
    timers.clear();
    frames = [];
    line = line.filter((one) => one.kind === "answer" || one.kind === "receipt"); // a request that is out goes on
    room.outerHTML = unused;
    room = document.querySelector(".room");
    painted = { number: 0, at: now };
    lastNumber = "";
    server.correcting = null;
    anew();
  }

  // A page with a new panel.
  function anew() {
    server.sent.clear();
    draw(frame(null, []));
  }

  function connect(state) {
    const app = document.querySelector("[data-testid=stApp]");
    if (app) app.dataset.testConnectionState = state;
  }

  // "Sign in again" leads to another page, and back.
  let isLeaving = false;
  const goOn = Panel.prototype.goOn;
  Panel.prototype.goOn = function () {
    if (this.cards.open?.leadsTo) isLeaving = true;
    else goOn.call(this);
  };

  const pick = (list) => list[Math.floor(chance() * list.length)];
  const DEEDS = [
    [26, () => press(pick(Object.keys(KEYS)))],
    [4, () => press(pick("1234qwert"), pick([10, 50, 200]))],
    [22, async () => { for (const key of [pick("1234"), pick("qwert"), "Enter"]) { press(key); await pass(pick([0, 0, 20, 120])); } }],
    [12, async () => { await pass(700); for (const key of [pick("1234"), pick("qwert"), "Enter"]) { press(key); await pass(5); } }],
    [3, async () => { await pass(700); press("u"); while (line.length) { arrive(0); await pass(1); } }],
    [6, () => { if (isCovered()) press("Escape"); }],
    [8, async () => { while (line.length) { arrive(0); await pass(1); } }],
    [8, () => press("Enter")],
    [10, () => click(pick(["class 1", "class 2", "class 3", "class 4", "step 1", "step 5", "X", "Enter", "U", "P", "?", "Escape"]), pick([0, 0, 30, 200]))],
    [3, async () => { await click("Enter", 0); await click("Enter", 0); }],
    [4, () => { const one = pick([...room.querySelectorAll("[role=radio], textarea, .save")]); if (room.panel) one?.focus(); }],
    [24, () => line.length && arrive(0)],
    [8, () => line.length && arrive(Math.floor(chance() * (line.findLastIndex((one) => one.kind !== "frame") + 1)), chance() < 0.5)],
    [12, () => pass(pick([5, 40, 200, 700]))],
    [4, () => pass(pick([1600, 3100, 5200]))],
    [2, () => { isOnline = chance() < 0.6; event(Event, isOnline ? "online" : "offline", {}, window); }],
    [2, () => connect(pick(["CONNECTED", "CONNECTED", "PINGING_SERVER"]))],
    [2, () => { isHidden = chance() < 0.3; event(Event, "visibilitychange", {}, document); }],
    [2, reload],
    ...["isBusy", "isDead"].map((what) => [1, () => { server[what] = chance() < 0.3; }]),
    ...["isSignedIn", "isOpen"].map((what) => [1, () => { server[what] = chance() < 0.8; }]),
    [2, () => { // another window answers the case that is next
      const next = templates.find(({ presentation_id: id }) => !store.has(id));
      if (next && server.isOpen && store.size < templates.length - 2) store.set(next.presentation_id, [{ ...other, presentation_id: next.presentation_id }]);
    }],
    [1, () => draw(null)], // another screen
    [3, () => close || anew()], // and back
  ];
  const other = { submit_id: "ffff", class_key: templates[0].classes[0].key, confidence: 1, comment: "other", is_unreadable: false, unreadable_reason: "", marks: [] };
  const sum = DEEDS.reduce((all, [weight]) => all + weight, 0);

  async function walk(seed, nSteps) {
    let state = seed * 2654435761 >>> 0;
    chance = () => { // xorshift
      state ^= state << 13; state >>>= 0; state ^= state >>> 17; state ^= state << 5; state >>>= 0;
      return state / 4294967296;
    };
    for (let turn = 0; turn < 20; turn += 1) chance();
    timers.clear();
    frames = [];
    renew();
    document.querySelector("[data-reading-outcome]")?.remove();
    document.body.insertAdjacentHTML("beforeend", '<div data-testid="stApp" data-test-connection-state="CONNECTED"></div>');
    [store, line, messages, log] = [new Map(), [], [], []];
    [deeds, seen, left, told, refused].forEach((one) => one.clear());
    faults.length = 0;
    [isOnline, isHidden, lastNumber, painted] = [true, false, "", { number: 0, at: Infinity }];
    visited = new Set();
    server = { isSignedIn: true, isOpen: true, isBusy: false, isDead: false, correcting: null, sent: new Set() };
    anew();
    await pass(60);
    for (let step = 0; step < nSteps && !faults.length; step += 1) {
      let at = chance() * sum;
      const [, deed] = DEEDS.find(([weight]) => (at -= weight) < 0);
      log.push(`${now}: ${String(deed).slice(0, 90)} | ${room.panel?.state()} | ${shown()?.number} ${shown()?.answer} | ${said()}`);
      await deed();
      await pass(pick([0, 1, 20]));
      if (isLeaving) {
        server.isSignedIn = true;
        isLeaving = false;
        reload();
      }
    }
    // All is well again: what was answered is stored, or the reader was told that it is not.
    [isOnline, isHidden] = [true, false];
    Object.assign(server, { isSignedIn: true, isOpen: true, isBusy: false, isDead: false });
    connect("CONNECTED");
    event(Event, "online", {}, window);
    event(Event, "visibilitychange", {}, document);
    if (!close) anew(); // the reader comes back
    for (let turn = 0; turn < 60 && !faults.length; turn += 1) {
      while (line.length) arrive(0);
      await pass(400);
    }
    if (!faults.length) {
      for (const message of messages) {
        if (!isStored(message) && !told.get(message.submit_id)) fault(`the answer to ${message.presentation_id} is neither stored nor said to be unsaved`);
      }
      if (room.panel && !room.panel.isClosed && /sending|late|drawing|saved|queued|ahead/.test(room.panel.state())) fault(`the panel stands still: ${room.panel.state()} ${said()}`);
    }
    return { faults: [...faults], nStored: [...store.values()].flat().length, nSent: messages.length, visited: [...visited] };
  }
  return walk;
}
