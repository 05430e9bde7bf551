"""What every stable code means: of errors that requests are answered with, and of failures that end an order or an attempt.

`docs/errors.md` and the enums of the OpenAPI document are made of it; a test finds every code that is raised and missing here.
"""

from collections.abc import Mapping

OF_RISK: Mapping[str, str] = {
    "TRADING_HALTED": "Trading is halted: nothing is submitted. Cancels pass.",
    "TRADING_STATE_REDUCING": "Only orders that sell into a quote token, and exits of plans, are executed at present.",
    "TOKEN_DENIED": "The token may not be bought.",
    "TOKEN_NOT_ALLOWED": "The token is none of those that may be bought.",
    "NOTIONAL_UNPRICED": "There is a limit, and nobody knows what the order is worth: it is a share, or no price is fresh.",
    "NOTIONAL_EXCEEDS_MAX_PER_ORDER": "The order is worth more than one order may be; `details` has limit and value.",
    "SPEND_BUDGET_EXCEEDED": "It would be more than may be spent on a day (UTC); `details` has limit and value.",
    "LOSS_BUDGET_EXCEEDED": "More is lost today (UTC) than may be; `details` has limit and value.",
    "PRICE_OUTSIDE_COLLAR": "The price is further from the market than the collar allows, in bps; `details` has limit and value.",
}
"""What the rules of risk deny, whether an order is refused or fails later."""

ERRORS: Mapping[str, str] = {
    "INVALID_JSON": "The body is not JSON, or ended early.",
    "VALIDATION_FAILED": "A field, parameter or header is not as it must be; `details` names it.",
    "UNAUTHENTICATED": "There is no key, or it is not valid (any more).",
    "FORBIDDEN": "The key or the person may not do that.",
    "NOT_FOUND": "There is nothing of that name, or it is another account's.",
    "UNKNOWN_PAIR": "The name is no pair of tokens that are known here.",
    "METHOD_NOT_ALLOWED": "The path knows other methods; `Allow` names them.",
    "NOT_ACCEPTABLE": "Answers are JSON.",
    "IDEMPOTENCY_CONFLICT": "The key was used before with another body. Use another key for another order.",
    "CAPS_NOT_SET": "On mainnet nobody trades before everybody's caps per order and per day are set, and while they are not.",
    "TOO_LATE": "The order is being executed and cannot be changed any more.",
    "ALREADY_FINAL": "The order has ended.",
    "NOT_RESTING": "Only an order that waits for its trigger can be amended.",
    "NOT_AMENDABLE": "Only the exits of a bracket can be changed: cancel the plan and make another.",
    "WOULD_TRIGGER_IMMEDIATELY": "At the present price an exit, or a trailing stop of another distance, would fire at once.",
    "PRICE_MISSING": "No venue has a fresh price, and it cannot be decided without one: try again.",
    "AMOUNT_TOO_SMALL": "A slice of the schedule is less than a venue trades: fewer slices, or a larger amount.",
    "PART_OF_PLAN": "The order is a leg of a plan: cancel, amend or pause the plan.",
    "NOT_PAUSABLE": "Only a schedule that is not over can be paused or resumed.",
    "TOO_MANY_WEBHOOKS": "The account has as many webhooks as it may have: delete one first.",
    "WEBHOOK_DISABLED": "The webhook is disabled, so nothing is sent to it: enable it first.",
    "REPLAY_RUNNING": "Events of another time are being made ready to be sent again. Ask again in a moment.",
    "SEQ_MISMATCH": "The order is not at the seq that `If-Match` names. Read it and decide anew.",
    "BODY_TOO_LARGE": "The body is larger than is taken.",
    "UNSUPPORTED_MEDIA_TYPE": "Send `Content-Type: application/json`, uncompressed.",
    "NO_WALLET": "The order needs a wallet: the account has no default one, or the mode has none at all.",
    "UNKNOWN_WALLET": "The named wallet is none of the account's wallets in use.",
    "UNKNOWN_TOKEN": "The token is not known here.",
    "SAME_TOKEN": "tokenIn and tokenOut are the same.",
    "PRICE_NOT_SENSIBLE": "The price is far from the market; `allowFarPrice` lets it pass.",
    **OF_RISK,
    "OPEN_ORDERS_EXCEED_MAXIMUM": "There would be more open orders than there may be; `details` has limit and value.",
    "ORDERS_PER_MINUTE_EXCEED_MAXIMUM": "More orders would be placed within a minute than may be; `details` has limit and value.",
    "RATE_LIMITED": "Too many requests. `Retry-After` says when to come again.",
    "INTERNAL_ERROR": "A fault of the engine, which is logged under the `requestId`.",
    "UNAVAILABLE": "The engine cannot answer now. Send the same request again after `Retry-After`.",
}

