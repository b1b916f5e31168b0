"""The Methods text of a protocol: what a paper says about how the readings were made, in whole sentences.

Only what the protocol fixes is said; what happened (numbers read, deviations) is the study report's.
"""

from __future__ import annotations

from core.protocol import Comparison, Design, GoingBack, Protocol, ScaleKind


def methods_text(protocol: Protocol) -> str:
    """Paragraphs of plain text, with a blank line between them."""
    paragraphs = [
        [_question(protocol), _scale(protocol), _optional_answers(protocol)],
        [_design(protocol), _order(protocol), _training(protocol)],
        [_display(protocol), _corrections(protocol)],
        [_view_of_model(protocol)],
        [_blinding(protocol)],
        [_plan(protocol)],
        [protocol.ethics, protocol.registration, protocol.funding],
    ]
    texts = (" ".join(sentence.strip() for sentence in each if sentence.strip()) for each in paragraphs)
    return "\n\n".join(text for text in texts if text)


def reader_instructions(protocol: Protocol) -> str:
    """What readers are told before the first case and with the keys: the protocol's words, and the time for a case."""
    limit = protocol.timeout_seconds
    if limit is None:
        return protocol.instructions
    return (
        f"{protocol.instructions}\n\nYou have {limit} {'second' if limit == 1 else 'seconds'} for each case, counted "
        "from the moment at which its image appears; a pause does not stop them. Then the image is covered and your "
        "answer stands as you have chosen it: Enter saves it. A case without an answer by then counts as not answered "
        "in time."
    ).strip()


def _question(protocol: Protocol) -> str:
    names = [disease.label for disease in protocol.classes]
    return (
        f'Readers answered the question "{protocol.question}" with one of {len(names)} classes: '
        f"{', '.join(names[:-1])} or {names[-1]}."
    )


def _scale(protocol: Protocol) -> str:
    scale = protocol.scale
    match scale.kind:
        case ScaleKind.LABEL:
            return "No confidence was asked for."
        case ScaleKind.ORDINAL:
            return f"Confidence in the class was stated in {scale.n_steps} steps ({', '.join(scale.words)})."
        case ScaleKind.PERCENT:
            return "Confidence in the class was stated from 0 to 100."
        case ScaleKind.PROBABILITIES:
            return "Readers stated a probability for each class; the probabilities summed to 100 %."


def _optional_answers(protocol: Protocol) -> str:
    sentences = []
    if protocol.may_mark_unreadable:
        sentences.append("A case could be called not readable, with a reason, instead of an answer.")
    if protocol.has_location_mark:
        sentences.append("The place of the lesion was marked in the image.")
    if protocol.timeout_seconds is not None:
        sentences.append(
            f"The image of a case was covered after {protocol.timeout_seconds} seconds, and the answer could not be "
            "changed any more; a case without an answer by then counts as not answered in time, and no answer was "
            "guessed for it. Readers were told so beforehand."
        )
    return " ".join(sentences)


def _design(protocol: Protocol) -> str:
    model = protocol.model_shown.name
    match protocol.design:
        case Design.UNAIDED:
            return "Every case was read once, without the model's answer."
        case Design.AIDED:
            return f"Every case was read once, with the answer of {_shown(protocol)} beside the image."
        case Design.SEQUENTIAL:
            return (
                f"Every case was first read without the model; then the answer of {_shown(protocol)} was shown and the "
                "same case was answered again. Both answers were kept; the first could not be changed afterwards."
            )
        case Design.CROSSOVER:
            return (
                f"Every case was read twice by each reader, once without and once with the answer of {_shown(protocol)}"
                f", at least {protocol.washout_days} days apart. Half of the readers began with, half without {model}."
            )


def _shown(protocol: Protocol) -> str:
    """What of the model readers saw, with its name."""
    parts = [
        name
        for name, is_shown in (
            ("class probabilities", protocol.model_shown.has_probabilities),
            ("class map", protocol.model_shown.has_class_map),
        )
        if is_shown
    ]
    return protocol.model_shown.name + (f" ({' and '.join(parts)})" if parts else " (class only)")


def _order(protocol: Protocol) -> str:
    order = protocol.order
    text = f"Each reader met the cases in an own random order, drawn and stored before reading (seed {order.seed})"
    if order.block_size is not None:
        text += f", in blocks of {order.block_size}"
        text += " balanced by class and cohort" if order.is_stratified else ""
    text += "."
    if order.n_repeats:
        text += (
            f" {order.n_repeats} cases were shown a second time without a word, at least {order.repeat_distance} "
            "other cases later."
        )
    return text


def _training(protocol: Protocol) -> str:
    if protocol.training_cohort is None:
        return ""
    return f"Before, the cases of cohort '{protocol.training_cohort}' were read as training, and the right answer told."


def _display(protocol: Protocol) -> str:
    display = protocol.display
    kind = "interpolated" if display.is_smooth else "not interpolated"
    text = (
        f"Images were first shown in {str(display.colour_table).replace('-', ' ')}, {kind}, with a window from "
        f"{display.lower_percent:g} to {display.upper_percent:g} % of the maximum count; readers could change both."
    )
    if protocol.conditions.min_width_px or protocol.conditions.min_height_px:
        text += (
            f" A window of at least {protocol.conditions.min_width_px} by {protocol.conditions.min_height_px} pixels "
            "was asked for."
        )
    return text


def _view_of_model(protocol: Protocol) -> str:
    return f"Of the views of a case the model took '{protocol.model_view}'." if protocol.model_view else ""


def _corrections(protocol: Protocol) -> str:
    match protocol.going_back:
        case GoingBack.NEVER:
            return "An answer could not be changed."
        case GoingBack.LAST:
            text = "The last answer could be corrected"
        case GoingBack.ANY:
            text = "Answers could be corrected"
    until = (
        f"until {protocol.going_back_until.isoformat()}" if protocol.going_back_until else "while the study was open"
    )
    return f"{text} {until}; every version was kept, the last one counts."


def _blinding(protocol: Protocol) -> str:
    text = (
        "Readers saw neither the reference standard, other readers' answers, file names nor patient data; images were "
        "shown without metadata."
    )
    if protocol.comparison is Comparison.LIVE:
        return text + " Coordinators could compare readers and model while reading went on; each look was logged."
    return text + " Reference standard, model and answers were compared only after the study was unsealed."


def _plan(protocol: Protocol) -> str:
    sentences = []
    if protocol.primary_endpoint:
        sentences.append(f"Primary endpoint: {protocol.primary_endpoint.rstrip('.')}.")
    if protocol.secondary_endpoints:
        sentences.append("Secondary endpoints: " + "; ".join(protocol.secondary_endpoints).rstrip(".") + ".")
    if protocol.margin is not None:
        sentences.append(f"The margin of non-inferiority was {protocol.margin:g}.")
    planned = protocol.planned
    if planned.n_readers is not None or planned.n_cases is not None:
        parts = [f"{n} {what}" for n, what in ((planned.n_readers, "readers"), (planned.n_cases, "cases")) if n]
        sentences.append(f"Planned were {' and '.join(parts)}.")
    return " ".join([*sentences, protocol.analysis_plan])
