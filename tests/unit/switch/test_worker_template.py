"""Chat templates: what those in the wild use works, what would break out does not."""

from datetime import UTC, datetime

import pytest

from config.errors import BadRequest
from switch.worker.template import ChatTemplate, TemplateUnusableError

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HELLO = [{"role": "user", "content": "Hello"}]


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos="<s>", eos="</s>", now=lambda: datetime(2026, 11, 21, tzinfo=UTC))


def test_messages_become_a_prompt_up_to_the_answer() -> None:
    assert template(CHATML).render(HELLO) == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("{{ bos_token }}x{{ eos_token }}", "<s>x</s>"),
        ("{{ strftime_now('%d %b %Y') }}", "21 Nov 2026"),
        ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
        ("{% generation %}kept{% endgeneration %}", "kept"),
        ("{% for m in messages %}{% break %}{% endfor %}after", "after"),
        ("{% if tools %}t{% else %}no tools{% endif %}", "no tools"),
        ("{%- for m in messages %}\n  {{ m.content | trim }}\n{%- endfor %}", "  Hello"),
    ],
)
def test_what_templates_in_the_wild_use(source: str, prompt: str) -> None:
    assert template(source).render(HELLO) == prompt


def test_a_template_says_why_it_refuses() -> None:
    with pytest.raises(BadRequest, match="roles must alternate"):
        template("{{ raise_exception('roles must alternate') }}").render(HELLO)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ messages[7].content.x.y }}",
    ],
)
def test_a_template_cannot_break_out(source: str) -> None:
    with pytest.raises(BadRequest):
        template(source).render(HELLO)


PATIENT = "{% for i in range(99999) %}{% for j in range(99999) %}%s{% endfor %}{% endfor %}"
DOUBLING = "{% set ns = namespace(s=START) %}{% for i in range(60) %}{% set ns.s = AGAIN %}{% endfor %}{{ ns.s }}"


def doubling(start: str, again: str) -> str:
    return DOUBLING.replace("START", start).replace("AGAIN", again)


@pytest.mark.parametrize(
    "source",
    [
        PATIENT.replace("%s", ""),
        PATIENT.replace("%s", "{% if i == j %}x{% endif %}"),
        "{% macro m(n) %}{{ m(n - 1) if n else '' }}{{ m(n - 1) if n else '' }}{% endmacro %}{{ m(60) }}",
        "{% for i in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
        "{{ 'x' * 10 ** 12 }}",
        "{{ [1] * 10 ** 12 }}",
        doubling("'xx'", "ns.s ~ ns.s"),
        doubling("'xx'", "ns.s + ns.s"),
        doubling("[1]", "ns.s + ns.s"),
        doubling("[1]", "[ns.s, ns.s]"),
        doubling("[1]", "[ns.s, ns.s]").replace("{{ ns.s }}", "{{ ns.s | tojson }}"),
        doubling("[1]", "[ns.s, ns.s]").replace("{{ ns.s }}", "{{ ns.s | string | length }}"),
        doubling("3", "ns.s * ns.s"),
        "{% set s = 'a' * 100000 %}{{ s.replace('a', s) }}",
        "{% set s = 'a' * 100000 %}{{ s | replace('a', s) }}",
        "{% set s = 'a' * 100000 %}{{ s.join(range(5000) | map('string')) | length }}",
        "{% set s = 'a' * 100000 %}{{ range(5000) | join(s) | length }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ '{:>999999999}'['format'](1) }}",
        "{{ 'a'.center(10 ** 10) }}",
        "{{ 'a'.zfill(10 ** 10) }}",
        "{{ 'a' | indent(10 ** 10, first=true) }}",
        "{{ lipsum(n=10 ** 6) }}",
    ],
)
def test_a_template_cannot_stay_for_long_or_grow_large(source: str) -> None:
    patient = ChatTemplate(source, bos="", eos="", now=lambda: datetime(2026, 11, 21, tzinfo=UTC), seconds=0.2)
    with pytest.raises(BadRequest):
        patient.render(HELLO)


def test_no_name_in_a_template_hides_the_clock() -> None:
    hiding = "{% set tick = 1 %}{% set environment = 1 %}{% macro concatenated() %}{% endmacro %}" + PATIENT
    with pytest.raises(BadRequest, match="too long"):
        ChatTemplate(
            hiding.replace("%s", ""), bos="", eos="", now=lambda: datetime(2026, 11, 21, tzinfo=UTC), seconds=0.2
        ).render(HELLO)


def test_each_render_has_a_time_of_its_own() -> None:
    source = "{% for i in range(messages[0].content | int) %}{% for j in range(9999) %}{% endfor %}{% endfor %}ok"
    one = ChatTemplate(source, bos="", eos="", now=lambda: datetime(2026, 11, 21, tzinfo=UTC), seconds=0.5)
    with pytest.raises(BadRequest, match="too long"):
        one.render([{"content": "99999"}])
    assert one.render([{"content": "1"}]) == "ok"


def test_formatting_without_widths_is_allowed() -> None:
    assert template("{{ '{}-{name}'.format(1, name='x') }}").render(HELLO) == "1-x"


def test_whether_the_system_may_speak_is_found_out() -> None:
    assert template(CHATML).takes_system()
    assert not template("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}").takes_system()
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    assert not template(refusing + CHATML).takes_system()


def test_a_broken_template_is_known_before_anybody_asks() -> None:
    with pytest.raises(TemplateUnusableError, match="line 1"):
        template("{% if %}")


def test_the_messages_of_the_user_are_data_not_template() -> None:
    assert template(CHATML).render([{"role": "user", "content": "{{ 7 * 7 }}"}]).count("{{ 7 * 7 }}") == 1
