# syntax=docker/dockerfile:1
# One image for every role: web, worker-inference, worker-training, beat, migrate, manage …
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/*.txt /requirements/
# Wheels only, each checked against its locked hash: nothing is compiled.
RUN python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --only-binary :all: --require-hashes \
      -r /requirements/base.txt
# TENSORFLOW=gpu exchanges TensorFlow's CPU wheel for the one that uses NVIDIA's cards.
ARG TENSORFLOW=cpu
RUN test "$TENSORFLOW" = cpu || { \
      pip --python /opt/venv/bin/python uninstall -y tensorflow-cpu \
      && pip --python /opt/venv/bin/python install --only-binary :all: --require-hashes \
        -r "/requirements/tensorflow-$TENSORFLOW.txt"; }
# Half a gigabyte that nothing reads: TensorFlow's C++ headers, symbols for a debugger, and the
# C++ parser that its wheel asks for and no module of it imports.
RUN apt-get update && apt-get install -y --no-install-recommends binutils \
 && cd /opt/venv/lib/python3.11/site-packages \
 && rm -rf tensorflow/include clang \
 && strip --strip-unneeded tensorflow/libtensorflow_cc.so.2

FROM ${PYTHON_IMAGE}
# OpenCV asks for the two libraries, but nothing here draws on a screen: the drivers behind them
# (LLVM among them) go again. A running image installs nothing, so pip goes too.
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
 && dpkg --purge --force-depends libgl1-mesa-dri libllvm15 libz3-4 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
 && pip uninstall -y -q setuptools wheel pip \
 && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin app \
 && install -d -o app -g app /data/dicom /data/models /data/training /backup
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
# Only /tmp and /data are written to, so the root file system may be read-only.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    DJANGO_SETTINGS_MODULE=cancerprediction.settings \
    HOST=0.0.0.0 \
    PORT=8000 \
    HOME=/tmp \
    VAR_DIR=/tmp \
    STORAGE_DIR=/data/dicom \
    MODELS_DIR=/data/models \
    TRAINING_DATA_DIR=/data/training
RUN SECRET_KEY=only-to-collect-static-files python manage.py collectstatic --no-input \
 && python -m compileall -q apps cancerprediction

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Cancer Prediction System" \
      org.opencontainers.image.description="CT reading with decision support. Research use. Not a diagnosis." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s \
  CMD ["/app/scripts/entrypoint.sh", "healthy"]
ENTRYPOINT ["/app/scripts/entrypoint.sh"]
CMD ["web"]
