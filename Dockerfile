# The book's environment, from the same constraints: docker build -t byzlib .
#   docker run --rm byzlib make test
#   docker run --rm -p 8888:8888 byzlib make lab LAB="--ip=0.0.0.0 --no-browser"
FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make git \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home reader
WORKDIR /home/reader/book
COPY --chown=reader . .
USER reader
RUN make setup
CMD ["make", "help"]
