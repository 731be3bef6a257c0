"""Models that run elsewhere: behind an OpenAI-compatible server, or at a provider that Inspect knows.

`Endpoint` is for servers of the OpenAI API, plain completions with log-probabilities included, so that text methods
(URIAL, Nudging in reference mode) work on them. `InspectRemote` is any Inspect model string and answers chats only.
Nothing here loads torch, and neither httpx nor inspect_ai is loaded before a model is asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boresight.lm.remote.endpoint import Endpoint
    from boresight.lm.remote.inspect_model import InspectRemote

PROVIDERS = frozenset(
    (
        "anthropic", "azureai", "bedrock", "cloudflare", "deepseek", "fireworks", "google", "grok", "groq", "hf",
        "hf-inference-providers", "litellm-proxy", "llama-cpp-python", "meta", "mistral", "mockllm", "moonshot",
        "nnterp", "ollama", "openai", "openai-api", "openai-api-completions", "openrouter", "perplexity", "sagemaker",
        "sambanova", "sglang", "together", "transformer_lens", "vllm", "vllm-completions",
    )
)  # fmt: skip
"""The providers that Inspect brings along: PROVIDER/MODEL with one of these is a model string of Inspect's. A list of
our own, because asking Inspect takes about a second, which no org/name of the model hub should cost."""


def is_address(spec: str) -> bool:
    """Whether a spec is the address of a server."""
    return spec.lower().startswith(("http://", "https://"))


def is_inspect(spec: str) -> bool:
    """Whether a spec is PROVIDER/MODEL with a provider that Inspect brings along."""
    provider, slash, model = spec.partition("/")
    return bool(slash and model) and provider in PROVIDERS


def load_remote(spec: str) -> "Endpoint | InspectRemote":
    """The model of an address or of an Inspect model string; ModelError if it cannot be had."""
    if is_address(spec):
        from boresight.lm.remote.endpoint import Endpoint

        return Endpoint(spec)
    from boresight.lm.remote.inspect_model import InspectRemote

    return InspectRemote(spec)
