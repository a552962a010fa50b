# The images of the fleet, one for each weight class:
#   core     Python and the house; every service that needs no more
#   madre    core and the engine's command line, for power
#   switch   core and llama.cpp, with a module for each kind of CPU
# docker-compose.yml says which service runs in which. Needs BuildKit (Docker 20.10 or newer), fetches no frontend.

FROM python:3.13-slim-trixie AS python
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The slim images throw away what apt fetches; here it goes into a cache that is no part of any image.
RUN rm -f /etc/apt/apt.conf.d/docker-clean


# All of the lock but what only llama-cpp-python's high-level class imports, which the house never does: 66 MB.
FROM python AS packages
COPY requirements.lock /tmp/
RUN --mount=type=cache,target=/var/cache/pip \
    python3 -m venv --without-pip /opt/vx11 \
 && PIP_CACHE_DIR=/var/cache/pip python3 -m pip --python /opt/vx11/bin/python install \
      --no-input --disable-pip-version-check --require-hashes --only-binary=:all: --no-deps -r /tmp/requirements.lock \
 && /opt/vx11/bin/pip uninstall --yes --quiet numpy diskcache


FROM python AS llama
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends g++
WORKDIR /build
COPY requirements-build.lock requirements-llama.lock ./
COPY scripts/__init__.py scripts/quantities.py scripts/surroundings.py scripts/terminal.py scripts/
COPY scripts/setup scripts/setup
RUN --mount=type=cache,target=/var/cache/wheels XDG_CACHE_HOME=/var/cache/wheels python3 -m scripts.setup.wheel /wheels


FROM python AS house
WORKDIR /app
COPY . .
# The link is where ./vx11 looks for its Python.
RUN python3 -m compileall -q -j 0 . && ln -s /opt/vx11 .venv


FROM python AS runtime
RUN useradd --uid 10001 --user-group --home-dir /app --shell /usr/sbin/nologin vx11 \
 && install -d -o vx11 -g vx11 -m 0700 /data && install -d -o vx11 -g vx11 /models
COPY --from=packages /opt/vx11 /opt/vx11
ENV PATH=/opt/vx11/bin:$PATH HOME=/app VX11_DATA_PATH=/data VX11_MODELS_PATH=/models VX11_SERVICE_HOSTS=names
WORKDIR /app
STOPSIGNAL SIGTERM
# A check costs the machine 0.1 s of processor time, nearly all of it the engine's; madre asks for readiness herself.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 CMD ["python", "-S", "-m", "config.probe"]
ENTRYPOINT ["python", "-m", "config"]


FROM runtime AS runtime-switch
# OpenMP and C++ for llama.cpp. Of its modules, each in three copies under three names, one is enough.
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    --mount=type=bind,from=llama,source=/wheels,target=/wheels \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends libgomp1 libstdc++6 \
 && pip install --no-input --disable-pip-version-check --no-cache-dir --no-deps --no-index /wheels/*.whl \
 && rm -f /opt/vx11/lib/python3*/site-packages/llama_cpp/lib/*.so.*.*.* \
          /opt/vx11/lib/python3*/site-packages/llama_cpp/lib/libggml-cpu-*.so.*


FROM runtime AS runtime-madre
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends docker-cli docker-compose


FROM runtime-switch AS switch
COPY --from=house /app /app
USER vx11


# Starts as root only to find the group of the engine's socket: scripts/container/with-engine.
FROM runtime-madre AS madre
COPY --from=house /app /app
ENTRYPOINT ["/app/scripts/container/with-engine", "python", "-m", "config"]


FROM runtime AS core
COPY --from=house /app /app
USER vx11
