# rocmoe in the ROCm image of PyTorch, whose own torch and Triton stay as they are.
#
#   docker build -t rocmoe .
#   docker run --rm --device=/dev/kfd --device=/dev/dri --group-add video --ipc=host \
#       --security-opt seccomp=unconfined rocmoe rocmoe doctor
#
# The user is root, as in the image below: who may open /dev/kfd is a matter of the host's groups,
# whose numbers a user made here would have to guess.  For another user: --user, and --group-add
# with the numbers of the host's groups video and render.
ARG BASE=rocm/pytorch:rocm7.2.4_ubuntu24.04_py3.12_pytorch_release_2.10.0
FROM ${BASE}

WORKDIR /opt/rocmoe
COPY . .

# `make setup` lays .venv over the Python of the image and pins its torch and Triton.  That they are
# still the image's is checked, since a replaced torch finds no AMD GPU.
RUN make setup PYTHON=python3 \
    && .venv/bin/python -c "import torch, triton; assert torch.version.hip, torch.__version__"

ENV PATH=/opt/rocmoe/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1
CMD ["rocmoe", "doctor"]
