"""Every setting of the engine, in fixed sections. A variable that cannot be read is named in the error."""

import json
import os
import sys
from datetime import timedelta
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from accounts.rates import Rate
from orderengine import environment, hosts, logs, secret_files, tracing, version
from orderengine.host.launch import file_limit
from runtime import redis_url
from runtime.postgres import CONNECT, POOL

BASE_DIR = Path(__file__).resolve().parent.parent


RENAMED = {
    "BODY_BYTES_MOST": "MAX_BODY_BYTES",
    "ORDERS_IN_FLIGHT_MOST": "MAX_ORDERS_IN_FLIGHT",
    "SOCKETS_MOST": "MAX_SOCKETS",
    "SOCKETS_PER_ACCOUNT_MOST": "MAX_SOCKETS_PER_ACCOUNT",
}
"""Former name: present name. What was set under the former one goes on working."""
for former, present in RENAMED.items():
    if former in os.environ:
        os.environ.setdefault(present, os.environ[former])


# --- Readers ---------------------------------------------------------------------------------------------------------
def read(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"{name} must be set")
    return value


def read_int(name: str, default: int, *, least: int = 0, most: int = 2**31) -> int:
    text = os.environ.get(name, "")
    try:
        value = int(text) if text else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {text!r}") from None
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name} must be between {least} and {most}, not {value}")
    return value


def read_float(name: str, default: float, *, least: float = 0.0, most: float = 1e9) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {text!r}") from None
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name} must be between {least} and {most}, not {value}")
    return value


def read_bool(name: str, default: bool) -> bool:
    text = os.environ.get(name, "").lower()
    if text in ("", *environment.TRUE, *environment.FALSE):
        return default if not text else text in environment.TRUE
    raise ImproperlyConfigured(f"{name} must be true or false, not {text!r}")


def read_choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """One of the choices; one in capitals may be given in small letters."""
    text = os.environ.get(name) or default
    for choice in (text, text.upper()):
        if choice in choices:
            return choice
    raise ImproperlyConfigured(f"{name} must be {', '.join(choices[:-1])} or {choices[-1]}, not {text!r}")


