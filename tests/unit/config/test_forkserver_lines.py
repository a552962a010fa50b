"""What goes over the pipes comes out as it went in, however the kernel cuts it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.forkserver import lines
from config.forkserver.lines import Answer, Exited, LineBuffer, Order, Running
from config.services import FLEET

SERVICES = st.sampled_from(sorted(FLEET))
MOMENTS = st.datetimes(timezones=st.just(UTC))
CHILDREN = st.lists(st.builds(Running, SERVICES, st.integers(1), MOMENTS, st.booleans()), max_size=len(FLEET))


@given(st.builds(Order, st.integers(), st.sampled_from(["start", "stop", "list"]), SERVICES))
def test_orders_survive_the_pipe(order: Order) -> None:
    assert lines.read_order(lines.order_line(order)) == order


@given(st.integers(), CHILDREN, st.none() | st.text(max_size=50))
def test_answers_survive_the_pipe(number: int, children: list[Running], refused: str | None) -> None:
    answer = Answer(number, tuple(children), refused)
    assert lines.read_report(lines.answer_line(answer)) == answer


@given(st.builds(Exited, SERVICES, st.integers(1), st.integers(-64, 255), st.booleans()))
def test_exits_survive_the_pipe(exited: Exited) -> None:
    assert lines.read_report(lines.exit_line(exited)) == exited


def test_the_whole_fleet_fits_in_one_unbroken_write() -> None:
    moment = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
    children = tuple(Running(service, 2**22, moment, True) for service in FLEET)
    assert len(lines.answer_line(Answer(2**31, children))) <= lines.PIPE_BUF


@given(st.lists(st.binary(max_size=20).filter(lambda part: b"\n" not in part)), st.data())
def test_lines_are_cut_out_of_any_pieces(written: list[bytes], data: st.DataObject) -> None:
    stream, buffer, found = b"".join(line + b"\n" for line in written), LineBuffer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += buffer.fed(stream[:size])
        stream = stream[size:]
    assert found == written


NO_ORDERS = [b"", b"[]", b"{}", b'{"id":1,"order":"dance"}', b'{"id":1,"order":"list","x":1}', b"\xff"]


@pytest.mark.parametrize("line", NO_ORDERS)
def test_nonsense_is_no_order(line: bytes) -> None:
    with pytest.raises(lines.BadLine):
        lines.read_order(line)


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"exit":{}}', b'{"id":1,"children":[{}],"refused":null}'])
def test_nonsense_is_no_report(line: bytes) -> None:
    with pytest.raises(lines.BadLine):
        lines.read_report(line)
