# One image for every process of ours: `python -m ledger.migrate`, `gateway`, `workers` and, for
# demonstrations, `partners.simulator.bank`. It holds no secrets and no development tools.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml requirements.lock README.md ./
# uv itself comes from the lock too; with it, the lock's versions and hashes hold for just the
# packages that the processes need.
RUN awk '/^[^ ]/ { wanted = /^uv==/ } wanted' requirements.lock > uv.lock.txt \
    && pip install --no-cache-dir --require-hashes -r uv.lock.txt \
    && python -m venv /venv \
    && uv pip install --no-cache --python /venv/bin/python --require-hashes \
       -r pyproject.toml --extra worker -c requirements.lock
COPY bursar ./bursar
RUN uv pip install --no-cache --python /venv/bin/python --no-deps .

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin bursar \
    && install --directory --owner bursar --group bursar /data
COPY --from=build /venv /venv
WORKDIR /app
COPY bursar ./bursar
COPY workflows ./workflows
COPY activities ./activities
COPY partners ./partners
COPY ledger ./ledger
COPY gateway ./gateway
COPY workers ./workers
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER bursar
CMD ["python", "-m", "workers"]
