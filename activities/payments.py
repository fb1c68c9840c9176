"""Steps on our own books: open, reserve, book, and what people decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import TypeVar

from pydantic import ValidationError
from temporalio import activity

from activities.conclusions import Conclusions, standing_of, today
from activities.decisions import Decisions
from activities.gate import Gate
from activities.payout_legs import wallet
from activities.rules import Rules
from activities.terms import Acted, Note, NotOpened, Opened, Opening, Standing, Terms, Wish
from bursar.actions import Answer, Verdict
from bursar.errors import ContentConflict, PaymentConflict
from bursar.inputs import faults_of, json_field
from bursar.money import Money
from bursar.payments import (
    PaymentKind,
    PaymentState,
    PayoutRequest,
    TransferRequest,
    content_hash,
)
from ledger import postings
from ledger.books import Books, Payment
from ledger.changes import Change, HeldBack, Leg, Move, Registration, Written
from partners.port import Partner

_S = PaymentState
_Request = TypeVar("_Request", PayoutRequest, TransferRequest)

NO_ACCOUNT = "account_unknown"
NO_RAIL = "no_rail"
_OVERTAKEN = frozenset({_S.CANCELLED, _S.DENIED, _S.EXPIRED})
"""Ends that a payment takes instead of going on after its approval."""


class PaymentActivities:
    """The books' side of every payment; each method may be repeated without harm."""

    def __init__(self, books: Books, partners: Mapping[str, Partner], rules: Rules) -> None:
        self._books = books
        self._partners = partners
        self._rules = rules
        self._conclusions = Conclusions(books)
        self._gate = Gate(books, partners)
        self._decisions = Decisions(books, rules, self._conclusions)

    def all(self) -> Sequence[Callable[..., object]]:
        """Return every activity of this class, as a worker registers them."""
        return (
            self.open_payout,
            self.open_transfer,
            self.go_on,
            self.book,
            self.expire,
            self.act,
            self.note,
        )

    @activity.defn(name="payout.open")
    async def open_payout(self, opening: Opening) -> Opened | NotOpened:
        """Register a payout, freeze its terms, and hold its money if nothing is in the way."""
        request = _read(PayoutRequest, opening)
        if isinstance(request, NotOpened):
            return await self._known(opening, request) or request
        partner = self._route(request)
        terms = self._terms(request, PaymentKind.PAYOUT, partner)
        refusal = None if partner else NO_RAIL
        return await self._open(opening, request, terms, request.account, refusal)

    @activity.defn(name="transfer.open")
    async def open_transfer(self, opening: Opening) -> Opened | NotOpened:
        """Register a transfer, freeze its terms, and book it if nothing is in the way."""
        request = _read(TransferRequest, opening)
        if isinstance(request, NotOpened):
            return await self._known(opening, request) or request
        terms = self._terms(request, PaymentKind.TRANSFER, None)
        refusal = await self._unfit_account(request.destination, request.tenant)
        return await self._open(opening, request, terms, request.source, refusal)

    @activity.defn(name="payment.go_on")
    async def go_on(self, payment_id: str) -> Standing:
        """Take an approved or due payment to its next state: scheduled, held, or booked."""
        payment = await self._conclusions.payment(payment_id)
        if payment.state not in {_S.AWAITING_APPROVAL, _S.SCHEDULED}:
            return standing_of(payment)
        if await self._lacks_approvals(payment):
            if payment.state is _S.SCHEDULED:
                return await self._gate.delay(payment, HeldBack.NOT_APPROVED)
            return standing_of(payment)
        terms = Terms.model_validate(payment.terms)
        # A scheduled payment is woken by Temporal's clock: a second look at ours could differ.
        due = payment.state is _S.SCHEDULED
        after = _first_state(payment.kind, terms, approved=True, due=due)
        written = await self._books.write(
            Change(
                key=_step_key(payment_id, after),
                kind=_kind_of(after),
                actor="bursar",
                payment_id=payment_id,
                moves=(Move(before=payment.state, after=after),),
                if_refused=_S.REFUSED,
                legs=_legs(
                    after,
                    wallet(payment),
                    payment.request.get("destination"),
                    Money(amount_minor=payment.amount_minor, currency=payment.currency),
                    payment.fee_minor,
                ),
                effective_on=today(),
            )
        )
        if written.held is not None:
            return await self._gate.delay(payment, written.held)
        return await self._standing(payment_id, written)

    async def _lacks_approvals(self, payment: Payment) -> bool:
        """Tell whether a payment waits for words; one of them may count no more by its date.

        A scheduled payout is held at its date all the same: its claim looks once more.
        """
        if payment.kind is PaymentKind.PAYOUT and payment.state is _S.SCHEDULED:
            return False
        return not await self._decisions.is_approved(payment)

    @activity.defn(name="transfer.book")
    async def book(self, payment_id: str) -> Standing:
        """Book a transfer that was held back, as soon as it may pass.

        Where a person has just been called to it, the run is told of that.

        Raises:
            ApplicationError: It still may not; Temporal tries again in a moment.
        """
        before = await self._conclusions.payment(payment_id)
        standing = await self.go_on(payment_id)
        if standing.held is None or standing.open_cases > before.open_cases:
            return standing
        raise await self._gate.held(before, HeldBack(standing.held))

    @activity.defn(name="payment.expire")
    async def expire(self, payment_id: str) -> Standing:
        """End a payment that nobody approved in time; words given in time still count."""
        payment = await self._conclusions.payment(payment_id)
        if await self._decisions.is_approved(payment):
            return await self.go_on(payment_id)
        written = await self._books.write(
            Change(
                key=f"{payment_id}/expired",
                kind="expire",
                actor="bursar",
                reason="no approval in time",
                payment_id=payment_id,
                moves=(Move(before=_S.AWAITING_APPROVAL, after=_S.EXPIRED),),
                effective_on=today(),
            )
        )
        return await self._standing(payment_id, written)

    @activity.defn(name="payment.act")
    async def act(self, wish: Wish) -> Acted:
        """Judge and record what a person asks for, and do it where it still can be done."""
        acted = await self._decisions.act(wish)
        if acted.answer.verdict is not Verdict.APPROVED:
            return acted
        if acted.standing.state is not _S.AWAITING_APPROVAL:  # held back: its own step goes on
            return acted
        standing = await self.go_on(wish.payment_id)
        if standing.state in _OVERTAKEN:  # between the word and this: it approved nothing any more
            answer = Answer(verdict=Verdict.ALREADY_FINAL, detail=f"it is {standing.state} already")
            return Acted(answer=answer, standing=standing)
        return acted.model_copy(update={"standing": standing})

    @activity.defn(name="payment.note")
    async def note(self, note: Note) -> None:
        """Put a remark on the payment's timeline."""
        await self._books.add_note(
            note.payment_id, key=note.key, actor="bursar", kind=note.kind, detail=note.detail
        )

    async def _known(
        self, opening: Opening, request: PayoutRequest | TransferRequest | NotOpened
    ) -> Opened | NotOpened | None:
        """Return the payment that the register has under this id already, if any.

        Its run must go on even where this release cannot read the request any more: then only
        literally other content is another payment.
        """
        payment = await self._books.payment(opening.payment_id)
        if payment is None:
            return None
        same = (
            payment.request == opening.request
            if isinstance(request, NotOpened)
            else payment.content_hash == content_hash(request)
        )
        if not same:
            return NotOpened(error="PaymentConflict", reason=str(PaymentConflict(payment.id)))
        return Opened(standing=standing_of(payment), terms=Terms.model_validate(payment.terms))

    def _route(self, request: PayoutRequest) -> Partner | None:
        """Return the partner that can carry the payout, or None."""
        wanted = [request.partner] if request.partner else list(self._partners)
        for name in wanted:
            partner = self._partners.get(name)
            if (
                partner is not None
                and request.amount.currency in partner.guarantees.currencies
                and request.beneficiary.kind in partner.guarantees.beneficiaries
            ):
                return partner
        return None

    def _terms(
        self,
        request: PayoutRequest | TransferRequest,
        kind: PaymentKind,
        partner: Partner | None,
    ) -> Terms:
        """Decide once what the payment costs, needs and waits for."""
        amount = request.amount
        policy = self._rules.delays.policy()
        need = self._rules.approval_need(
            kind, amount.currency, partner.name if partner else None, amount.amount_minor
        )
        execute_at = request.execute_at
        if request.execute_on is not None:
            execute_at = datetime.combine(request.execute_on, time(), UTC)
        return Terms(
            content_hash=content_hash(request),
            partner=partner.name if partner else None,
            fee_minor=self._rules.fee(kind, amount.currency, amount.amount_minor),
            approvals=need,
            approve_by=datetime.now(UTC) + policy.approval_expires_after if need else None,
            execute_at=execute_at,
            policy=policy,
            guarantees=partner.guarantees if partner else None,
        )

    async def _unfit_account(self, path: str, tenant: str) -> str | None:
        """Return why an account cannot take part, or None; other tenants' do not exist."""
        account = await self._books.account(path)
        return NO_ACCOUNT if account is None or account.tenant != tenant else None

    async def _open(
        self,
        opening: Opening,
        request: PayoutRequest | TransferRequest,
        terms: Terms,
        source: str,
        refusal: str | None,
    ) -> Opened | NotOpened:
        """Register a payment; where the register has it already, it is told as it stands there.

        Whether it has is not asked first: nearly always it has not, and the commit judges that.
        """
        refusal = refusal or await self._unfit_account(source, request.tenant)
        try:
            written = await self._books.write(_opening(request, terms, source, refusal))
            held = written.held
            if held is not None:  # a transfer; it is registered all the same, and waits
                written = await self._books.write(
                    _opening(request, terms, source, f"held back: {held}", _S.SCHEDULED)
                )
        except ContentConflict:  # with other content, or by rules that have changed since
            known = await self._known(opening, request)
            if known is None:
                raise
            return known
        if written.repeated or written.stale:  # the terms it was opened with are those that count
            known = await self._known(opening, request)
            if known is not None:
                return known
        standing = await self._standing(request.id, written)
        if held is not None and standing.state is _S.SCHEDULED:
            standing = standing.model_copy(update={"held": held})
        if refusal and standing.state is _S.REFUSED:
            standing = standing.model_copy(update={"code": refusal})
        return Opened(standing=standing, terms=terms)

    async def _standing(self, payment_id: str, written: Written) -> Standing:
        """Return where a payment stands after a write; a stale one has been overtaken."""
        if written.state is None:
            return standing_of(await self._conclusions.payment(payment_id))
        code = written.refusal.value if written.refusal else None
        return Standing(payment_id=payment_id, state=written.state, code=code)


