"""How complete an answer is, in words: who answered, who did not, and since when (PROTOCOL 5.4)."""

from typing import Any

from meshpacs.cli.screen import clock, milliseconds, plural, safe

Json = dict[str, Any]

REASONS = {
    "truncated": "{name} has more rows than it returned; ask more narrowly.",
    "refused": "{name} refused to answer.",
    "busy": "{name} was too busy to answer.",
    "unsupported": "{name} runs a version that does not know this kind of query.",
    "failed": "{name} could not search its own archive.",
}


def completeness(report: Json | None) -> list[str]:
    """Sentences that belong under every answer; the first counts, the others name."""
    if report is None:
        return ["Only this node's own archive was searched."]
    asked = [line for line in report["members"] if line["status"] != "outside"]
    answered = [line for line in asked if line["status"] in ("answered", "truncated")]
    hops = max((line["hops"] for line in answered), default=0)
    took = milliseconds(report["took_us"])
    clinics = plural(len(asked), "clinic")
    far = f", over at most {plural(hops, 'hop')}" if hops else ""
    words = [f"{len(answered)} of {clinics} answered in {took}{far}."]
    words += [_sentence(line) for line in asked if line["status"] != "answered"]
    outside = len(report["members"]) - len(asked)
    if outside:
        words.append(f"{plural(outside, 'clinic')} beyond the ball: not asked.")
    if report["doubtful"]:
        words.append("Something failed on the way, so some of those may not be beyond it.")
    if report["cancelled"]:
        words.append("The query was cancelled before its end.")
    return words


def _sentence(line: Json) -> str:
    name = safe(line["name"])
    match line["status"]:
        case "unreachable" if line["since_us"]:
            return f"{name} has not been heard since {clock(line['since_us'])}."
        case "unreachable":
            return f"{name} has never been heard by this node."
        case "skewed":
            minutes = abs(line["skew_us"]) / 60e6
            way = "ahead of" if line["skew_us"] > 0 else "behind"
            return f"{name}'s clock is {minutes:.0f} min {way} ours; it could not answer."
        case status:
            return REASONS.get(status, "{name}: " + safe(status)).format(name=name)


NOUNS = {"PATIENT": "patient", "STUDY": "study", "SERIES": "series", "IMAGE": "image"}


def verdict(found: Json) -> str:
    """The last line: whether what is not listed can be taken for absent."""
    noun = NOUNS[found["level"]]
    nothing = not found["matches"]
    if found["report"] is None:
        return f"No such {noun} here; the other clinics were not asked." if nothing else ""
    if not found["complete"]:
        what = f"No such {noun} was found, but this" if nothing else "This"
        return f"{what} answer is not complete."
    return f"No such {noun}: every clinic that was asked says so." if nothing else ""
