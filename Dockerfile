# One image, one command per role: `docker run tributary services.clicks.main`.
# Every package is installed by hash from deploy/image.lock: requirements.lock without the tools of the tests.
# `docker run tributary deploy.cli.main doctor` is the operator's command.
FROM python:3.11.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
WORKDIR /src
COPY deploy/image.lock ./
RUN /opt/venv/bin/pip install --require-hashes -r image.lock
COPY services services
COPY shared shared
COPY deploy/__init__.py deploy/__init__.py
COPY deploy/backup deploy/backup
COPY deploy/cli deploy/cli
COPY deploy/interface deploy/interface
COPY deploy/jobs deploy/jobs
COPY deploy/local deploy/local
# Compiled here, since the file system of a running container is read-only.
RUN /opt/venv/bin/python -m compileall -q services shared deploy \
    && /opt/venv/bin/pip uninstall -y -q pip

FROM python:3.11.13-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/srv/tributary
RUN groupadd --gid 10001 tributary \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tributary
COPY --from=build /opt/venv /opt/venv
COPY --from=build /src/services /srv/tributary/services
COPY --from=build /src/shared /srv/tributary/shared
COPY --from=build /src/deploy /srv/tributary/deploy
WORKDIR /srv/tributary
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["python", "-m"]
CMD ["services.gateway.main"]
