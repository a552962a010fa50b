"""Command-line programs for tests: shell scripts in a folder, found on a path that is just this folder."""

from __future__ import annotations

from pathlib import Path


def put_program(folder: Path, name: str, script: str) -> Path:
    """A program of this name; `script` is what /bin/sh runs, with its arguments."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


# Answers as the real one does where it was looked up: a version, and the prompt after -p.
COPILOT = """
case "$1" in
  version) echo "GitHub Copilot CLI 0.0.354";;
  *) for last; do :; done; printf 'said: %s' "$last";;
esac"""
CODEX = """
case "$1 $2" in
  "--version ") echo "codex-cli 0.58.0";;
  "login status") echo "Not logged in" >&2; exit 1;;
esac"""
CLAUDE = """
case "$1 $2" in
  "--version ") echo "2.0.1 (Claude Code)";;
  "auth status") echo '{"loggedIn": true, "authMethod": "claude.ai"}';;
esac"""
OLLAMA = """
case "$1" in
  --version) echo "ollama version is 0.12.6";;
  list) printf 'NAME            ID      SIZE\\nllama3.2:1b     a80c    2.0 GB\\nqwen3:0.6b      b1      1 GB\\n';;
  run) printf '%s heard: ' "$2"; cat;;
esac"""
