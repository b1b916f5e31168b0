"""Does anything reach a reader that a reader must not learn? The real app, a real browser, and canaries everywhere.

The app runs in a process of its own on a temporary store, SQLite or PostgreSQL. A reader signs in, reads, corrects, is
refused, meets a closed study, a damaged image and a store that is gone, asks for every other address, and signs out;
everything that the browser received meanwhile is searched. A class cannot be a canary, because a reader is shown all
classes: no case has the class that the reader answers, so in every frame the other classes must stand equally often.
Where the protocol shows the model, its answer to a case may come after the reader's own was sent, and not before.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actions.app_process import AppProcess
from actions.browser import Heard, Wire, headless_chromium
from actions.plant_canaries import N_CASES, READER, STUDY, PlantedStudy, planted_study
from core.canaries import CanarySearch, spellings
from core.errors import InputError, ReadingRoomError
from core.progress import OnProgress
from core.protocol import Design
from core.settings import PROJECT_FOLDER, Settings
from core.study import StudyState
from db import OPERATOR, Notary, Repository, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TRUTH = "class truth"
SERVER_LOG = "server log"
#: Addresses beside the screens that a curious reader may try.
_CURIOUS = (
    "nothing-here", "media/", "media/0.png", "_stcore/metrics", "_stcore/host-config", "_stcore/upload_file/a/b",
    "_stcore/script-health-check", "component/reading_panel/panel.js", "app/static/store.sqlite3", "static/none.js",
    "../store.sqlite3", "%2e%2e/store.sqlite3", "docs", "openapi.json",
)  # fmt: skip
_READY = ".room:is([data-state=empty], [data-state=chosen], [data-state=refused], [data-state=correcting])"
_COUNTERS = 32  # bytes by which frames differ in positions and counts
_FRAME_HEADER = b'{"presentation_id": '


@dataclass(frozen=True)
class Hit:
    """Something that reached the reader."""

    kind: str  # what it is: "file name", "patient id", "class truth", ...
    channel: str  # "websocket frame", "HTTP body", "server log", ...
    place: str  # what the reader was doing
    spelling: str  # "plain", "base64", ..., or what tells the class
    text: str


@dataclass(frozen=True)
class Searched:
    """How much of one channel was searched."""

    channel: str
    n_items: int
    n_bytes: int


@dataclass(frozen=True)
class BlindingReport:
    """What was planted, what was searched, and what was found."""

    at: datetime  # UTC
    seconds: float
    design: str
    engine: str  # "SQLite", or "PostgreSQL, readers under a role of their own"
    planted: dict[str, int]  # kind -> number of canaries
    places: tuple[str, ...]  # what the reader did, in order
    searched: tuple[Searched, ...]
    n_cases: int  # whose class was compared by frame
    n_revealed: int  # cases of which the model's answer came, as the protocol says, after the reader's own
    frame_bytes: dict[str, list[int]]  # "class 2" -> smallest and largest frame of a case
    hits: tuple[Hit, ...]

    @property
    def is_blind(self) -> bool:
        return not self.hits

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "at": self.at.isoformat(timespec="seconds"), "is_blind": self.is_blind}

    def to_text(self) -> str:
        """For people."""
        lines = [f"A study of the design '{self.design}' on {self.engine}", ""]
        lines += [f"Planted: {sum(self.planted.values())} canaries in {len(self.planted)} places"]
        lines += [f"  {kind}: {n}" for kind, n in self.planted.items()]
        lines += ["", f"The reader's way, {self.seconds:.0f} seconds:", *(f"  {place}" for place in self.places)]
        lines += ["", "Searched, in plain and in every spelling that docs/trust.md lists:"]
        lines += [f"  {each.channel}: {each.n_items:,}, {each.n_bytes:,} bytes" for each in self.searched]
        lines += ["", f"Class by frame: {self.n_cases} cases, no class may stand out by a word or by the frame's size"]
        lines += [f"  {name}: {low:,} to {high:,} bytes" for name, (low, high) in self.frame_bytes.items()]
        if self.n_revealed:
            lines += ["", f"The model's answer came after the reader's own, never before: {self.n_revealed} cases"]
        lines += ["", f"Hits: {len(self.hits)}"]
        lines += [f"  {hit.kind}: {hit.text} ({hit.spelling}) in {hit.channel}, {hit.place}" for hit in self.hits]
        return "\n".join(lines)


def audit_blinding(
    *,
    design: Design = Design.UNAIDED,
    postgresql: str | None = None,
    launcher: tuple[str, ...] = ("-m", "streamlit"),
    progress: OnProgress | None = None,
) -> BlindingReport:
    """Plant, serve, read, search; everything lies in a temporary folder that is gone afterwards.

    Parameters
    ----------
    design : Design
        Of the study; of one with two arms the unaided one is audited.
    postgresql : str, optional
        URL of a server on which a database and a role for the readers are made, and removed: the store lies there.
    launcher : tuple of str
        What Python runs to serve the app; another one serves a changed build. Settings are the defaults in any case.
    progress : callable, optional
        ``progress(done, total, what)``.

    Raises
    ------
    InputError
        If the design has no unaided arm.
    ReadingRoomError
        If Playwright or Chromium is missing, no database can be made, the app does not start, or a step of the way does
        not come to its end.
    """
    if design is Design.AIDED:
        raise InputError("this design has no unaided arm", field="design", value=str(design), fix="use another one")
    begun, at = time.monotonic(), datetime.now(UTC)
    with (
        tempfile.TemporaryDirectory(prefix="audit-blinding-") as folder,
        planted_study(Path(folder), design, postgresql) as planted,
        headless_chromium() as browser,
    ):
        environment = {**_default_settings(), "READING_ROOM_READER_DATABASE_URL": planted.store.reader_url}
        app = AppProcess(planted.folder, planted.store.url, environment=environment, launcher=launcher)
        wire = Wire()
        walk = _Walk(browser, app, planted, wire, progress or (lambda done, total, what: None))
        try:
            app.start()
            walk.go()
        finally:
            app.kill()
        log = [Heard(SERVER_LOG, "the whole walk", app.log.read_bytes())]
        case_at = _case_by_position(planted)
        n_cases, frame_bytes, size_hits = _compare_sizes(planted, wire, case_at)
        search = _Search(planted, {case_at[place]: since for place, since in walk.model_since.items()})
        hits = [*search.hits([*log, *wire.heard]), *size_hits]
    if search.revealed != set(search.since):
        raise ReadingRoomError(
            f"The model's answer came for {len(search.revealed)} of {len(search.since)} cases that were shown with it, "
            "so the audit proves nothing. Fix: the panel's frames have changed; adapt actions/audit_blinding.py."
        )
    return BlindingReport(
        at=at,
        seconds=time.monotonic() - begun,
        design=str(design),
        engine="PostgreSQL, readers under a role of their own" if postgresql else "SQLite",
        planted=dict(Counter(canary.kind for canary in planted.canaries)),
        places=tuple(walk.places),
        searched=_searched([*wire.heard, *log]),
        n_cases=n_cases,
        n_revealed=len(search.revealed),
        frame_bytes=frame_bytes,
        hits=tuple(hits),
    )


def _default_settings() -> dict[str, str]:
    """Every setting as if nobody had set it, also in ``.env``; one that cannot be empty is named with its default."""
    names = {f"READING_ROOM_{name.upper()}": "" for name in Settings.model_fields}
    return {**names, "READING_ROOM_IS_COOKIE_SECURE": "false", "READING_ROOM_DEVICE": "cpu"}


# --- the reader's way -------------------------------------------------------------------------------------------------


@dataclass
class _Walk:
    """One reader, from the sign-in page to the sign-out, past everything that can go wrong."""

    browser: Browser
    app: AppProcess
    planted: PlantedStudy
    wire: Wire
    progress: OnProgress

    def __post_init__(self) -> None:
        self.places: list[str] = []
        self.model_since: dict[int, int] = {}  # aided place -> how much was heard when its unaided answer was sent
        self.steps: tuple[tuple[str, Callable[[Page], None]], ...] = (
            ("not signed in", self._outside),
            ("signing in", self._sign_in),
            ("start page", self._home),
            ("reading", self._read),
            ("correcting", self._correct),
            ("refused: answered in another tab", self._refused),
            ("closed study", self._closed),
            ("damaged image", self._damaged),
            ("store out of reach", self._outage),
            ("reading to the end", self._read_on),
            ("screens of others by address", self._screens),
            ("other addresses", self._addresses),
            ("signed out", self._sign_out),
        )

    def go(self) -> None:
        """Every step, with a look at the page after each."""
        from playwright.sync_api import Error

        context = self.browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(30_000)
        page = context.new_page()
        self.wire.attach(page, with_http=True)
        for number, (place, step) in enumerate(self.steps):
            self.progress(number, len(self.steps), "blinding audit")
            self.wire.place = place
            self.places.append(place)
            try:
                step(page)
                self.wire.look(page)
            except Error as error:
                raise ReadingRoomError(
                    f"The audit came to a stop at '{place}': {str(error).strip().splitlines()[0]} Fix: try again when "
                    "the machine has less to do; if it stops there again, the app does not show what it should."
                ) from error
        self.progress(len(self.steps), len(self.steps), "blinding audit")
        context.close()

    def _open(self, page: Page, path: str) -> None:
        """A screen of the app, drawn."""
        page.goto(f"{self.app.url}/{path}")
        page.wait_for_selector(".room-foot .who")
        page.wait_for_selector("[data-test-script-state=notRunning]")
        self.wire.look(page)

    def _outside(self, page: Page) -> None:
        for path in ("", "read", "results", *_CURIOUS):
            page.goto(f"{self.app.url}/{path}")
            self.wire.look(page)
        self._fill_in(page, "not the password")
        page.wait_for_selector("[role=alert]")

    def _fill_in(self, page: Page, password: str) -> None:
        page.goto(f"{self.app.url}/sign-in")
        page.get_by_label("Login").fill(READER)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()

    def _sign_in(self, page: Page) -> None:
        self._fill_in(page, self.planted.password)
        page.wait_for_selector(".room-foot .who")

    def _home(self, page: Page) -> None:
        page.get_by_role("button", name=re.compile("[Rr]ead")).first.wait_for()

    def _read(self, page: Page) -> None:
        self._open(page, "read")
        for position in (1, 2):
            self._answer(page, position)
        self._wait_for_case(page, 3)

    def _answer(self, page: Page, position: int) -> None:
        """The first class, which no case has, and some words."""
        self._wait_for_case(page, position)
        self._type_answer(page, position)

    def _type_answer(self, page: Page, position: int) -> None:
        page.keyboard.press("c")
        page.keyboard.type("a comment")
        page.keyboard.press("Escape")
        page.keyboard.press("1")
        page.keyboard.press("e")
        if self._is_aided(position + 1):
            self.wire.look(page)  # whatever was sent until now was heard
            self.model_since.setdefault(position + 1, len(self.wire.heard))
        page.keyboard.press("Enter")

    def _wait_for_case(self, page: Page, position: int) -> None:
        """Until the image of a case is on the screen and may be answered, with the model's answer where it belongs."""
        page.locator("[data-part=position]", has_text=self._name_of(position)).wait_for()
        model = page.locator("[data-part=model-text]")
        if self._is_aided(position):
            model.filter(has_text=re.compile(r": \w")).wait_for()
        else:
            model.wait_for(state="hidden")
        page.locator(_READY).wait_for()

    def _is_aided(self, position: int) -> bool:
        """In a sequential study every second place is the case before it, with the model; else none is reached."""
        return self.planted.design is Design.SEQUENTIAL and position % 2 == 0

    def _name_of(self, position: int) -> str:
        """What stands above the image."""
        is_pair, is_crossover = (self.planted.design is design for design in (Design.SEQUENTIAL, Design.CROSSOVER))
        return f"Case {-(-position // 2) if is_pair else position} of {N_CASES * (1 + is_crossover)}"

    def _is_at(self, page: Page, position: int) -> bool:
        """Whether this place is on the screen, and not the one before it."""
        page.locator(_READY).wait_for()
        is_aided = page.locator("[data-part=model-text]").is_visible()
        is_named = self._name_of(position) in page.locator("[data-part=position]").inner_text()
        return is_named and is_aided == self._is_aided(position)

    def _correct(self, page: Page) -> None:
        page.keyboard.press("u")
        page.wait_for_selector(".room[data-state=correcting]")
        self.wire.look(page)
        page.keyboard.press("q")
        page.keyboard.press("Enter")
        self._wait_for_case(page, 3)

    def _refused(self, page: Page) -> None:
        other = page.context.new_page()
        self.wire.attach(other, with_http=True)
        self._open(other, "read")
        self._answer(other, 3)
        self._wait_for_case(other, 4)
        other.close()
        page.bring_to_front()
        self._answer(page, 3)
        page.get_by_text("answered in another window").wait_for()

    def _closed(self, page: Page) -> None:
        self._wait_for_case(page, 4)
        with self._study_closed():
            self._answer(page, 4)
            page.get_by_text(re.compile("No study is open")).first.wait_for()
            self._open(page, "read")
            self._open(page, "home")

    @contextmanager
    def _study_closed(self) -> Iterator[None]:
        engine = open_store(self.planted.store.url)
        operator = Repository(engine, OPERATOR, notary=Notary(self.planted.folder))
        operator.set_state(STUDY, StudyState.CLOSED)
        yield
        operator.set_state(STUDY, StudyState.OPEN)
        engine.dispose()

    def _damaged(self, page: Page) -> None:
        """No image can be read while one screen is drawn; what that failure says is not for readers."""
        with self.planted.store.damaged_images(self.planted.word("damaged image").encode()):
            self._open(page, "read")
            page.get_by_text("This screen could not be shown").wait_for()
            self.wire.look(page)

    def _outage(self, page: Page) -> None:
        self._open(page, "read")
        self._wait_for_case(page, 4)
        with self.planted.store.out_of_reach():
            self._type_answer(page, 4)  # the panel may know by now that nothing can be saved
            page.locator("[data-part=status]", has_text=re.compile("store|[Nn]ot saved|No connection")).wait_for()
            self.wire.look(page)
        self._open(page, "read")

    def _read_on(self, page: Page) -> None:
        n_places = N_CASES * (1 + (self.planted.design is Design.SEQUENTIAL))
        for position in range(5 if self._is_at(page, 5) else 4, n_places + 1):
            self._answer(page, position)
        if self.planted.design is Design.CROSSOVER:
            page.get_by_text("This part of the study is not open for you today").wait_for()
            return
        page.get_by_text("All cases are read").wait_for()
        self.wire.look(page)
        page.get_by_role("button", name="Correct my last answer").click()
        page.wait_for_selector(".room[data-state=correcting]")

    def _screens(self, page: Page) -> None:
        """Every file of ``pages/`` as an address: all screens, and some that are none."""
        for name in sorted(path.stem for path in (PROJECT_FOLDER / "pages").glob("[a-z]*.py")):
            self._open(page, f"{name}?study={STUDY}")

    def _addresses(self, page: Page) -> None:
        for path in _CURIOUS:
            answer = page.context.request.get(f"{self.app.url}/{path}", max_redirects=0)
            self.wire.keep("HTTP address and headers", repr([answer.url, answer.headers_array]).encode())
            self.wire.keep("HTTP body", answer.body())

    def _sign_out(self, page: Page) -> None:
        self._open(page, "home")
        other = page.context.new_page()
        self.wire.attach(other, with_http=True)
        self._open(other, "read")
        page.goto(f"{self.app.url}/sign-out")
        if page.url.endswith("/sign-out"):
            page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Password").wait_for()
        self.wire.look(page)
        other.reload()
        other.wait_for_load_state()
        self.wire.look(other)
        page.go_back()
        page.wait_for_load_state()


