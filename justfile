# Everything a contributor runs. `just` comes with the dev group: `uv run just check`.

# install everything the checks need
setup:
    uv sync --all-extras

# mend what a machine can mend
fix:
    uv run ruff check --fix .
    uv run ruff format .
    uv run python -m truebeat.kit.states_page --write docs/states.md
    uv run python -m truebeat.kit.phases_page --write docs/phases.md
    uv run python -m truebeat.kit.symptoms_page --write docs/symptoms.md
    uv run python -m truebeat.kit.canvas_types --write canvas/src/generated.ts
    uv run python canvas/bundle.py npm run fix

# lint, types, import contracts, generated files, the page's own checks, tests
check: lint canvas test

lint:
    uv run ruff check .
    uv run ruff format --check .
    uv run mypy
    uv run lint-imports
    uv run python -m truebeat.kit.states_page --check docs/states.md
    uv run python -m truebeat.kit.phases_page --check docs/phases.md
    uv run python -m truebeat.kit.symptoms_page --check docs/symptoms.md
    uv run python -m truebeat.kit.canvas_types --check canvas/src/generated.ts

# lint, types and tests of the page, and the page itself; takes Node from a wheel where there is none
canvas:
    uv run python canvas/bundle.py npm run check
    uv run python canvas/bundle.py build

test *ARGS:
    uv run --all-extras pytest -n 2 {{ARGS}}