def _read(model: type[_Request], opening: Opening) -> _Request | NotOpened:
    """Read a request strictly, or say what is wrong with it."""
    try:
        request = model.model_validate_json(json.dumps(opening.request))
    except (ValidationError, ValueError, RecursionError) as error:
        return NotOpened(error="InvalidRequest", reason=_what_is_wrong(error))
    if request.id != opening.payment_id:
        reason = f"id: is {request.id}, but the workflow is of {opening.payment_id}"
        return NotOpened(error="InvalidRequest", reason=reason)
    return request


def _what_is_wrong(error: Exception) -> str:
    """Name the first field that is wrong and why, without repeating what it holds."""
    if not isinstance(error, ValidationError):
        return "the request is no JSON object that a payment could be read from"
    first = faults_of(error, json_field)[0]
    return f"{first.field or 'request'}: {first.reason} [{first.code}]"


def _first_state(
    kind: PaymentKind, terms: Terms, *, approved: bool = False, due: bool = False
) -> PaymentState:
    """Return the state that a payment goes to next, before its hand-over or booking."""
    if terms.approvals is not None and not approved:
        return _S.AWAITING_APPROVAL
    if not due and terms.execute_at is not None and terms.execute_at > datetime.now(UTC):
        return _S.SCHEDULED
    return _S.RESERVED if kind is PaymentKind.PAYOUT else _S.SETTLED


