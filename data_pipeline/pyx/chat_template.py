"""Writes the release's prompt for code as a chat template, for clients that send messages.

One message of a user becomes BOS and `training_prompt` of an `nl` record with its text, byte for
byte. No checkpoint was trained on several turns; they continue the same headings: the instruction
stands once, each question under <NL_Description>, each answer under <Code> and closed by EOS, as
training closes it. So a conversation begins with the very tokens of its first question and answer.
Messages between two answers (system and developer messages too) are one question, apart by a blank
line: the instruction of the prompt is the one that checkpoints know.

Questions about executions (forward, backward) and repairs have prompts of their own, which are text
to continue and no messages.
"""

import json

from data_pipeline.pyx.prompts import CODE_HEADING, CODE_INSTRUCTION, QUESTION_HEADING

# `message.content` is checked because a list would be shown as Python's text of it.
_TEMPLATE = """\
{%- if bos_token is defined and bos_token %}{{ bos_token }}{% endif -%}
{{ @INSTRUCTION@ }}
{%- set turn = namespace(role='') -%}
{%- for message in messages -%}
  {%- set content = message.content if message.content is not none else '' -%}
  {%- if content is not string -%}
    {{ raise_exception('content: expected a string') }}
  {%- endif -%}
  {%- if message.role in ['user', 'system', 'developer'] -%}
    {%- if turn.role == 'user' %}{{ '\\n\\n' }}{% else %}{{ @QUESTION@ }}{% endif -%}
    {{ content }}
    {%- set turn.role = 'user' -%}
  {%- elif message.role != 'assistant' -%}
    {{ raise_exception('role ' ~ message.role ~ ': expected user, assistant or system') }}
  {%- elif turn.role != 'user' -%}
    {{ raise_exception('a message of the assistant answers none of the user') }}
  {%- else -%}
    {{ @CODE@ }}{{ content }}
    {%- if eos_token is defined and eos_token %}{{ eos_token }}{% endif -%}
    {%- set turn.role = 'assistant' -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt is defined and add_generation_prompt -%}
  {%- if turn.role != 'user' -%}
    {{ raise_exception('the last message is the assistant\\'s, expected one to answer') }}
  {%- endif -%}
  {{ @CODE@ }}
{%- endif -%}
"""


def chat_template() -> str:
    """Returns the template in Jinja, as transformers, vLLM and `semcoder serve` read it."""
    template = _TEMPLATE
    for name, text in (
        ("INSTRUCTION", CODE_INSTRUCTION),
        ("QUESTION", QUESTION_HEADING),
        ("CODE", CODE_HEADING),
    ):
        template = template.replace(f"@{name}@", json.dumps(text))
    return template
