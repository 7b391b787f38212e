"""Encoder and decoder share one card: a page's features then travel through one machine's memory, and one memory plan
holds for both. Ray puts them there by their fractions of a GPU; this says where it did not."""

from __future__ import annotations

from collections.abc import Iterable

from deployments.protocol import StageReport


def placement_warnings(reports: Iterable[StageReport]) -> list[str]:
    """What the stages say of where they run; empty where encoder and decoder share a card, or have none."""
    of = {report.stage: report for report in reports}
    encoder, decoder = of.get("encoder"), of.get("decoder")
    if encoder is None or decoder is None or (encoder.host, encoder.gpu) == (decoder.host, decoder.gpu):
        return []
    if encoder.host == decoder.host and (encoder.gpu is None or decoder.gpu is None):
        return []  # one of them was told to run on the CPU
    return [
        f"the encoder runs on {_place(encoder)} and the decoder on {_place(decoder)}: give both fractions of one GPU "
        "(encoder.num_gpus and decoder.num_gpus, together at most 1) so that Ray puts them on the same card"
    ]


def _place(report: StageReport) -> str:
    return f"{report.gpu or report.device} of {report.host}"
