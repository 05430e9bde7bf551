# syntax=docker/dockerfile:1
# Builder: compilers and pip stay here. Runtime: Python, the packages and the code, nothing else; no root, no shell tools needed.
FROM python:3.11.14-slim-bookworm AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements-server.lock ./
# The lock has neither the embedded services nor supervision, which are for laptops: here each is a container of its own.
RUN python -m venv /venv \
    && /venv/bin/pip install --require-hashes --no-deps -r requirements-server.lock

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="orderengine" org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 engine \
    && useradd --uid 10001 --gid engine --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin engine \
    && install -d -o engine -g engine -m 700 /data /keys
WORKDIR /app
COPY --from=builder /venv /venv
COPY manage.py celery_app.py pyproject.toml ./
COPY accounts/ accounts/
COPY books/ books/
COPY console/ console/
COPY orderengine/ orderengine/
COPY orders/ orders/
COPY risk/ risk/
COPY routing/ routing/
COPY runtime/ runtime/
COPY trade/ trade/
COPY triggers/ triggers/
COPY wallets/ wallets/
COPY webhooks/ webhooks/
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=orderengine.settings \
    HOST=0.0.0.0 PORT=8000 DATA_DIR=/data LOG_FORMAT=json
# Static files are collected once, into the image; whitenoise serves them from memory-mapped files.
RUN SECRET_KEY=build DATABASE_URL=postgresql:///build REDIS_URL=redis://127.0.0.1:1/0 \
    python manage.py collectstatic --no-input --verbosity 0
USER 10001:10001
VOLUME /data
EXPOSE 8000
# Celery and uvicorn drain on SIGTERM.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "orderengine.container"]
CMD ["web"]
