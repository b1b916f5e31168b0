// The states of the reading panel, and what every key and click does in each of them. panel.js acts by this table
// and by nothing else; docs/reading-panel.md draws it, and tests/pages/test_panel_states.py tries every cell.
//
// One rule stands behind the table: Enter is final. From Enter to the receipt the answer on the screen is locked, so
// what is on the screen is what is saved, and what is typed meanwhile is dropped with a word, never kept for later.

// What a key or click means.
const INTENTS = ["choose", "comment", "save", "correct", "leave", "view", "pause", "sheet"];

// What may follow: the name of a deed of the panel, or of a refusal that is written on the screen.
const STATES = {
  // The image of the case is not on the screen yet: on arrival, and after a receipt until the next image is drawn.
  drawing: { choose: "drop", comment: "drop", save: "drop", correct: "drop", leave: "drop", view: "drop", pause: "drop", sheet: "drop" },
  saved: { choose: "drop", comment: "drop", save: "drop", correct: "drop", leave: "drop", view: "drop", pause: "drop", sheet: "drop" },
  // The reader answers.
  empty: { choose: "choose", comment: "comment", save: "ask", correct: "correct", leave: "nothing", view: "view", pause: "pause", sheet: "openSheet" },
  chosen: { choose: "choose", comment: "comment", save: "send", correct: "correct", leave: "nothing", view: "view", pause: "pause", sheet: "openSheet" },
  refused: { choose: "choose", comment: "comment", save: "send", correct: "correct", leave: "nothing", view: "view", pause: "pause", sheet: "openSheet" },
  correcting: { choose: "choose", comment: "comment", save: "send", correct: "nothing", leave: "cancel", view: "view", pause: "pause", sheet: "openSheet" },
  offline: { choose: "choose", comment: "comment", save: "save", correct: "offline", leave: "nothing", view: "view", pause: "pause", sheet: "openSheet" },
  // The answer is on its way, and locked.
  sending: { choose: "lock", comment: "lock", save: "wait", correct: "lock", leave: "lock", view: "view", pause: "pause", sheet: "openSheet" },
  late: { choose: "lock", comment: "lock", save: "retry", correct: "lock", leave: "lock", view: "view", pause: "pause", sheet: "openSheet" },
  // Something covers the image.
  paused: { choose: "cover", comment: "cover", save: "cover", correct: "cover", leave: "resume", view: "cover", pause: "resume", sheet: "cover" },
  sheet: { choose: "cover", comment: "cover", save: "cover", correct: "cover", leave: "closeSheet", view: "cover", pause: "pause", sheet: "closeSheet" },
};

// The state that follows from what is known; the first line that holds wins.
function stateOf(facts) {
  if (!facts.isDrawn) return facts.hasReceipt ? "saved" : "drawing";
  if (facts.isPaused) return "paused";
  if (facts.isSheetOpen) return "sheet";
  if (facts.isPending) return facts.isLate ? "late" : "sending";
  if (facts.isOffline) return "offline";
  if (facts.isRefused) return "refused";
  if (facts.isCorrecting) return "correcting";
  return facts.isComplete ? "chosen" : "empty";
}