# --- the search -------------------------------------------------------------------------------------------------------


class _Search:
    """The canaries and classes in what was heard; ``revealed`` are cases whose model answer came when it should.

    Parameters
    ----------
    planted : PlantedStudy
        With its canaries.
    since : dict
        Case -> how much was heard when the model's answer to it might come.
    """

    def __init__(self, planted: PlantedStudy, since: dict[str, int]) -> None:
        self.planted, self.since = planted, since
        self.revealed: set[str] = set()

    def hits(self, heard: list[Heard]) -> list[Hit]:
        """Every canary and every class that stands out, once for each channel and place; the server's log is first."""
        search = CanarySearch(self.planted.canaries)
        where: dict[bytes, dict[tuple[str, str], None]] = defaultdict(dict)
        first: dict[bytes, int] = {}
        for number, each in enumerate(heard, -1):
            where[each.content][each.channel, each.place] = None
            first.setdefault(each.content, number)
        hits: dict[Hit, None] = {}
        for content, places in where.items():
            texts = list(spellings(content))
            found = [
                (find.canary.kind, find.spelling, find.canary.text)
                for find in search.find(texts)
                if not self._is_due(find.canary.text, first[content])
            ]
            found += [(TRUTH, how, word) for how, word in _standing_out(self.planted, texts)]
            for channel, place in places:
                hits |= dict.fromkeys(Hit(kind, channel, place, spelling, text) for kind, spelling, text in found)
        # Whoever runs the server reads its log, and knows where data folder and store lie.
        theirs = [(SERVER_LOG, "data folder"), (SERVER_LOG, "name of the store")]
        return [hit for hit in hits if (hit.channel, hit.kind) not in theirs]

    def _is_due(self, text: str, number: int) -> bool:
        """Whether this is the model's answer to a case that the reader had answered without it."""
        case = self.planted.case_of_output.get(text)
        if case is None or case not in self.since or number < self.since[case]:
            return False
        self.revealed.add(case)
        return True


