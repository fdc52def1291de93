"""What an association may be used for: presentation contexts, roles, extensions (PS3.7 annex D).

`negotiate` is the acceptor's side; `agreed` reads the answer on the requestor's. The acceptor
takes the first transfer syntax that the requestor proposes of those it knows, unless it prefers
some: for storage that keeps what the sender has, for queries it saves a conversion. Where the
requestor is to be the SCP, in a C-GET, the sender is the acceptor, which does not know yet what it
will send on a context: it takes what it could turn everything into.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from meshpacs.dimse.pdu import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    Extended,
    ProposedContext,
    Result,
    Role,
    User,
)
from meshpacs.model.limits import PDU_BYTES
from meshpacs.model.query import Rules

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

IMPLEMENTATION_CLASS = "2.25.149817340917351205120373893024519874031"
"""This implementation, a UUID under 2.25 as PS3.5 B.2 allows; the archive writes the same one."""

IMPLEMENTATION_VERSION = "MESHPACS"


@dataclass(frozen=True, slots=True)
class Offer:
    """What an acceptor has to offer for one abstract syntax."""

    transfer_syntaxes: tuple[str, ...] | None
    """Those it knows, the preferred first; None: any of the standard's, the requestor's first."""
    scu: bool = False
    """Whether it agrees that the requestor is the SCP and it the SCU, where proposed."""
    scp: bool = True
    """Whether it agrees that the requestor is the SCU and it the SCP."""
    sends: tuple[str, ...] = ()
    """Where the requestor is the SCP: those that are taken before its first, the best first."""


@dataclass(frozen=True, slots=True)
class Context:
    """One accepted presentation context."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    scu: bool = True
    """Whether the requestor is SCU of it."""
    scp: bool = False
    """Whether the requestor is SCP of it."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both sides of an association know of it."""

    contexts: Mapping[int, Context]
    """Those accepted, by id."""
    max_length: int
    """Bytes of a P-DATA-TF that the peer takes; 0 is no limit."""
    rules: Mapping[str, Rules]
    """What extended negotiation granted, by SOP class."""

    def of(self, abstract_syntax: str) -> tuple[Context, ...]:
        """The accepted contexts of one abstract syntax."""
        return tuple(c for c in self.contexts.values() if c.abstract_syntax == abstract_syntax)


def negotiate(
    request: AssociateRequest,
    offer: Callable[[str], Offer | None],
    extends: Callable[[str], bool],
) -> tuple[AssociateAccept, Agreement]:
    """Answer a request: `offer` for each abstract syntax, None where there is none.

    `extends` says whether a SOP class takes the extended negotiation of PS3.4 C.5.
    """
    proposed = {role.sop_class: role for role in request.user.roles}
    answers: list[AnsweredContext] = []
    contexts: dict[int, Context] = {}
    granted: dict[str, Role] = {}
    for wanted in request.contexts:
        found = offer(wanted.abstract_syntax)
        if found is None:
            answers.append(_refused(wanted, Result.ABSTRACT_SYNTAX_NOT_SUPPORTED))
            continue
        # Without a role the requestor is the SCU; a 1 may be turned down, a 0 may not be turned up
        # (PS3.7 D.3.3.4).
        asked = proposed.get(wanted.abstract_syntax)
        scu = found.scp and (asked is None or asked.scu)
        scp = found.scu and asked is not None and asked.scp
        if not scu and not scp:
            answers.append(_refused(wanted, Result.ABSTRACT_SYNTAX_NOT_SUPPORTED))
            continue
        sends = found.sends if scp else ()
        syntax = _choose(wanted.transfer_syntaxes, found.transfer_syntaxes, sends)
        if syntax is None:
            answers.append(_refused(wanted, Result.TRANSFER_SYNTAXES_NOT_SUPPORTED))
            continue
        answers.append(AnsweredContext(wanted.id, Result.ACCEPTED, syntax))
        if asked is not None:
            granted[wanted.abstract_syntax] = Role(wanted.abstract_syntax, scu=scu, scp=scp)
        contexts[wanted.id] = Context(wanted.id, wanted.abstract_syntax, syntax, scu=scu, scp=scp)
    rules = {
        one.sop_class: read_rules(one.information)
        for one in request.user.extended
        if extends(one.sop_class)
    }
    window = request.user.async_operations
    identity = request.user.identity
    user = User(
        max_length=PDU_BYTES,
        implementation_class=IMPLEMENTATION_CLASS,
        implementation_version=IMPLEMENTATION_VERSION,
        # One operation at a time, each way: what PS3.7 D.3.3.3 has where nothing is negotiated.
        async_operations=None if window is None else (1, 1),
        roles=tuple(granted.values()),
        extended=tuple(
            Extended(one.sop_class, write_rules(rules[one.sop_class], len(one.information)))
            for one in request.user.extended
            if one.sop_class in rules
        ),
        # Nobody is known here by name or token, so the answer to who asks for one is empty; for a
        # user name and passcode PS3.7 D.3.3.7.2 has it so anyway.
        identity_answer=b"" if identity is not None and identity.answer_wanted else None,
    )
    accept = AssociateAccept(request.called, request.calling, tuple(answers), user)
    return accept, Agreement(contexts, request.user.max_length, rules)


