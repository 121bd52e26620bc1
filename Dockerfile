# Images of a consortium, one target each: coordinator, node, auditor, scoring, database; and
# node-neural, a node that can train networks.
#
#   podman build --target node -t fedcredit-node .
#
# What a target installs stands in uv.lock, and each file is checked by its hash; but for torch in
# node-neural, whose build for the processor alone is another file than the lock's. No image holds
# pip or a compiler, none but node-neural holds torch, none runs as root, and all of them run with
# a read-only root file system. Where the package index is reached by another way, hand it to the
# build by --env PIP_INDEX_URL=... and the like.

ARG BASE=docker.io/library/python:3.11-slim-bookworm

# What is thrown away: the tools that install, and an environment without pip that they fill.
FROM ${BASE} AS tools
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=1
RUN python3 -m venv /opt/tools \
	&& /opt/tools/bin/pip install 'uv>=0.9' \
	&& python3 -m venv --without-pip /opt/venv

FROM tools AS locked
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN export="/opt/tools/bin/uv export --quiet --frozen --no-emit-project --no-header" \
	&& $export -o /tmp/scoring.txt \
	&& $export --only-group audit -o /tmp/auditor.txt \
	&& $export --extra federation -o /tmp/coordinator.txt \
	&& $export --extra federation --extra postgres -o /tmp/node.txt

# What networks need beyond a node's packages, without torch and its builds for graphics cards.
FROM locked AS locked-neural
RUN export="/opt/tools/bin/uv export --quiet --frozen --no-emit-project --no-header \
		--extra federation --extra postgres --extra neural" \
	&& $export --no-hashes -o /tmp/all.txt \
	&& sed -n 's/^\(torch==[^ ;]*\).*/\1/p' /tmp/all.txt >/tmp/torch.txt \
	&& others=$(sed -n -e 's/^\(torch\|triton\|nvidia-[a-z0-9-]*\|cuda-[a-z0-9-]*\)==.*/\1/p' /tmp/all.txt; \
		sed -n -e 's/^\([a-z0-9-]*\)==.*/\1/p' /tmp/node.txt) \
	&& $export $(printf -- '--no-emit-package %s ' $others) -o /tmp/neural.txt

# One layer for each list: it is built again when the list has changed, and not before.
FROM tools AS with-auditor
COPY --from=locked /tmp/auditor.txt /tmp/
RUN /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes -r /tmp/auditor.txt

FROM tools AS with-scoring
COPY --from=locked /tmp/scoring.txt /tmp/
RUN /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes -r /tmp/scoring.txt

FROM tools AS with-coordinator
COPY --from=locked /tmp/coordinator.txt /tmp/
RUN /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes -r /tmp/coordinator.txt

FROM with-coordinator AS with-node
COPY --from=locked /tmp/node.txt /tmp/
RUN /opt/tools/bin/pip --python /opt/venv/bin/python install --require-hashes -r /tmp/node.txt

# Beside the node's environment, so that its layers are shared. TORCH says where pip finds torch's
# build for the processor: an index, or a folder that is mounted, "--no-index --find-links=/wheels".
FROM with-node AS with-neural
COPY --from=locked-neural /tmp/neural.txt /tmp/torch.txt /tmp/
ARG TORCH="--index-url https://download.pytorch.org/whl/cpu"
ARG TORCH_SHA256=
RUN pip="/opt/tools/bin/pip --python /opt/venv/bin/python install --target /opt/neural --no-deps" \
	&& $pip --require-hashes -r /tmp/neural.txt \
	&& if [ -n "$TORCH_SHA256" ]; then sed -i "s/$/ --hash=sha256:$TORCH_SHA256/" /tmp/torch.txt; fi \
	&& $pip $TORCH -r /tmp/torch.txt \
	&& rm -rf /opt/neural/bin /opt/neural/torch/include /opt/neural/torch/share \
	&& echo /opt/neural >/tmp/neural.pth

# Our own code last: it changes most often. The two apps stand beside it, for Flower to find.
FROM tools AS ours
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY fedcredit fedcredit
RUN /opt/tools/bin/pip --python /opt/venv/bin/python install --no-deps .

# The base without what installs, and somebody who is not root.
FROM ${BASE} AS lean
RUN rm -rf /usr/lib/python3/dist-packages/* /usr/lib/python3*/ensurepip /usr/share/python-wheels \
		/usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip \
		/usr/bin/pip* /usr/local/bin/pip* /usr/local/bin/idle* /usr/share/doc/* /usr/share/man/* \
		/usr/share/locale/* /var/lib/apt/lists/* /var/cache/* \
	&& groupadd --gid 10001 fedcredit \
	&& useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
		--shell /usr/sbin/nologin fedcredit \
	&& install -d -o 10001 -g 10001 -m 0700 /srv/fedcredit /srv/fedcredit/witness
COPY configs/containers/once-there /usr/local/bin/once-there

# Squashed, so that what was removed is in no layer either.
FROM scratch AS empty
COPY --from=lean / /
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
	PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 HOME=/tmp
WORKDIR /srv/fedcredit
USER 10001:10001

# The auditor believes one file of ours, which he can read.
FROM empty AS auditor
COPY --from=with-auditor /opt/venv /opt/venv
COPY fedcredit/verifier.py /opt/verifier.py
ENTRYPOINT ["python", "-I", "/opt/verifier.py"]

FROM empty AS scoring
COPY --from=with-scoring /opt/venv /opt/venv
COPY --from=ours /opt/venv /opt/venv
ENTRYPOINT ["fedcredit"]

FROM empty AS coordinator
COPY --from=with-coordinator /opt/venv /opt/venv
COPY --from=ours /opt/venv /opt/venv
COPY coordinator/__init__.py coordinator/server_app.py \
	/opt/venv/lib/python3.11/site-packages/coordinator/
COPY nodes/__init__.py nodes/client_app.py /opt/venv/lib/python3.11/site-packages/nodes/
CMD ["fedcredit", "coordinator", "run", "/srv/fedcredit"]

FROM empty AS node
COPY --from=with-node /opt/venv /opt/venv
COPY --from=ours /opt/venv /opt/venv
COPY coordinator/__init__.py coordinator/server_app.py \
	/opt/venv/lib/python3.11/site-packages/coordinator/
COPY nodes/__init__.py nodes/client_app.py /opt/venv/lib/python3.11/site-packages/nodes/
CMD ["fedcredit", "node", "run", "/srv/fedcredit"]

FROM node AS node-neural
COPY --from=with-neural /opt/neural /opt/neural
COPY --from=with-neural /tmp/neural.pth /opt/venv/lib/python3.11/site-packages/

# A bank's own database, made up: a real bank has one.
FROM ${BASE} AS database
RUN apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-15 \
	&& rm -rf /var/lib/apt/lists/* /var/lib/postgresql/15/main /etc/postgresql/15 \
	&& install -d -o postgres -g postgres -m 0700 /srv/database
COPY configs/containers/database /usr/local/bin/database
USER postgres
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp
CMD ["database"]
