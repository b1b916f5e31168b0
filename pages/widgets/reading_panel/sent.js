// Answers whose receipt has not come, kept in this tab. Enter is final: a page that is loaded again goes on sending them,
// a panel that has left the page does so too, and what became of each is told.

const SENT_KEY = "reading-room-on-its-way";
const OUTCOME = "[data-reading-outcome]";

class Sent {
  constructor(panel) {
    this.panel = panel;
    this.id = newSubmitId(); // of this panel: one at a time goes on with an answer
    this.outcomes = new Map(); // by submit_id: what is told
  }

  // `header`: of the case that was answered.
  remember(message, { number, mode, reader }) {
    const sent = { message, number, mode, reader, panel_id: this.id };
    keepInTab(SENT_KEY, JSON.stringify({ ...this.kept(), [message.submit_id]: sent }));
  }

  forget(submitId) {
    const { [submitId]: _, ...others } = this.kept();
    keepInTab(SENT_KEY, JSON.stringify(others));
  }

  kept() {
    try {
      return JSON.parse(keptInTab(SENT_KEY)) || {};
    } catch {
      return {};
    }
  }

  // With the first case of a new page: its answer, if it is among them, is locked as it was sent; others go in silence.
  goOn() {
    const { panel } = this;
    const { presentation_id: id, revision, reader, answer_address: address } = panel.header;
    if (this.hasGoneOn || !address) return;
    this.hasGoneOn = true;
    for (const sent of Object.values(this.kept()).filter((one) => one.reader === reader)) {
      const { message } = sent;
      if (id === message.presentation_id && revision === message.expected_revision && !panel.pending) {
        panel.pending = message;
        panel.sendPending();
      } else {
        this.remember(message, sent);
        this.tellOutcome(sent);
      }
    }
  }

  // What becomes of an answer whose case, or whose panel, has left the screen; it is sent until there is a reply.
  async tellOutcome({ message, number, mode }) {
    const { panel } = this;
    const sleep = (ms) => new Promise((then) => setTimeout(then, ms));
    const what = `${mode === "correct" ? "Correction of case" : "Case"} ${number}`;
    const tell = (text, tone) => {
      this.outcomes.set(message.submit_id, text); // of several answers each
      const all = [...this.outcomes.values()].join(" ");
      if (panel.isClosed) tellOnPage(all, tone);
      else panel.say(all, tone);
    };
    for (let wait = AGAIN_MS; ; wait = Math.min(2 * wait, LONGEST_AGAIN_MS)) {
      const reply = await Promise.race([panel.deliver(message), sleep(LONGEST_AGAIN_MS)]);
      if (this.kept()[message.submit_id]?.panel_id !== this.id) return; // another panel goes on
      if (reply && reply.state !== "try-again") this.forget(message.submit_id);
      if (reply?.state === "saved") return tell(`${what} saved, receipt ${reply.code}.`, "saved");
      if (reply?.state === "refused") {
        const why = reply.message.replace(/^Not saved/, `${what} was not saved`);
        return tell(`${why} Your answer is kept in this browser tab.`, "alert");
      }
      tell(`${what} is not saved yet.`, "alert");
      await sleep(wait);
    }
  }
}

// A word at the foot of a page that has no panel any more.
function tellOnPage(text, tone) {
  const old = document.querySelector(OUTCOME);
  const note = old || document.createElement("div");
  Object.assign(note, { textContent: text, role: "alert", title: "" });
  note.dataset.readingOutcome = tone;
  Object.assign(note.style, {
    position: "fixed", left: "50%", bottom: "44px", transform: "translateX(-50%)", zIndex: 1000, padding: "10px 16px",
    maxWidth: "90vw", borderRadius: "6px", color: "#14171a", background: tone === "saved" ? "#7ddb9a" : "#ffd166",
    font: "600 16px/1.3 var(--st-font, \"Source Sans\", sans-serif)",
  });
  if (!old) document.body.append(note);
  if (tone === "saved") setTimeout(() => note.remove(), PATIENCE_MS);
}

function forgetOnPage() {
  document.querySelector(OUTCOME)?.remove();
}