FAILURES: Mapping[str, str] = {
    **OF_RISK,
    "NO_QUOTE": "No venue gave a quote, for different reasons; the event names each.",
    "NO_ROUTE": "No venue has a pool for the pair.",
    "VENUE_NOT_PERMITTED": "An operator has not permitted the pair to use the venue, or the pool.",
    "POOL_TOO_SMALL": "The pool holds less than an operator asks for. The order is tried again, or waits on.",
    "VENUE_ERROR": "A venue answered something else than was asked for.",
    "VENUE_UNAVAILABLE": "The venue does not answer.",
    "VENUE_TIMEOUT": "The venue did not answer in time.",
    "VENUE_RATE_LIMITED": "The venue's rate limit is reached: it is asked again in a moment.",
    "VENUE_RESTING": "The venue failed several times and is not asked for a while.",
    "STALE_QUOTE": "The venue's quote was too old to be used.",
    "AMOUNT_TOO_SMALL": "The amount buys less than one base unit.",
    "INSUFFICIENT_LIQUIDITY": "The pool is too small for the amount.",
    "QUOTE_DEVIATES": "The venue offers less than the cached quote allowed; nothing was sent.",
    "PRICE_IMPACT_TOO_HIGH": "The price impact is above `maxPriceImpactBps`.",
    "SLIPPAGE_EXCEEDED": "The price moved by more than the slippage: the transaction reverted and nothing was traded.",
    "INSUFFICIENT_FUNDS": "The wallet holds less than the order and its fees need.",
    "NOTHING_TO_SELL": "The wallet has nothing of tokenIn, so a share of it is nothing.",
    "WALLET_RETIRED": "The wallet is not in use any more, or not on this cluster.",
    "WALLET_KEY_UNUSABLE": "The wallet's key cannot be used; the engine's log says why.",
    "NOT_SIGNED": "The wallet's remote signer did not sign.",
    "UNSAFE_TRANSACTION": "The transaction would do more than was asked for, so it was not signed.",
    "GATE_FAILED": "A sniper did not buy a token that fails one of the order's gates; `details` names each.",
    "GATE_TIMEOUT": "What a sniper has to know of the token could not be told in time; `details` names each gate.",
    "SIMULATION_FAILED": "The transaction failed in the simulation, so it was not signed.",
    "SWAP_REFUSED": "The chain refused the transaction; it never landed.",
    "SUBMIT_UNKNOWN": "Sending ended without an answer; the chain is asked what became of it.",
    "TRANSACTION_EXPIRED": "The transaction did not land while it was valid, and never will.",
    "REVERTED": "The transaction landed with an error, and nothing was traded.",
    "EXECUTOR_LOST": "The process that executed the order was lost, at its last attempt.",
    "ATTEMPTS_EXHAUSTED": "All attempts were used up.",
    "INTERNAL_ERROR": "A fault of the engine at this attempt; it is logged.",
}

REASONS: Mapping[str, str] = {
    "NOT_SUBMITTED": "Trading was halted before the transaction was written, so it was not sent; the order waits.",
    "BELOW_WORST_PRICE": "A stop fired below its worstPrice; it is a limit order at that price now.",
    "NOT_MARKETABLE": "The one attempt of an order with timeInForce ioc came to nothing.",
    "MARKET_MOVED_BACK": "The limit was not reached any more, so the order waits again.",
    "GATE_UNKNOWN": "What a sniper has to know of the token could not be told, so it does not buy and waits again.",
    "NOT_QUOTABLE": "A sniper found no quote, so it waits again.",
}
"""Why an order waits again: `reason` of its event."""
