"""How a nudger's prompt is made of a chat: by its own chat template, its server, or a template file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from boresight.chat import Chat, validate
from boresight.errors import DataError, ModelError


def renderer(nudger: Any, chat_template: str | Path | None = None) -> Callable[[Chat], str]:
    """The function from a chat to the nudger's prompt, the answer opened.

    Raises ModelError, telling how to give one, for a nudger without a chat template, and DataError for a file that
    cannot be read.
    """
    if chat_template is not None:
        return _from_file(Path(chat_template), nudger)
    if not hasattr(nudger, "render_template"):
        raise ModelError(
            f"{nudger.name} runs on a server that does not render chats; give its template: chat_template=FILE.jinja"
        )
    if not getattr(nudger, "has_chat_template", True):
        raise ModelError(
            f"{nudger.name} has no chat template, which a nudger needs; give it one: chat_template=FILE.jinja, or put "
            "a chat_template.jinja beside its weights"
        )
    return nudger.render_template


def read(path: str | Path) -> str:
    """The text of a template file; DataError if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"the chat template {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"the chat template {path} cannot be read: {error}") from error


def _from_file(path: Path, nudger: Any) -> Callable[[Chat], str]:
    from transformers.utils.chat_template_utils import render_jinja_template  # its sandbox, as models' own templates

    template = read(path)
    tokenizer = getattr(nudger, "tokenizer", None)
    specials = dict(tokenizer.special_tokens_map) if tokenizer else {}

    def render(chat: Chat) -> str:
        validate(chat)
        try:
            # the answer is (texts, positions of the answers)
            texts, _ = render_jinja_template(
                [[dict(m) for m in chat]], chat_template=template, add_generation_prompt=True, **specials
            )
        except Exception as error:  # jinja errors of any kind: the template refused the chat
            raise ModelError(f"the chat template {path} refused the chat: {error}") from error
        return texts[0]

    return render