def _standing_out(planted: PlantedStudy, texts: list[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    """Keys and labels of a class that the reader never answered, if they stand there more often than another's."""
    for name in ("key", "label"):
        words = [getattr(disease, name).lower() for disease in planted.classes[1:]]
        counts = [sum(text.lower().count(word.encode()) for _, text in texts) for word in words]
        if len(set(counts)) > 1:
            yield f"the {name} of one class stands out", words[counts.index(max(counts))]


def _compare_sizes(
    planted: PlantedStudy, wire: Wire, case_at: dict[int, str]
) -> tuple[int, dict[str, list[int]], list[Hit]]:
    """Number of cases seen, smallest and largest picture and frame of a case per class; a hit where two have none in
    common.

    A frame with several new cases tells the size of each picture, one with a single case its own as well.

    Raises
    ------
    ReadingRoomError
        If not every case was seen in a frame, for then nothing was compared.
    """
    pictures: dict[int, list[int]] = defaultdict(list)
    frames: dict[int, list[int]] = defaultdict(list)
    for header, length in _panel_headers(wire):
        place_of = {each["presentation_id"]: each["position"] for each in (header, *header["ahead"])}
        sent = [image for image in header["images"] if image["presentation_id"] in place_of]
        for image in sent:
            size = sum(view["height"] * view["width"] * view["channels"] * view["bits"] // 8 for view in image["views"])
            pictures[place_of[image["presentation_id"]]].append(size)
            if len(header["images"]) == 1 and header["mode"] == "read" and header["receipt"] is not None:
                frames[place_of[image["presentation_id"]]].append(length)
    n_seen = len({case_at[place] for place in pictures})
    if n_seen != N_CASES:
        raise ReadingRoomError(
            f"The audit saw the pictures of {n_seen} of {N_CASES} cases, so it proves nothing. Fix: the format "
            "of the panel's frames has changed; adapt actions/audit_blinding.py to it."
        )
    ranges: dict[str, list[int]] = {}
    truth = planted.truth_of
    for what, found in (("picture", pictures), ("frame", frames)):
        for number, disease in enumerate(planted.classes, 1):
            sizes = [size for place, each in found.items() if truth[case_at[place]] == disease.key for size in each]
            if sizes:
                ranges[f"class {number}, {what}"] = [min(sizes), max(sizes)]
    hits = [
        Hit(TRUTH, "websocket frame", "reading", "the sizes of frames do not overlap", f"{first} and {second}")
        for first, (_, high) in ranges.items()
        for second, (low, _) in ranges.items()
        if high + _COUNTERS < low and first.split(", ")[1] == second.split(", ")[1]
    ]
    return n_seen, ranges, hits


def _panel_headers(wire: Wire) -> Iterator[tuple[dict[str, Any], int]]:
    """The header of every frame of the reading panel, with the frame's length."""
    for frame in wire.received:
        start = frame.find(_FRAME_HEADER)
        if start >= 0:
            text = frame[start:].decode("utf-8", errors="replace")
            yield json.JSONDecoder().raw_decode(text)[0], len(frame)


def _case_by_position(planted: PlantedStudy) -> dict[int, str]:
    """The audited reader's first, second, ... case; asked of the store after the reading."""
    engine = open_store(planted.store.url)
    operator = Repository(engine, OPERATOR, notary=Notary(planted.folder))
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        operator.set_state(STUDY, state)
    found = {each.position: each.case for each in operator.readings(STUDY) if each.reader == READER}
    engine.dispose()
    return found


def _searched(heard: list[Heard]) -> tuple[Searched, ...]:
    """Number and bytes by channel."""
    channels = dict.fromkeys(each.channel for each in heard)
    found = {name: [len(each.content) for each in heard if each.channel == name] for name in channels}
    return tuple(Searched(name, len(lengths), sum(lengths)) for name, lengths in found.items())
