# docker build -t blindsr . && docker run --rm -it blindsr            runs `make repro`, on the CPU
# docker run --rm -it blindsr bash                                    a shell with everything installed
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home blindsr \
    && install -d -o blindsr /home/blindsr/project

USER blindsr
WORKDIR /home/blindsr/project

# the requirements first: this layer is kept while only the code changes. The torch without CUDA is smaller by gigabytes
COPY --chown=blindsr requirements.txt constraints.txt ./
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir "$(grep '^torch==' requirements.txt)" \
        --index-url https://download.pytorch.org/whl/cpu \
    && .venv/bin/pip install --no-cache-dir -r requirements.txt

COPY --chown=blindsr . .
# DVC needs a repository; a clone's own .git is left out of the image
RUN make setup \
    && git init --quiet \
    && git add --all \
    && git -c user.name=blindsr -c user.email=blindsr@localhost commit --quiet --message "The image's project"

ENV PATH=/home/blindsr/project/.venv/bin:$PATH
CMD ["make", "repro"]
