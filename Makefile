# The container image, and what a developer types. `make` lists the targets; docs/containers.md.

DOCKER ?= docker
COMPOSE ?= $(DOCKER) compose
NPM ?= npm
NPX ?= npx
IMAGE ?= lxc_autoscaler
NAME ?= lxc_autoscaler

up_to := $(COMPOSE) --file deploy/docker-compose.yml
in_it := $(DOCKER) exec $(NAME) lxc-autoscale
locked_up := --init --read-only --cap-drop ALL --security-opt no-new-privileges \
  --memory 256m --cpus 0.5
with_config := --volume "$(CURDIR)/config:/app/config:ro" \
  --env PVE1_TOKEN_FILE=/app/config/pve1.token
for_once := $(DOCKER) run --rm $(locked_up) $(with_config)

.PHONY: help config bundle build up down restart run run-dev logs logs-follow status shell \
  validate-config dry-run health-check test lint format type-check clean clean-all

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18

config: config/config.yaml ## Make config/config.yaml from deploy/config.yaml, unless it is there

config/config.yaml:
	mkdir -p config
	cp deploy/config.yaml config/config.yaml

bundle: ## Build the program into dist/
	$(NPM) ci
	$(NPM) run build

build: bundle ## Build the image
	$(DOCKER) build --file deploy/Dockerfile --tag $(IMAGE) .

up: ## Start with Compose
	$(up_to) up --detach

down: ## Stop what Compose has started; what is kept stays
	$(up_to) down

restart: ## Start the container anew
	$(DOCKER) restart -t 60 $(NAME)

run: ## Start without Compose
	$(DOCKER) run --detach --name $(NAME) --restart unless-stopped --stop-timeout 60 \
	  $(locked_up) $(with_config) --volume $(NAME)_state:/state $(IMAGE)

run-dev: ## Run in the foreground: log everything, change nothing
	$(for_once) --tty --interactive $(IMAGE) daemon --dry-run --debug

logs: ## Print the log
	$(DOCKER) logs $(NAME)

logs-follow: ## Print the log, and go on with it
	$(DOCKER) logs --follow $(NAME)

status: ## Show what the daemon knows of each guest
	$(in_it) status

shell: ## Open a shell in the container
	$(DOCKER) exec --tty --interactive $(NAME) bash

validate-config: ## Check config/config.yaml, and whether its nodes are reached
	$(for_once) $(IMAGE) check-config

dry-run: ## Run one cycle that changes nothing
	$(for_once) $(IMAGE) once --dry-run

health-check: ## Ask the daemon whether it does its work
	$(in_it) health-check

test: ## Run all checks and tests; TESTS=test/core for some
	$(NPM) test -- $(TESTS)

lint: ## Look for mistakes
	$(NPX) biome lint .

format: ## Format the sources
	$(NPX) biome format --write .

type-check: ## Check the types
	$(NPX) tsc --noEmit
	$(NPX) tsc --noEmit --project src/web

clean: ## Remove the container, the image and dist/; what is kept stays
	-$(DOCKER) rm --force $(NAME)
	-$(DOCKER) rmi $(IMAGE)
	rm -rf dist

clean-all: clean ## Remove what is kept as well: state, backups and history
	-$(up_to) down --volumes
	-$(DOCKER) volume rm $(NAME)_state
