"""API keys: where they come from, whom they let in, and what starts without any."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.access import ANONYMOUS, AccessConfig, ApiKeys, check_exposure, parse_keys
from glyph_core.errors import AuthenticationError, ConfigError

KEY, OTHER = "k" * 16, "sk-proj_0123456789+/="


def test_keys_are_lines_or_stand_between_commas_with_names_or_without() -> None:
    text = f"# of the team\nana: {KEY}\n\n{OTHER}, bob:{'b' * 20} # until June\n"
    assert parse_keys(text, "file") == {"ana": KEY, "key-2": OTHER, "bob": "b" * 20}


@pytest.mark.parametrize("text", ["short", "ana:", "a b: " + KEY, KEY + " " + KEY, "ü" * 20, f"a: b: {KEY}"])
def test_what_cannot_be_a_key_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ConfigError, match="API key 2 of somewhere") as caught:
        parse_keys(f"{OTHER}\n{text}", "somewhere")
    assert text not in caught.value.message
    assert OTHER not in caught.value.message


def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="'ana'"):
        parse_keys(f"ana: {KEY}\nana: {OTHER}", "file")


def test_one_key_of_two_names_is_refused_without_quoting_it() -> None:
    with pytest.raises(ConfigError, match="API key 2 of file stands there twice") as caught:
        parse_keys(f"ana: {KEY}\nbob: {KEY}", "file")
    assert KEY not in caught.value.message


def test_they_come_from_the_file_or_else_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"filed: {KEY}\n")
    environment = {"GLYPH_API_KEYS": f"given: {OTHER}"}
    assert ApiKeys.of(AccessConfig(), environment).caller(f"Bearer {OTHER}") == "given"
    assert ApiKeys.of(AccessConfig(keys_file=str(file)), environment).caller(f"bearer  {KEY}") == "filed"


def test_a_file_that_is_empty_or_missing_does_not_mean_that_everybody_may_ask(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("# later\n")
    for name, says in (("empty", "holds no API key"), ("missing", "cannot be read")):
        with pytest.raises(ConfigError, match=says):
            ApiKeys.of(AccessConfig(keys_file=str(tmp_path / name)), {})


@pytest.mark.parametrize("authorization", [None, "", KEY, f"Basic {KEY}", "Bearer", "Bearer ", f"Bearer {KEY}x"])
def test_nobody_else_comes_in(authorization: str | None) -> None:
    with pytest.raises(AuthenticationError):
        ApiKeys({"ana": KEY}).caller(authorization)


def test_without_keys_everybody_comes_in() -> None:
    assert ApiKeys({}).caller(None) == ApiKeys({}).caller("Bearer anything") == ANONYMOUS


def test_a_key_is_kept_as_its_digest_alone() -> None:
    assert KEY not in repr(vars(ApiKeys({"ana": KEY})))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7"])
def test_other_machines_need_a_key_or_leave(host: str) -> None:
    with pytest.raises(ConfigError, match="GLYPH_API_KEYS"):
        check_exposure(host, ApiKeys({}), AccessConfig())
    check_exposure(host, ApiKeys({"ana": KEY}), AccessConfig())
    check_exposure(host, ApiKeys({}), AccessConfig(allow_unauthenticated=True))
    check_exposure("127.0.0.1", ApiKeys({}), AccessConfig())
