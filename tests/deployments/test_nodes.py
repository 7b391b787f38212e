"""Several nodes: a pair of encoder and decoder on each, traces through all stages, and a node that goes away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.app import bind_chain
from deployments.app_args import AppArgs
from deployments.settings_check import check_room
from glyph_core.errors import ConfigError
from tests.deployments.serving import NO_LOADERS
from tests.deployments.test_app import deployments_of


def test_a_pair_is_one_replica_of_each_on_a_node() -> None:
    deployments = deployments_of(bind_chain(AppArgs(pairs=3), NO_LOADERS))
    for name in ("Encoder", "Decoder"):
        assert (deployments[name].num_replicas, deployments[name]._replica_config.max_replicas_per_node) == (3, 1)
    assert deployments["Gateway"].num_replicas == 1


def test_one_node_refuses_two_pairs() -> None:
    with pytest.raises(ConfigError, match="pairs=2 wants as many Ray nodes"):
        check_room(AppArgs(pairs=2), {"CPU": 64.0})


@pytest.mark.slow
@pytest.mark.serve
@pytest.mark.timeout(900)
def test_two_nodes_of_one_machine_serve_two_pairs(tiny_folder: Path, tmp_path: Path) -> None:
    environment = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",
        **os.environ,
    }
    command = [sys.executable, "-m", "tests.deployments.two_nodes", str(tiny_folder), str(tmp_path / "seen.json")]
    subprocess.run(command, check=True, env=environment, timeout=800)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert len(set(seen["nodes"]["Encoder"])) == 2
    assert sorted(seen["nodes"]["Encoder"]) == sorted(seen["nodes"]["Decoder"])
    assert min(seen["pages_by_encoder"]) > 0
    assert {answer["kind"] for answer in seen["answers"]} == {"answered"}
    assert seen["answers"] == seen["again"] == seen["after_loss"]
    assert seen["status"]["decoder"]["kv_blocks_total"] == 2 * 280
    assert seen["traces"]
