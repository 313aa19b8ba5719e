"""The empty data folder of a MariaDB, made once in a run of pytest and copied by its workers; it goes when the run ends. A conftest takes
the hooks into its own names; what makes servers asks template_of(config)."""
import shutil
import tempfile
from pathlib import Path

import pytest

_folder = pytest.StashKey()


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # not in a worker of xdist
        config.stash[_folder] = Path(tempfile.mkdtemp(prefix="heddle-template-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["template"] = str(node.config.stash[_folder])


def pytest_unconfigure(config):
    if _folder in config.stash:
        shutil.rmtree(config.stash[_folder], ignore_errors=True)


def template_of(config):
    return Path(config.workerinput["template"]) if hasattr(config, "workerinput") else config.stash[_folder]
