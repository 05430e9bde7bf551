"""The shapes of answers, for the OpenAPI document; requests are `orders.order_in`."""

from rest_framework import serializers as s

from orders.lifecycle import Status


class FailureOut(s.Serializer):  # type: ignore[misc]
    code = s.CharField()
    message = s.CharField()


class OrderOut(s.Serializer):  # type: ignore[misc]
    orderId = s.UUIDField()
    clientOrderId = s.CharField(allow_null=True)
    type = s.ChoiceField(["market", "limit", "sniper"])
    tokenIn = s.CharField()
    tokenOut = s.CharField()
    amount = s.CharField(help_text="Of tokenIn; a decimal string.")
    slippageBps = s.IntegerField()
    limitPrice = s.CharField(allow_null=True, help_text="tokenOut per tokenIn.")
    triggerCondition = s.ChoiceField(["gte", "lte"], allow_null=True)
    trigger = s.DictField(allow_null=True)
    maxPriceImpactBps = s.IntegerField(allow_null=True)
    expiresAt = s.DateTimeField(allow_null=True)
    status = s.ChoiceField([status.value for status in Status])
    resting = s.BooleanField(help_text="Waits for its trigger.")
    seq = s.IntegerField(help_text="Of the last event.")
    attempts = s.IntegerField()
    venue = s.CharField(allow_null=True)
    executedPrice = s.CharField(allow_null=True)
    amountOut = s.CharField(allow_null=True)
    fee = s.CharField(allow_null=True, help_text="The venue's, in tokenOut.")
    txHash = s.CharField(allow_null=True)
    failure = FailureOut(allow_null=True)
    createdAt = s.DateTimeField()
    updatedAt = s.DateTimeField()


class OrdersOut(s.Serializer):  # type: ignore[misc]
    orders = OrderOut(many=True)
    next = s.CharField(allow_null=True, help_text="Cursor of the next page.")


class EventOut(s.Serializer):  # type: ignore[misc]
    seq = s.IntegerField()
    status = s.ChoiceField([status.value for status in Status])
    at = s.DateTimeField()
    data = s.DictField()


class EventsOut(s.Serializer):  # type: ignore[misc]
    events = EventOut(many=True)


class QuotesOfOrderOut(s.Serializer):  # type: ignore[misc]
    attempts = s.ListField(child=s.DictField())


class PreviewOut(s.Serializer):  # type: ignore[misc]
    pair = s.CharField()
    amount = s.CharField()
    slippageBps = s.IntegerField()
    expectedOut = s.CharField(allow_null=True, help_text="Null: no venue can trade it now.")
    minOut = s.CharField(allow_null=True)
    netPrice = s.CharField(allow_null=True, help_text="After fee and price impact.")
    impactBps = s.CharField(allow_null=True)
    feeBps = s.IntegerField(allow_null=True)
    venue = s.CharField(allow_null=True)
    reason = s.CharField(help_text="Why this venue, or why none.")
    quotes = s.ListField(child=s.DictField())


class ErrorBody(s.Serializer):  # type: ignore[misc]
    code = s.CharField()
    message = s.CharField()
    details = s.DictField(child=s.ListField(child=s.CharField()))
    retryable = s.BooleanField()
    requestId = s.CharField()


class ErrorOut(s.Serializer):  # type: ignore[misc]
    error = ErrorBody()


class DeadLetterOut(s.Serializer):  # type: ignore[misc]
    id = s.IntegerField()
    orderId = s.UUIDField()
    epoch = s.IntegerField()
    reason = s.CharField()
    history = s.ListField(child=s.DictField())
    createdAt = s.DateTimeField()
    resolvedAt = s.DateTimeField(allow_null=True)
    resolvedBy = s.CharField(allow_null=True)


class DeadLettersOut(s.Serializer):  # type: ignore[misc]
    deadLetters = DeadLetterOut(many=True)
    next = s.CharField(allow_null=True)


class TokenOut(s.Serializer):  # type: ignore[misc]
    symbol = s.CharField()
    mint = s.CharField()
    decimals = s.IntegerField()


class PairOut(s.Serializer):  # type: ignore[misc]
    pair = s.CharField()
    tokenIn = s.CharField()
    tokenOut = s.CharField()
    listed = s.BooleanField(help_text="It is traded now.")
    polled = s.BooleanField(help_text="Its prices are always kept fresh.")


class PairsOut(s.Serializer):  # type: ignore[misc]
    pairs = PairOut(many=True)
    tokens = TokenOut(many=True)


class VenueQuoteOut(s.Serializer):  # type: ignore[misc]
    venue = s.CharField()
    price = s.CharField(help_text="tokenOut per tokenIn, before the fee.")
    netPrice = s.CharField(help_text="After the fee, before any impact.")
    feeBps = s.IntegerField()
    liquidity = s.CharField(help_text="Depth of one side of the pool, in its quote token.")
    volume = s.CharField(help_text="Of the last minute, in the pool's quote token.")
    observedAt = s.DateTimeField()
    ageMs = s.IntegerField()


class QuotesOut(s.Serializer):  # type: ignore[misc]
    pair = s.CharField()
    at = s.DateTimeField()
    raydium = VenueQuoteOut(allow_null=True)
    meteora = VenueQuoteOut(allow_null=True)
    best = VenueQuoteOut(allow_null=True, help_text="The highest net price among fresh ones.")
