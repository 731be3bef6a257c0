"""Messages are plain {"role", "content"} dicts, as everywhere; this module validates and renders them.

A model with a chat template renders through it (`lm.local`). A base model has none: it reads the `plain` template,
the text of the question and a line break, so that what it writes next is the answer (nudging sheet, section 2).
"""

from collections.abc import Mapping, Sequence

from boresight.errors import DataError

Message = Mapping[str, str]
Chat = Sequence[Message]

ROLES = ("system", "user", "assistant")


def user(text: str, system: str = "") -> list[dict[str, str]]:
    """A chat of one user turn, with a system message in front when `system` is not empty."""
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": text}]


def validate(chat: Chat, where: str = "chat") -> Chat:
    """Return `chat` unchanged, or raise DataError naming the message that is wrong.

    A chat has at most one system message, which comes first; then user and assistant turns alternate, beginning and
    ending with the user's, and no user turn is blank.
    """
    if isinstance(chat, str | Mapping) or not isinstance(chat, Sequence) or not chat:
        raise DataError(f"{where}: a list of messages with 'role' and 'content' is needed, at least one")
    for number, message in enumerate(chat, 1):
        if not isinstance(message, Mapping) or set(message) < {"role", "content"}:
            raise DataError(f"{where}: message {number} needs the keys 'role' and 'content'")
        if message["role"] not in ROLES:
            raise DataError(
                f"{where}: message {number} has role {message['role']!r}; one of {', '.join(ROLES)} is needed"
            )
        if not isinstance(message["content"], str):
            raise DataError(f"{where}: message {number} has content that is not text")
        if any("\ud800" <= char <= "\udfff" for char in message["content"]):
            raise DataError(f"{where}: message {number} holds half of a surrogate pair, which is no character")
    turns = chat[1:] if chat[0]["role"] == "system" else chat
    if not turns:
        raise DataError(f"{where}: there is a system message but no user turn")
    for i, message in enumerate(turns):
        expected = "assistant" if i % 2 else "user"
        if message["role"] != expected:
            raise DataError(
                f"{where}: turn {i + 1} is by {message['role']!r}; user and assistant turns must alternate, user first"
            )
        if expected == "user" and not message["content"].strip():
            raise DataError(f"{where}: turn {i + 1} is an empty user message")
    if turns[-1]["role"] != "user":
        raise DataError(f"{where}: the last turn is the assistant's; the user's must come last")
    return chat


def split_system(chat: Chat) -> tuple[str, list[str]]:
    """(system text or "", turn texts with the user's first)."""
    system = chat[0]["content"] if chat and chat[0]["role"] == "system" else ""
    return system, [m["content"] for m in chat if m["role"] != "system"]


def plain(chat: Chat, question_prefix: str = "", answer_start: str = "", context: str = "") -> str:
    """Render a chat for a model without a chat template.

    One user turn: system + "\\n" (if any) + context + question_prefix + question + "\\n" + answer_start, no markers at
    all. Several turns need markers to tell the speakers apart: each is "User: " or "Assistant: " and a line.
    """
    system, turns = split_system(chat)
    head = (system + "\n" if system else "") + context
    if len(turns) == 1:
        return f"{head}{question_prefix}{turns[0]}\n{answer_start}"
    lines = (("User: ", "Assistant: ")[i % 2] + turn + "\n" for i, turn in enumerate(turns))
    return head + "".join(lines) + "Assistant:" + (f" {answer_start}" if answer_start else "")