def read_rate(name: str, default: str) -> Rate | None:
    """`600/minute`; `off` or nothing: no limit."""
    text = os.environ.get(name) or default
    try:
        return None if text in ("", "off") else Rate.parse(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None


def read_list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


environment.clean_own()
try:
    secret_files.load()
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from None


# --- Where things are ------------------------------------------------------------------------------------------------
DATA_DIR = Path(read("DATA_DIR", ".data")).expanduser()
DATA_DIR = DATA_DIR if DATA_DIR.is_absolute() else BASE_DIR / DATA_DIR
HOST = read("HOST", "127.0.0.1")
PORT = read_int("PORT", 8000, least=1, most=65535)


def embedded_service(name: str) -> str | None:
    """The URL of a service that a running engine brought up in this DATA_DIR, so that commands in another terminal find it."""
    try:
        return str(json.loads((DATA_DIR / "run" / "services.json").read_text())[name])
    except (OSError, ValueError, KeyError):
        return None


EMBEDDED = not (os.environ.get("DATABASE_URL") or os.environ.get("REDIS_URL")) or read_bool("EMBEDDED", False)
DATABASE_URL = os.environ.get("DATABASE_URL") or embedded_service("databaseUrl") or "postgresql:///orderengine"
REDIS_URL = os.environ.get("REDIS_URL") or embedded_service("redisUrl") or "redis://127.0.0.1:6379/0"
CELERY_BROKER_URL = redis_url.for_client(os.environ.get("CELERY_BROKER_URL") or REDIS_URL)
RABBITMQ = CELERY_BROKER_URL.startswith(("amqp:", "amqps:", "pyamqp:"))
"""The broker; otherwise it is Redis."""
FLOWER_URL = os.environ.get("FLOWER_URL") or embedded_service("flowerUrl")
"""Where the web process reaches Flower, to show it at `/flower/` to signed-in staff."""
FLOWER_BASIC_AUTH = os.environ.get("FLOWER_BASIC_AUTH", "")
"""`name:password` that Flower asks for; an embedded engine uses the administrator's."""

EXECUTION_MODE = read_choice(
    "EXECUTION_MODE", embedded_service("executionMode") or "mock", ("mock", "localnet", "devnet", "mainnet")
)
PAPER = read_bool("PAPER", embedded_service("paper") == "true")
"""Quotes of the live mode, and landings that are simulated: no key signs, nothing is sent."""
if PAPER and EXECUTION_MODE == "mock":
    raise ImproperlyConfigured(
        "PAPER trades on live quotes: set EXECUTION_MODE to localnet, devnet or mainnet beside it"
    )
CAPS_REQUIRED = EXECUTION_MODE == "mainnet" and not PAPER
"""Real money: trading is halted at first, and stays so until everybody's caps per order and per day are set."""
if not read_bool("MAINNET_I_UNDERSTAND", False) and CAPS_REQUIRED:
    raise ImproperlyConfigured("EXECUTION_MODE=mainnet trades real money: set MAINNET_I_UNDERSTAND=true beside it")


# --- Django ----------------------------------------------------------------------------------------------------------
DEBUG = read_bool("DEBUG", False)
LOOPBACK = HOST in environment.LOOPBACK
LOCAL_MODE = EMBEDDED and LOOPBACK and not CAPS_REQUIRED
"""On a laptop (loopback bind, embedded services) a request without a key acts as the account `demo`. Never over real money."""


def secret_key() -> str:
    """From SECRET_KEY; an embedded engine keeps one of its own beside its data. There is no default."""
    if key := os.environ.get("SECRET_KEY"):
        return key
    file = DATA_DIR / "secret_key"
    if file.exists():
        return file.read_text().strip()
    if not EMBEDDED:
        raise ImproperlyConfigured("SECRET_KEY must be set when DATABASE_URL or REDIS_URL is")
    from django.core.management.utils import get_random_secret_key

    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    with os.fdopen(descriptor, "w") as stream:
        stream.write(key := get_random_secret_key())
    return key


SECRET_KEY = secret_key()
ALLOWED_HOSTS = read_list("ALLOWED_HOSTS") or hosts.names(HOST, local=LOCAL_MODE)
INSTALLED_APPS = [
    "console",  # Before the theme: its templates take precedence.
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "channels",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "routing",
    "accounts",
    "risk",
    "wallets",
    "orders",
    "webhooks",
    "books",
    "trade",
    "orderengine",
]
MIDDLEWARE = [
    "orders.http.errors.RequestIdMiddleware",
    "orderengine.headers.BrowserRules",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = ["ip_address", ["username", "ip_address"]]
"""Not by name alone: whoever knows the administrator's could keep the administrator out. `accounts.lockout` counts."""
LOCKOUT_FAILURES_OF_ADDRESS = 20
"""Wrong passwords from one address for any names; AXES_FAILURE_LIMIT is for one name. Many people share an office's address."""
AXES_HANDLER = "accounts.lockout.Handler"
AXES_CLIENT_IP_CALLABLE = "accounts.lockout.client_address"
AXES_LOCKOUT_CALLABLE = "trade.sign_in.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ACCESS_FAILURE_LOG = False
ROOT_URLCONF = "orderengine.urls"
ASGI_APPLICATION = "orderengine.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
LANGUAGE_CODE = "en-us"
FORMAT_MODULE_PATH = "console.formats"
"""Times in the admin have seconds and sort as text."""
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
STATIC_ROOT = collected if (collected := BASE_DIR / "static-root").is_dir() or "collectstatic" in sys.argv else None
"""Where an image keeps them collected; elsewhere they are served from where they are."""
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
HTTPS = read_bool("HTTPS", False)
"""The engine is reached over TLS (a proxy in front): secure cookies, HSTS and the forwarded-protocol header."""
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/admin/"
CSRF_TRUSTED_ORIGINS = read_list("CSRF_TRUSTED_ORIGINS")
CORS_ALLOWED_ORIGINS = read_list("CORS_ALLOWED_ORIGINS")
"""Pages elsewhere that may call the API with a key. Cookies never count there."""
CORS_ALLOW_CREDENTIALS = False
CORS_ALLOW_HEADERS = ["authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "x-request-id"]
CORS_EXPOSE_HEADERS = [
    "ETag",
    "X-Request-Id",
    "Retry-After",
    "Idempotency-Replayed",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
]
CORS_URLS_REGEX = r"^/api/"
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]


# --- Postgres --------------------------------------------------------------------------------------------------------
def database(url: str) -> dict[str, object]:
    """Django's form of a libpq URL; what the URL carries beyond the usual parts stays in its query."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    named = {
        "NAME": parts.pop("dbname", "orderengine"),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
    }
    options = {
        **CONNECT,
        **parts,
        # Closing a connection only gives it back to the pool: Celery closes it around every task, ASGI after every request.
        "pool": {**POOL, "max_size": read_int("DATABASE_POOL", 8, least=1), "max_idle": 60},
    }
    return {"ENGINE": "django.db.backends.postgresql", **named, "OPTIONS": options}


DATABASES = {"default": database(DATABASE_URL)}


# --- Observability ---------------------------------------------------------------------------------------------------
METRICS_DIR = Path(read("METRICS_DIR", "") or DATA_DIR / "run" / "metrics")
"""Where the processes of this host meet for `GET /metrics` (`runtime.slots`)."""


LOG_LEVEL = read_choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOG_FORMAT = read_choice("LOG_FORMAT", "auto", ("auto", "json", "console"))
LOGGING = logs.configuration(level=LOG_LEVEL, form=LOG_FORMAT)
LOGGING_CONFIG = "orderengine.logs.configure"
SENTRY_DSN = read("SENTRY_DSN", "")
if SENTRY_DSN:
    tracing.start_sentry(
        SENTRY_DSN,
        environment=read("SENTRY_ENVIRONMENT", "production"),
        sample_rate=read_float("SENTRY_SAMPLE_RATE", 0.01, most=1),
        hot_sample_rate=read_float("SENTRY_HOT_SAMPLE_RATE", 0.0001, most=1),
    )
if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
    tracing.start_opentelemetry(read_float("OTEL_SAMPLE_RATE", 0.01, most=1))


# --- Channels and Celery ---------------------------------------------------------------------------------------------
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # redis-py 8 would end an idle subscription after five seconds (channels_redis #422).
        # Of the newer protocol's messages it writes each out for a debug log, whether that is on or not.
        "CONFIG": {
            "hosts": [{"address": REDIS_URL, "socket_timeout": None, "socket_connect_timeout": 1, "protocol": 2}]
        },
    }
}


REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.rest.CallerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.rest.MayRead"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "orders.http.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "orderengine",
    "DESCRIPTION": "Order execution for Solana tokens: market, limit, stop and sniper orders, brackets and schedules.",
    "VERSION": version.VERSION,
    "OAS_VERSION": "3.0.3",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # In this order: the enums' hook builds the components anew.
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "orders.http.openapi.add_intake",
        "webhooks.openapi.add_webhooks",
        "books.openapi.add_books",
    ],
}


# --- Admin -----------------------------------------------------------------------------------------------------------
def admin_link(title: str, icon: str, name: str, permission: str | None = None) -> dict[str, object]:
    """Shown to whoever has the permission; None: to everybody in the admin."""
    from django.urls import reverse_lazy

    def shown(request: Any) -> bool:
        return permission is None or bool(request.user.has_perm(permission))

    return {"title": title, "icon": icon, "link": reverse_lazy(name), "permission": shown}


UNFOLD = {
    "SITE_TITLE": "orderengine",
    "SITE_HEADER": "orderengine",
    "SITE_SUBHEADER": "operations",
    "SITE_SYMBOL": "swap_horiz",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_HISTORY": False,
    "ENVIRONMENT": "console.dashboard.environment",
    "DASHBOARD_CALLBACK": "console.dashboard.context",
    "STYLES": [
        lambda request: "/static/dashboard/panels.css",
        lambda request: "/static/dashboard/landing.css",
        lambda request: "/static/dashboard/quality.css",
    ],
    "SCRIPTS": [lambda request: "/static/dashboard/landing.js"],
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#14b8a6",
            "600": "#0d8478",
            "700": "#0f766e",
            "800": "#115e59",
            "900": "#134e4a",
            "950": "#042f2e",
        }
    },
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            {
                "items": [
                    admin_link("Overview", "monitoring", "admin:index"),
                    admin_link("Execution quality", "query_stats", "quality", "accounts.view_figures"),
                    admin_link("Trading page", "candlestick_chart", "trade") | {"active": lambda request: False},
                ]
            },
            {
                "title": "Orders",
                "separator": True,
                "items": [
                    admin_link("Orders", "list_alt", "admin:orders_order_changelist", "orders.view_order"),
                    admin_link("Plans", "account_tree", "admin:orders_plan_changelist", "orders.view_plan"),
                    admin_link(
                        "Dead letters", "report", "admin:orders_deadletter_changelist", "orders.view_deadletter"
                    ),
                    admin_link("Executors", "memory", "admin:orders_executor_changelist", "orders.view_executor"),
                ],
            },
            {
                "title": "Risk",
                "separator": True,
                "items": [
                    admin_link(
                        "State and limits", "front_hand", "admin:risk_rule_changelist", "accounts.operate_orders"
                    ),
                    admin_link("Changes", "history", "admin:risk_change_changelist", "accounts.operate_orders"),
                ],
            },
            {
                "title": "Webhooks",
                "separator": True,
                "items": [
                    admin_link("Webhooks", "webhook", "admin:webhooks_endpoint_changelist", "webhooks.view_endpoint"),
                    admin_link("Deliveries", "outbox", "admin:webhooks_delivery_changelist", "webhooks.view_delivery"),
                ],
            },
            {
                "title": "Work",
                "separator": True,
                "items": [
                    admin_link("Tasks (Flower)", "local_florist", "flower", "accounts.view_tasks"),
                    admin_link(
                        "Schedule",
                        "schedule",
                        "admin:django_celery_beat_periodictask_changelist",
                        "django_celery_beat.view_periodictask",
                    ),
                ],
            },
            {
                "title": "Access",
                "separator": True,
                "items": [
                    admin_link(
                        "Accounts",
                        "account_balance_wallet",
                        "admin:accounts_account_changelist",
                        "accounts.view_account",
                    ),
                    admin_link("API keys", "key", "admin:accounts_apikey_changelist", "accounts.view_apikey"),
                    admin_link("People", "group", "admin:auth_user_changelist", "auth.view_user"),
                    admin_link(
                        "Sign-in failures", "lock", "admin:axes_accessattempt_changelist", "axes.view_accessattempt"
                    ),
                ],
            },
        ],
    },
}


# --- The engine's numbers --------------------------------------------------------------------------------------------
RPC_URLS: list[str] = read_list("RPC_URLS") or [url for url in (embedded_service("rpcUrls") or "").split(",") if url]
if EXECUTION_MODE != "mock" and not RPC_URLS:
    raise ImproperlyConfigured(f"RPC_URLS must name the nodes of the {EXECUTION_MODE}")
POOLS: list[str] = read_list("POOLS")
"""Addresses of the pools that are traded; without it all accounts of the pool programs are looked at, which a public node of a
large cluster refuses."""
WALLET_KEYS_DIR = Path(read("WALLET_KEYS_DIR", "") or DATA_DIR / "keys")
"""Key files of wallets, each of mode 600. Only order workers and the command `wallets` need to see the folder."""
WALLET_SOL_RESERVE = read_int("WALLET_SOL_RESERVE", 10_000_000)
"""Lamports that every wallet keeps for fees and rent: no order begins that would leave less."""
RPC_REQUESTS_PER_S = read_float("RPC_REQUESTS_PER_S", 0, most=100_000)
"""What a node allows; calls that are read go to another one beyond it. 0: any number."""
MAX_FEE_LAMPORTS = read_int("MAX_FEE_LAMPORTS", 1_000_000, least=5_000, most=10**12)
"""What any order pays the chain at most for one attempt, rent apart. What is dearer is not signed. 10⁹ lamports are 1 SOL."""
FEE_STRATEGY = read_choice("FEE_STRATEGY", "auto", ("none", "fixed", "percentile", "auto"))
"""How a compute unit's price is chosen. `none`: next to nothing; `fixed`: `FEE_PRICE`; `percentile`: `FEE_PERCENTILE` of what
recent blocks took from those that write the same pool; `auto`: 50 % of them. All but `none` rise after a transaction expired."""
FEE_PRICE = read_int("FEE_PRICE", 1_000, most=1_000_000_000)
"""Micro-lamports a compute unit: the price of `fixed`, and the least of `percentile` and `auto`."""
FEE_PERCENTILE = read_int("FEE_PERCENTILE", 75, least=1, most=100)
TIP_LAMPORTS = read_int("TIP_LAMPORTS", 0, most=10**9)
"""For Jito's validators, inside the transaction; 0: none. It counts in `MAX_FEE_LAMPORTS`, and is at most half of it."""
SNIPER_GATES = read_bool("SNIPER_GATES", True)
"""Whether a sniper that asks for no gates itself looks at a token that is not verified before it buys: what its maker may do to
holders, whether it can be sold again, and what an account's defaults ask for. On a chain only."""
VENUE_RAYDIUM = read_choice("VENUE_RAYDIUM", "direct", ("direct", "http", "both"))
"""`direct`: its pools are read and traded on the chain; `http`: its trade API is asked; `both`: whichever offers more."""
VENUE_METEORA = read_choice("VENUE_METEORA", "direct", ("direct", "http", "both"))
"""The same; over HTTP by Jupiter's API, for Meteora has none that swaps."""
VENUE_JUPITER = read_choice("VENUE_JUPITER", "off", ("off", "http"))
"""`http`: Jupiter is a venue of its own, over all pools that it knows."""
SPLIT_ROUTING = read_bool("SPLIT_ROUTING", False)
"""Whether an amount may be divided between Raydium's and Meteora's pools in one transaction, where that pays more than it costs;
both have to be traded directly. Switch it on once no process of a version without it is left: those cannot settle a split."""
DLMM_QUOTES = read_bool("DLMM_QUOTES", False)
"""Whether Meteora's DLMM pools are priced and quoted from their accounts where Meteora is asked over HTTP: a price of the present
slot, and no request for a quote. Needs the package of `requirements-dlmm.txt`."""
if DLMM_QUOTES and find_spec("meteora_dlmm") is None:
    raise ImproperlyConfigured("DLMM_QUOTES needs a package that is missing: pip install -r requirements-dlmm.txt")
VAULT_SUBSCRIPTIONS = read_bool("VAULT_SUBSCRIPTIONS", True)
"""Whether a node is asked to tell when a pool changes, or is made, that orders wait for, so that they fire in that block; prices
are polled all the same. Changes are told of venues that are traded directly."""
RAYDIUM_URL = read("RAYDIUM_URL", "")
"""Of its trade API; unset: that of the mode."""
JUPITER_URL = read("JUPITER_URL", "")
"""Of its API, without `/swap/v2`; unset: that of the mode."""
JUPITER_API_KEY = read("JUPITER_API_KEY", "")
"""Sent to Jupiter's API alone; without one it allows fewer requests."""
RAYDIUM_REQUESTS_PER_S = read_float("RAYDIUM_REQUESTS_PER_S", 0 if EXECUTION_MODE == "localnet" else 5, most=100_000)
"""What its trade API allows all processes together; executing goes before polling. 0: any number."""
JUPITER_REQUESTS_PER_S = read_float(
    "JUPITER_REQUESTS_PER_S", 0 if EXECUTION_MODE == "localnet" else 1 if JUPITER_API_KEY else 0.5, most=100_000
)
"""The same of Jupiter's API: without a key it allows one in two seconds, with a free one one a second."""
VENUE_URLS = {
    "devnet": ("https://transaction-v1-devnet.raydium.io", "https://api.jup.ag"),
    "localnet": (f"{RPC_URLS[0]}/raydium", f"{RPC_URLS[0]}/jupiter") if RPC_URLS else ("", ""),
}.get(EXECUTION_MODE, ("https://transaction-v1.raydium.io", "https://api.jup.ag"))
VENUE_ACCESS: dict[str, Any] = {
    "modes": {"RAYDIUM": VENUE_RAYDIUM, "METEORA": VENUE_METEORA}
    | ({} if VENUE_JUPITER == "off" else {"JUPITER": VENUE_JUPITER}),
    "raydium_url": RAYDIUM_URL or VENUE_URLS[0],
    "raydium_per_s": RAYDIUM_REQUESTS_PER_S,
    "jupiter_url": JUPITER_URL or VENUE_URLS[1],
    "jupiter_per_s": JUPITER_REQUESTS_PER_S,
    "jupiter_key": JUPITER_API_KEY,
    "dlmm": DLMM_QUOTES,
    "redis_url": REDIS_URL,
}
"""Of the modes that trade on a chain."""
MOCK_SEED = read_int("MOCK_SEED", 0) if os.environ.get("MOCK_SEED") else None
MOCK_LATENCY = read_float("MOCK_LATENCY", 1.0, most=100)
MOCK_FAILURE_RATE = read_float("MOCK_FAILURE_RATE", 0.0, most=1)
MOCK_VALID_S = read_float("MOCK_VALID_S", 30.0, least=0.1)
"""How long a signed mock transaction may land; Solana's 150 blocks are about a minute."""

ACCEPT_WINDOW_MS = read_float("ACCEPT_WINDOW_MS", 2)
MAX_ACCEPT_BATCH = 250
MAX_ACCEPT_WAITING = 5_000
ACCEPT_TIMEOUT_S = 1.8
"""A client gets its 503 within two seconds while Postgres is away."""
ANSWER_TIMEOUT_S = 5.0
"""For everything else about orders when Postgres hangs. Longer: a page of a long list may take its time on a busy machine."""
RECORD_WINDOW_MS = read_float("RECORD_WINDOW_MS", 15)
CLAIM_WINDOW_MS = 10
MAX_RECORD_BATCH = 500
DISPATCH_REST_MS = 15
"""For each id of a message: below some sixty orders a second each has a message of its own, at once."""
DISPATCH_WINDOW_MS = 20
"""The most that ids gather for a message that is not full yet; each costs sender and worker some two milliseconds."""
MAX_DISPATCH_IDS = 100
MAX_ORDERS_IN_FLIGHT = read_int("MAX_ORDERS_IN_FLIGHT", 5_000, least=1)
MAX_ORDERS_PREPARING = read_int("MAX_ORDERS_PREPARING", 5_000 if EXECUTION_MODE == "mock" else 200, least=1)
ORDER_THREADS = read_int("ORDER_THREADS", 400, least=1)
MAX_ATTEMPTS = 3
RETRY_BASE_MS = read_int("RETRY_BASE_MS", 500)
RETRY_CAP_MS = 8_000
QUOTE_DEADLINE_MS = 2_000
QUOTE_MAX_AGE_MS = read_int("QUOTE_MAX_AGE_MS", 1_500)
POLL_PAIRS = read_list("POLL_PAIRS", "SOL-USDC,USDC-SOL,JUP-USDC,USDC-JUP,BONK-USDC,USDC-BONK")
"""Polled always; other pairs are while an order waits for them or somebody looks at them."""
QUOTE_TOKENS = read_list("QUOTE_TOKENS", "USDC,USDT,SOL")
"""What positions are bought with and sold into, the strongest first: an order that sells into one that stands before what it
sells reduces risk. Limits count in the first one. Symbols or mints; those that are not known are left out."""
POLL_DEADLINE_MS = read_int("POLL_DEADLINE_MS", 300, least=1, most=400)
"""Of a tick: a slow venue's absence must be settled before the next one."""
SUBMIT_TIMEOUT_S = 10.0
RESEND_AFTER_S = 4.0
"""A transaction that was not seen for this long is sent again, the same bytes: chains drop what they are sent."""
HEARTBEAT_S = 2.0
EXECUTOR_DEAD_AFTER_S = 6.0
RECONCILE_GRACE_S = 2.0
"""A dispatch that no executor has answered for this long counts as lost."""
RECONCILE_BACKLOG_GRACE_S = 20.0
"""While the broker still holds dispatches, an order's own is most likely among them."""
RETENTION_DAYS = read_int("RETENTION_DAYS", 0, most=36_500)
"""Finished orders are purged after so many days; 0 keeps them."""
CHECKPOINT_FILLS = read_int("CHECKPOINT_FILLS", 10_000, least=1)
"""Fills of an account from one checkpoint of its books to the next; an answer folds those after the newest one."""
DRAIN_S = read_float("DRAIN_S", 5.0)
MAX_BODY_BYTES = DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
FILES_BESIDE_SOCKETS = 512
"""Of a web process: connections to Postgres and Redis, logs, requests that are no sockets."""
RATE_LIMIT_ACCOUNT = read_rate("RATE_LIMIT_ACCOUNT", "" if LOCAL_MODE else "6000/minute")
"""Requests, and orders of a batch beyond its first."""
RATE_LIMIT_ADDRESS = read_rate("RATE_LIMIT_ADDRESS", "" if LOCAL_MODE else "12000/minute")
MAX_SOCKETS = max(1, min(read_int("MAX_SOCKETS", 20_000, least=1), file_limit() - FILES_BESIDE_SOCKETS))
"""WebSockets of one web process; fewer where the limit of open files is lower, or the database would fail for want of one."""
MAX_SOCKETS_PER_ACCOUNT = read_int("MAX_SOCKETS_PER_ACCOUNT", MAX_SOCKETS if LOCAL_MODE else 1_000, least=1)
BEAT_SYNC = timedelta(seconds=1)


# --- Webhooks --------------------------------------------------------------------------------------------------------
def read_networks(name: str) -> list[str]:
    found = read_list(name)
    for network in found:
        try:
            ip_network(network)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {error}") from None
    return found


WEBHOOK_ALLOWED_NETWORKS: list[str] = read_networks("WEBHOOK_ALLOWED_NETWORKS")
"""Private networks that webhooks may reach, such as `10.1.2.0/24` or `127.0.0.0/8`; plain HTTP goes only there."""
WEBHOOK_TIMEOUT_S = read_float("WEBHOOK_TIMEOUT_S", 15.0, least=0.1, most=60)
"""For one request, from the look-up of its name to the end of the answer."""
WEBHOOK_RETRY_BASE_MS = read_int("WEBHOOK_RETRY_BASE_MS", 5_000, least=1)
"""Before the second attempt, with jitter; before each further one four times as long, up to four hours."""
WEBHOOK_RETRY_HOURS = read_float("WEBHOOK_RETRY_HOURS", 24.0, most=24 * 7)
"""After so long a delivery is parked, and sent again only when somebody asks."""
WEBHOOK_RETENTION_DAYS = read_int("WEBHOOK_RETENTION_DAYS", 7, least=2, most=365)
"""Deliveries that were sent or parked, and alerts, are kept so long."""
WEBHOOK_CONCURRENCY = read_int("WEBHOOK_CONCURRENCY", 16, least=1, most=256)
"""Requests at once to one webhook; of one order there is one."""
MAX_WEBHOOKS = read_int("MAX_WEBHOOKS", 20, least=0, most=1_000)
"""Of one account."""


# --- Bounds of the web server ----------------------------------------------------------------------------------------
# They hold for every route and before a key is looked up. Reasons and measurements are in docs/security.md.
def is_network(text: str) -> bool:
    """An address, a network or `*`. uvicorn also takes names of Unix peers, which have no address to count."""
    try:
        return text == "*" or bool(ip_network(text, strict=False))
    except ValueError:
        return False


MAX_REQUEST_LINE_BYTES = read_int("MAX_REQUEST_LINE_BYTES", 8 * 1024, least=256)
"""Of a URL with its query; longer: 414."""
MAX_HEAD_BYTES = read_int("MAX_HEAD_BYTES", 32 * 1024, least=1024)
"""Of a request line and all headers; longer: 431."""
MAX_HEADERS = read_int("MAX_HEADERS", 100, least=10, most=128)
"""Of one request; more: 431."""
HEAD_TIMEOUT_S = read_float("HEAD_TIMEOUT_S", 10.0, least=1)
"""From the first byte of a request to the end of its headers; later: 408."""
BODY_TIMEOUT_S = read_float("BODY_TIMEOUT_S", 15.0, least=1)
"""From the end of the headers to the end of the body; later: 408."""
WRITE_TIMEOUT_S = read_float("WRITE_TIMEOUT_S", 30.0, least=1)
"""A client that does not read its answers for so long is cut off."""
KEEP_ALIVE_S = read_float("KEEP_ALIVE_S", 130.0, least=1)
"""An idle connection stays open so long, and up to a tenth longer. Clients' pools and proxies give up first (120 s and
less by default), so that no request meets a connection that is just being closed."""
MAX_PIPELINED = read_int("MAX_PIPELINED", 8, least=1, most=1_000)
"""Requests of one connection that wait while another is answered. Further ones are not read yet."""
MAX_CONNECTIONS = read_int("MAX_CONNECTIONS", MAX_SOCKETS + 5_000, least=1)
"""Of one web process, sockets included; more: 503."""
MAX_CONNECTIONS_PER_ADDRESS = read_int(
    "MAX_CONNECTIONS_PER_ADDRESS", MAX_CONNECTIONS if LOCAL_MODE else min(2_000, MAX_CONNECTIONS), least=1
)
"""Of one peer in one web process; an IPv6 /64 counts as one. `FORWARDED_ALLOW_IPS` are not counted."""
TRUSTED_PROXIES = [proxy for proxy in read_list("FORWARDED_ALLOW_IPS") if is_network(proxy)]
"""Proxies whose `X-Forwarded-For` counts. They carry many clients, so the cap per address does not hold for them."""
MAX_FRAMES = read_int("MAX_FRAMES", 200, least=10)
"""WebSocket frames of every kind from one client in ten seconds; more: 4429."""
MAX_FRAME_BYTES = read_int("MAX_FRAME_BYTES", 1024 * 1024, least=65_536)
"""Bytes of WebSocket frames from one client in ten seconds; more: 4429."""
