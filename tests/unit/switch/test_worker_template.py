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


def test_a_broken_template_is_known_before_anybody_asks() -> None:
    with pytest.raises(TemplateUnusableError, match="line 1"):
        template("{% if %}")


def test_the_messages_of_the_user_are_data_not_template() -> None:
    assert template(CHATML).render([{"role": "user", "content": "{{ 7 * 7 }}"}]).count("{{ 7 * 7 }}") == 1