def _kind_of(state: PaymentState) -> str:
    """Return the name of the step that leads into a state."""
    return {_S.RESERVED: "hold", _S.SETTLED: "transfer"}.get(state, str(state))


def _step_key(payment_id: str, after: PaymentState) -> str:
    """Return the key of the step that leads into a state."""
    step = {_S.RESERVED: "hold", _S.SETTLED: "post", _S.SCHEDULED: "scheduled"}.get(after, "open")
    return f"{payment_id}/{step}"


def _legs(
    after: PaymentState, source: str, destination: str | None, amount: Money, fee_minor: int
) -> tuple[Leg, ...]:
    """Return what the step into a state does to the accounts."""
    if after is _S.RESERVED:
        return postings.hold(
            source, amount.currency, amount_minor=amount.amount_minor, fee_minor=fee_minor
        )
    if after is _S.SETTLED and destination is not None:
        return postings.transfer(
            source,
            destination,
            amount.currency,
            amount_minor=amount.amount_minor,
            fee_minor=fee_minor,
        )
    return ()


def _opening(
    request: PayoutRequest | TransferRequest,
    terms: Terms,
    source: str,
    reason: str | None,
    otherwise: PaymentState = _S.REFUSED,
) -> Change:
    """Return the change that registers a payment and takes it to its first state.

    Where there is a reason against that state, to `otherwise`.
    """
    kind = PaymentKind.PAYOUT if isinstance(request, PayoutRequest) else PaymentKind.TRANSFER
    after = otherwise if reason else _first_state(kind, terms)
    registration = Registration(
        kind=kind,
        tenant=request.tenant,
        account=source,
        currency=request.amount.currency,
        amount_minor=request.amount.amount_minor,
        fee_minor=terms.fee_minor,
        partner=terms.partner,
        content_hash=terms.content_hash,
        request=request.model_dump(mode="json"),
        terms=terms.model_dump(mode="json"),
        created_by=request.created_by,
        batch_id=request.batch_id,
    )
    destination = request.destination if isinstance(request, TransferRequest) else None
    return Change(
        key=_step_key(request.id, after),
        kind=_kind_of(after),
        actor=request.created_by,
        reason=reason,
        payment_id=request.id,
        opens=registration,
        moves=(Move(before=None, after=_S.RECEIVED), Move(before=_S.RECEIVED, after=after)),
        if_refused=_S.REFUSED,
        legs=_legs(after, source, destination, request.amount, terms.fee_minor),
        effective_on=today(),
    )
