// The states of the reading panel, and what every key and click does in each of them. panel.js acts by this table
// and by nothing else; docs/reading-panel.md draws it, and tests/pages/test_panel_states.py tries every cell.
//
// One rule stands behind the table: Enter is final. From Enter to the receipt the answer on the screen is locked, so
// what is on the screen is what is saved, and what is typed meanwhile is dropped with a word, never kept for later.

// What a key or click means: the columns of the table.
const INTENTS = ["choose", "comment", "save", "correct", "leave", "view", "pause", "sheet"];

// What follows, in the order of INTENTS: the name of a deed of the panel, or of a refusal in words on the screen.
const STATES = {
  // The image is not on the screen yet: on arrival, and after a receipt until the next image is drawn.
  drawing: ["drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop"],
  saved: ["drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop"],
  // The reader answers.
  empty: ["choose", "comment", "ask", "correct", "nothing", "view", "pause", "openSheet"],
  chosen: ["choose", "comment", "send", "correct", "nothing", "view", "pause", "openSheet"],
  refused: ["choose", "comment", "send", "correct", "nothing", "view", "pause", "openSheet"],
  correcting: ["choose", "comment", "send", "correct", "cancel", "view", "pause", "openSheet"],
  // The protocol's time for the case is over: the image is covered, and the answer stands as it is.
  over: ["over", "over", "sendOver", "over", "cancelOver", "over", "over", "over"],
  offline: ["choose", "comment", "save", "offline", "nothing", "view", "pause", "openSheet"],
  // The answer is on its way, and locked.
  sending: ["lock", "lock", "wait", "lock", "lock", "view", "pause", "openSheet"],
  late: ["lock", "lock", "retry", "lock", "lock", "view", "pause", "openSheet"],
  // The next image is on the screen already: it can be judged, and is saved after the receipt of the last answer.
  ahead: ["choose", "comment", "queue", "lock", "lock", "view", "pause", "openSheet"],
  // Its Enter waits for that receipt: the answer is locked, as one on its way.
  queued: ["lock", "lock", "wait", "lock", "lock", "view", "pause", "openSheet"],
  // A training case is answered, and its right answer is on the screen.
  feedback: ["told", "told", "goOn", "told", "goOn", "view", "pause", "openSheet"],
  // Something covers the image; its one button has the focus, so Enter is that button's.
  paused: ["cover", "cover", "resume", "cover", "resume", "cover", "resume", "cover"],
  sheet: ["cover", "cover", "closeSheet", "cover", "closeSheet", "cover", "pause", "closeSheet"],
  // Instructions, the check of the screen, or a break between two blocks; no image is under it.
  card: ["tick", "cover", "goOn", "cover", "goOn", "cover", "cover", "cover"],
  dialog: ["cover", "cover", "cover", "cover", "cover", "cover", "cover", "cover"],
  // The panel has left the page (study closed, sign-in ended, all read): it hears nothing any more.
  closed: ["nothing", "nothing", "nothing", "nothing", "nothing", "nothing", "nothing", "nothing"],
};

// The deed of the table for one state and one intent.
function deedOf(state, intent) {
  return STATES[state][INTENTS.indexOf(intent)];
}

// The state that follows from what is known; the first line that holds wins.
function stateOf(facts) {
  if (facts.isClosed) return "closed";
  if (facts.isCard) return facts.isDialogOpen ? "dialog" : "card";
  if (!facts.isDrawn) return facts.hasReceipt ? "saved" : "drawing";
  if (facts.isDialogOpen) return "dialog";
  if (facts.isPaused) return "paused";
  if (facts.isSheetOpen) return "sheet";
  if (facts.isFeedback) return "feedback";
  if (facts.isPending && facts.isAhead) return facts.isQueued ? "queued" : facts.isOver ? "over" : "ahead";
  if (facts.isPending) return facts.isLate ? "late" : "sending";
  if (facts.isOver) return "over";
  if (facts.isOffline) return "offline";
  if (facts.isRefused) return "refused";
  if (facts.isCorrecting) return "correcting";
  return facts.isComplete ? "chosen" : "empty";
}
