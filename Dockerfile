# syntax=docker/dockerfile:1
# The image of every role: `docker run IMAGE run|profile|detect|replay|…`. Versions are those of requirements/, checked by hash.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
    && python -m venv /opt/stream-monitor && /opt/stream-monitor/bin/pip install --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY stream_monitor stream_monitor
RUN /opt/build/bin/hatchling build -t wheel -d dist \
    && /opt/stream-monitor/bin/pip install --no-deps dist/*.whl \
    && /opt/stream-monitor/bin/stream-monitor --version

FROM python:3.11-slim
# A numeric user: Kubernetes can check runAsNonRoot only on numbers.
RUN groupadd --gid 10001 stream-monitor \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin stream-monitor \
    && install -d -o 10001 -g 10001 /var/lib/stream-monitor /var/cache/stream-monitor
COPY --from=build /opt/stream-monitor /opt/stream-monitor
# Compiled kernels are kept in the cache folder, since the package itself is read-only for this user.
ENV PATH=/opt/stream-monitor/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/var/cache/stream-monitor
WORKDIR /var/lib/stream-monitor
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["stream-monitor"]
CMD ["--help"]
