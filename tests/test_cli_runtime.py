"""What the endpoint's child makes of settings, of Ray's moods and of deployments that fail; without a Ray."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.schema import ApplicationStatus

from deployments import runtime
from deployments.app_args import AppArgs, ReplicaArgs
from deployments.runtime import failure_of, start_ray, wait_running
from deployments.settings_check import app_args, check_room
from glyph_core.errors import ConfigError

SERVE_MESSAGE = """The deployment failed to start 3 times in a row. See controller logs for details. Error:
\x1b[36mray::ServeReplica:glyph:Decoder.initialize_and_get_metadata()\x1b[39m (pid=1, ip=127.0.0.1)
  File "replica.py", line 1928, in initialize
    raise RuntimeError(traceback.format_exc()) from None
RuntimeError: Traceback (most recent call last):
  File "loading.py", line 13, in load
    raise ModelError("the checkpoint lacks lm_head.weight; is it whole?")
glyph_core.errors.ModelError: the checkpoint lacks lm_head.weight; is it whole?"""


def app(status: ApplicationStatus, **deployments: tuple[str, str]) -> Any:
    """As ``serve.status()`` reports it; a deployment is its status and message."""
    overviews = {name: SimpleNamespace(status=kind, message=text) for name, (kind, text) in deployments.items()}
    return SimpleNamespace(status=status, message="it failed", deployments=overviews)


def test_a_failure_is_told_in_the_innermost_errors_words() -> None:
    failed = app(ApplicationStatus.DEPLOY_FAILED, Renderer=("HEALTHY", ""), Decoder=("DEPLOY_FAILED", SERVE_MESSAGE))
    assert failure_of(failed) == "the Decoder did not start: the checkpoint lacks lm_head.weight; is it whole?"


def test_a_failure_without_an_error_is_told_in_serves_words() -> None:
    assert failure_of(app(ApplicationStatus.DEPLOY_FAILED, Decoder=("DEPLOY_FAILED", "no reason given"))) == "it failed"


def test_phases_name_the_deployments_that_are_not_up_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    up, down = ("HEALTHY", ""), ("UPDATING", "")
    states = [
        app(ApplicationStatus.DEPLOYING, Encoder=down, Decoder=down),
        app(ApplicationStatus.DEPLOYING, Encoder=down, Decoder=down),
        app(ApplicationStatus.DEPLOYING, Encoder=up, Decoder=down),
        app(ApplicationStatus.RUNNING, Encoder=up, Decoder=up),
    ]
    report = iter([SimpleNamespace(applications={runtime.APP_NAME: state}) for state in states])
    monkeypatch.setattr(runtime.serve, "status", lambda: next(report))
    phases: list[str] = []
    wait_running(phases.append)
    assert phases == ["starting Encoder, Decoder", "starting Decoder"]


def test_a_failed_deployment_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = app(ApplicationStatus.DEPLOY_FAILED, Decoder=("DEPLOY_FAILED", SERVE_MESSAGE))
    monkeypatch.setattr(runtime.serve, "status", lambda: SimpleNamespace(applications={runtime.APP_NAME: failed}))
    with pytest.raises(ConfigError, match="lm_head"):
        wait_running(lambda phase: None)


def test_room_is_counted_before_anything_waits_for_it() -> None:
    check_room(AppArgs(), {"CPU": 2.0})
    with pytest.raises(ConfigError, match=r"take 1\.25 CPU together and this machine has 1;.*num_cpus"):
        check_room(AppArgs(), {"CPU": 1.0})
    with pytest.raises(ConfigError, match=r"take 1 GPU together and this machine has 0;.*num_gpus"):
        check_room(AppArgs(encoder=ReplicaArgs(num_gpus=0.25), decoder=ReplicaArgs(num_gpus=0.75)), {"CPU": 8.0})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"engine": {"max_num_sqs": 3}}, r"engine\.max_num_sqs"),
        ({"renderers": {"min_replicas": 0}}, r"renderers\.min_replicas"),
    ],
)
def test_a_misspelt_or_impossible_argument_is_named(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        app_args(values)


class FakeRay:
    """Its node manager is too slow for the first ``num_slow`` starts."""

    def __init__(self, num_slow: int) -> None:
        self.num_slow, self.num_starts, self.num_shutdowns = num_slow, 0, 0

    def init(self, **_: object) -> SimpleNamespace:
        self.num_starts += 1
        if self.num_starts <= self.num_slow:
            raise Exception("The current node timed out during startup.")  # noqa: TRY002 - as Ray raises it
        address = {"session_dir": "/tmp/ray/session", "node_ip_address": "127.0.0.1", "metrics_export_port": 9100}
        return SimpleNamespace(dashboard_url="127.0.0.1:8265", address_info=address)

    def shutdown(self) -> None:
        self.num_shutdowns += 1


@pytest.fixture(autouse=True)
def _nobody_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "end_session", lambda session_id: None)


def test_ray_may_be_too_slow_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay(num_slow=runtime.START_ATTEMPTS - 1)
    monkeypatch.setattr(runtime, "ray", ray)
    phases: list[str] = []
    assert start_ray(None, phases.append) == ("127.0.0.1:8265", "/tmp/ray/session", "127.0.0.1:9100")
    assert ray.num_starts == ray.num_shutdowns + 1 == runtime.START_ATTEMPTS
    assert phases[:2] == ["starting Ray", "starting Ray, attempt 2"]


def test_a_ray_that_never_comes_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "ray", FakeRay(num_slow=runtime.START_ATTEMPTS))
    with pytest.raises(ConfigError, match="timed out during startup"):
        start_ray(None, lambda phase: None)


def test_a_mistake_of_ours_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay(num_slow=0)
    monkeypatch.setattr(ray, "init", lambda **_: ray.shutdown(later=True))  # a TypeError
    monkeypatch.setattr(runtime, "ray", ray)
    with pytest.raises(TypeError):
        start_ray(None, lambda phase: None)
    assert ray.num_shutdowns == 0