def agreed(request: AssociateRequest, answer: AssociateAccept) -> Agreement:
    """What a requestor may use once it was answered; ids that it never proposed do not count."""
    proposed = {context.id: context for context in request.contexts}
    roles = {role.sop_class: role for role in answer.user.roles}
    asked = {role.sop_class for role in request.user.roles}
    contexts: dict[int, Context] = {}
    for one in answer.contexts:
        wanted = proposed.get(one.id)
        if wanted is None or one.result != Result.ACCEPTED:
            continue
        role = roles.get(wanted.abstract_syntax) if wanted.abstract_syntax in asked else None
        contexts[one.id] = Context(
            one.id,
            wanted.abstract_syntax,
            one.transfer_syntax,
            scu=role is None or role.scu,
            scp=role is not None and role.scp,
        )
    rules = {one.sop_class: read_rules(one.information) for one in answer.user.extended}
    return Agreement(contexts, answer.user.max_length, rules)


def _refused(wanted: ProposedContext, result: Result) -> AnsweredContext:
    # The syntax means nothing here, but some peers want to read one.
    return AnsweredContext(wanted.id, result, wanted.transfer_syntaxes[0])


def _choose(
    proposed: Sequence[str], known: tuple[str, ...] | None, first: tuple[str, ...]
) -> str | None:
    for syntax in first:
        if syntax in proposed:
            return syntax
    if known is None:
        return next((syntax for syntax in proposed if _is_standard(syntax)), None)
    return next((syntax for syntax in known if syntax in proposed), None)


def _is_standard(syntax: str) -> bool:
    """Whether it is a transfer syntax of the standard's (PS3.6 A-1): a private one may be encoded
    in ways that nothing here can read, as GE's is, which has pixels in the other byte order.
    """
    return syntax == IMPLICIT_LITTLE or syntax.startswith(f"{IMPLICIT_LITTLE}.")


# ---------------------------------------------------------------- extended negotiation (PS3.4 C.5)


def read_rules(information: bytes) -> Rules:
    """What of PS3.4 table C.5-2 is asked for, or was granted, that exists here at all.

    Byte 1 relational queries, 2 combined date-time matching, 3 fuzzy matching of names, 4 time
    zone adjustment, 5 enhanced multi-frame conversion, 6 empty value, 7 multiple value matching.
    """
    asked = [byte == 1 for byte in information[:7]] + [False] * 7
    return Rules(
        relational=asked[0],
        combined_datetime=asked[1],
        empty_value=asked[5],
        multiple_value=asked[6],
    )


def write_rules(rules: Rules, size: int) -> bytes:
    """The answer, of as many bytes as were asked with: what is not in `Rules` is 0."""
    answer = bytes(
        (
            rules.relational,
            rules.combined_datetime,
            0,
            0,
            0,
            rules.empty_value,
            rules.multiple_value,
        )
    )
    return answer[:size].ljust(size, b"\0")


def propose(
    pairs: Iterable[tuple[str, tuple[str, ...]]],
) -> tuple[ProposedContext, ...]:
    """Presentation contexts with ids of their own, for at most 128 pairs of syntaxes."""
    return tuple(
        ProposedContext(2 * number + 1, abstract, transfer)
        for number, (abstract, transfer) in enumerate(pairs)
    )
