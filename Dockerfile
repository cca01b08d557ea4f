# labelmint with everything a run needs. On a CPU:
#   docker build --tag labelmint .
#   docker run --rm --volume "$PWD/reports:/labelmint/reports" labelmint make repro
# With CUDA, on a machine with NVIDIA's container toolkit:
#   docker build --tag labelmint --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu24.04 --build-arg UV_TORCH_BACKEND= .
#   docker run --rm --gpus all labelmint make repro EXPERIMENT=mnist
ARG BASE=python:3.12-slim
FROM ${BASE}

# Empty: the locked build of PyTorch, with CUDA. cpu: the same version without, several gigabytes smaller.
ARG UV_TORCH_BACKEND=cpu
ENV DEBIAN_FRONTEND=noninteractive PYTHONUNBUFFERED=1 UV_TORCH_BACKEND=${UV_TORCH_BACKEND}
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends git make python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home labelmint && mkdir /labelmint && chown labelmint /labelmint
USER labelmint
WORKDIR /labelmint
COPY --chown=labelmint . .
# DVC and MLflow record the commit; a context without .git has none.
RUN [ -d .git ] || { git init -q && git add -A && git -c user.name=image -c user.email=image@localhost commit -qm "Image"; }
RUN make env
ENV PATH=/labelmint/.venv/bin:${PATH}
CMD ["make", "repro"]
