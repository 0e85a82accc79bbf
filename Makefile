# Each command makes its own environment on the first run (stamp files below) and is quick on the second.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 8 ? n : 8)))
RECIPE := setup.py tools/install.py tools/make_venv.sh

.PHONY: help demo test test-tensorrt lint bundle clean

help:
	@echo "make demo [INPUT=bag or folder]  play an RGB-D stream with sensor failures into the node; report in out/demo/"
	@echo "make test [TESTS=test/...]       all tests (or those named)"
	@echo "make test-tensorrt               exported models parse and build in TensorRT for RTX (95 MB more; needs no GPU)"
	@echo "make lint                        ruff and mypy"
	@echo "make bundle [ARGS=...]           train the shipped bundle anew, into runs/rooms (long)"
	@echo "make clean                       remove environments and caches; runs/ and out/ stay"

# Extras of setup.py in each environment. The demo has no torch.
.venv-demo/.ready: EXTRAS := ros,cpu,openvino,demo
.venv-test/.ready: EXTRAS := ros,cpu,openvino,demo,training,test
.venv-lint/.ready: EXTRAS := lint
.venv-training/.ready: EXTRAS := cpu,demo,training

.venv-%/.ready: $(RECIPE)
	@tools/make_venv.sh .venv-$* $(EXTRAS)
	@touch $@

demo: .venv-demo/.ready
	@.venv-demo/bin/rgbd-seg demo $(if $(INPUT),--input "$(INPUT)") $(ARGS)

# Node tests run after the others and one at a time: they watch a live stream and must not starve each other.
TESTS := test
PYTEST = .venv-test/bin/python -m pytest $(TESTS) -rs
test: .venv-test/.ready
	@status=0; none=5; \
	$(PYTEST) -m "not ros" -n $(WORKERS) --dist worksteal || [ $$? = $$none ] || status=1; \
	$(PYTEST) -m ros || [ $$? = $$none ] || status=1; exit $$status

# Left out of `test`, which it would make 95 MB heavier.
test-tensorrt: .venv-test/.ready
	@.venv-test/bin/python -m pip install --quiet --editable '.[tensorrt-rtx]'
	@.venv-test/bin/python -m pytest test/inference/test_tensorrt_engine.py -rs

lint: .venv-lint/.ready
	@status=0; .venv-lint/bin/ruff check --quiet . || status=1; .venv-lint/bin/ruff format --quiet --diff . || status=1; \
	.venv-lint/bin/mypy || status=1; exit $$status

bundle: .venv-training/.ready
	@.venv-training/bin/python training/train_bundle.py --config training/configs/bundle/rooms.yaml --work runs/rooms $(ARGS)
	@echo "the bundle is ready in the --work folder (runs/rooms/bundle): name it (--bundle, bundle:=), or ship it in bundles/rooms"

clean:
	@rm -rf .venv-demo .venv-test .venv-lint .venv-training .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@rm -rf build install log *.egg-info
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
